// Single keys, after Linear: g and a letter goes somewhere, j and k walk the rows, x cancels, ? tells.
// All of them can be switched off in the settings (WCAG 2.1.4); none works while somebody types.
import { isShortcut, ROWS } from "./page.js";
import { openPalette } from "./palette.js";
import { focusNear, placeOf } from "./parts.js";
import { toast } from "./ui.js";

const GO = { d: "/dashboard", p: "/portfolio", o: "/orders", w: "/watchlists", m: "/markets", a: "/activity", l: "/alerts" };
const GO_WITHIN = 1_200;
const ROW_LINK = "a.cover, a.quiet, th a, td a";
const GONE = "That order cannot be canceled any more. Nothing was sent.";
let waiting = -Infinity; // when g was pressed: long ago, however young the page is

const shown = (element) => element.getClientRects().length > 0;
const links = () => [...document.querySelectorAll(ROWS)]
  .map((row) => row.querySelector(ROW_LINK)).filter((link) => link && shown(link));

function walk(step) {
  const all = links();
  const here = all.indexOf(document.activeElement?.closest(ROWS)?.querySelector(ROW_LINK));
  const next = all[here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

// While somebody reads the question, the list may be fetched anew, without this form.
function send(action) {
  const form = document.querySelector(`form[action="${CSS.escape(action)}"]`);
  if (form) form.requestSubmit();
  else toast(GONE, "warning");
}

// The order in focus, or the order of the page: its own Cancel button, after a question.
function cancel() {
  const at = document.activeElement;
  const place = at?.closest(ROWS) ?? document.getElementById("order");
  const form = place?.querySelector('form[action$="/cancel"]');
  const ask = document.getElementById("ask");
  if (!form || !ask) return;
  const title = place.querySelector("h1, a.cover, a.quiet")?.textContent.trim() ?? "this order";
  ask.querySelector("[data-text]").textContent = `Cancel ${title}?`;
  const action = form.getAttribute("action");
  const from = at !== document.body && placeOf(at);
  ask.addEventListener("close", () => {
    if (ask.returnValue === "yes") send(action);
    if (from && !at.isConnected) focusNear(from); // or else the browser went back there
  }, { once: true });
  ask.returnValue = "";
  ask.showModal();
}

const KEYS = {
  "/": openPalette,
  "?": () => document.getElementById("keys")?.showModal(),
  j: () => walk(1),
  k: () => walk(-1),
  x: cancel,
};

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (!isShortcut(event) || document.querySelector("dialog[open]")) return;
  const target = performance.now() - waiting < GO_WITHIN ? GO[event.key] : undefined;
  waiting = event.key === "g" ? performance.now() : -Infinity;
  if (target) location.assign(target);
  else if (KEYS[event.key]) KEYS[event.key]();
  else return;
  event.preventDefault();
});
