// A part of a page that fetches itself: [data-panel="order book"]. A failure is said in its place, with
// a way to try again, and no old number stays; the toast of ui.js stays away.
function fail(event) {
  const panel = event.target.closest?.("[data-panel]");
  if (!panel) return;
  event.stopPropagation();
  if (panel.querySelector("[data-failed]")) return; // it says so already
  const id = event.detail.xhr?.getResponseHeader("X-Request-Id");
  const box = document.createElement("div");
  Object.assign(box, { className: "cluster", role: "status" });
  box.dataset.failed = "";
  const retry = () => panel.dispatchEvent(new CustomEvent("st:retry"));
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "btn sm", textContent: "Retry", onclick: retry });
  box.append(`Couldn't load ${panel.dataset.panel}.${id ? ` Request ${id}.` : ""}`, button);
  panel.replaceChildren(box);
}

for (const name of ["htmx:responseError", "htmx:sendError"]) document.body.addEventListener(name, fail);
