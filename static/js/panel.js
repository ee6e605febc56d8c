// A part of a page that fetches itself: [data-panel="order book"]. A failure is said in its place, with
// a way to try again, and no old number stays; the toast of ui.js stays away. While prices are paused it
// waits for the beat that comes after.
import { chosen, failure } from "./page.js";

function fail(event) {
  const panel = event.target.closest?.("[data-panel]");
  if (!panel) return;
  event.stopPropagation();
  if (panel.querySelector(".panel-error")) return; // it says so already
  const id = event.detail.xhr?.getResponseHeader("X-Request-Id");
  panel.replaceChildren(failure(panel.dataset.panel, id, () => panel.dispatchEvent(new CustomEvent("st:retry"))));
}

for (const name of ["htmx:responseError", "htmx:sendError"]) document.body.addEventListener(name, fail);

document.body.addEventListener("htmx:configRequest", (event) => {
  const { elt, triggeringEvent } = event.detail;
  if (elt.matches("[data-panel]") && triggeringEvent?.type === "st:pulse" && chosen("paused") === "on") event.preventDefault();
});
