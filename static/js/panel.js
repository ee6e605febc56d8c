// A part of a page that fetches itself: [data-panel="order book"]. A failure is said in its place, with
// a way to try again, and no old number stays; the toast of ui.js stays away.
function fail(event) {
  const panel = event.target.closest?.("[data-panel]");
  if (!panel) return;
  event.stopPropagation();
  if (panel.querySelector("[data-failed]")) return; // it says so already
  const id = event.detail.xhr?.getResponseHeader("X-Request-Id");
  const box = document.createElement("div");
  box.className = "cluster";
  box.dataset.failed = "";
  box.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn sm";
  button.textContent = "Retry";
  button.addEventListener("click", () => panel.dispatchEvent(new CustomEvent("st:retry")));
  box.append(`Couldn't load ${panel.dataset.panel}.${id ? ` Request ${id}.` : ""}`, button);
  panel.replaceChildren(box);
}

for (const name of ["htmx:responseError", "htmx:sendError"]) document.body.addEventListener(name, fail);
