// What a person asked for and htmx cannot say: that it failed, and what came of it when the thing
// that asked has left the page meanwhile.
import { toast } from "./ui.js";

const AWAY = "SpeedTrade cannot be reached. Try again.";
const told = (xhr) => JSON.parse(xhr.getResponseHeader("HX-Trigger") ?? "{}");

function failed(xhr) {
  if (told(xhr)["st:toast"]) return; // in words of the server's own
  toast(xhr.status === 429 ? "Too many requests. Wait a moment." : `That did not work (${xhr.status}). Reload the page.`, "error");
}

document.addEventListener("htmx:sendError", () => toast(AWAY, "error"));
document.addEventListener("htmx:responseError", (event) => failed(event.detail.xhr));

// htmx tells the element that asked. One that was swapped away, such as the Cancel of an order that
// just filled, is in no page: its news goes to the body. Before htmx swaps: that may take it away, too.
document.addEventListener("htmx:beforeRequest", ({ detail: { xhr, target, requestConfig: { elt, verb } } }) => {
  if (verb === "get") return; // nobody waits for what had to be shown in it
  xhr.addEventListener("readystatechange", () => {
    if (xhr.readyState !== XMLHttpRequest.DONE || !xhr.status || elt.isConnected) return;
    for (const [name, detail] of Object.entries(told(xhr))) document.body.dispatchEvent(new CustomEvent(name, { detail }));
    if (xhr.status >= 400 && (xhr.status !== 422 || !target.isConnected)) failed(xhr);
  });
  xhr.addEventListener("error", () => { if (!elt.isConnected) toast(AWAY, "error"); });
});
