// What every script asks the page: what the person chose, whether they type, how to speak to them.

const root = document.documentElement;

// Choices stand on <html>, written by the server: data-keys, data-flash, data-paused.
export const chosen = (name) => root.dataset[name];
// What no toast is wanted of, "fills ends alerts connection"; it is spoken all the same.
export const isQuiet = (about) => about !== "" && (chosen("quiet") ?? "").split(" ").includes(about);
export const choose = (name, value) => { root.dataset[name] = value; };

// A row of a list or a table, which keys walk.
export const ROWS = "main :is(.list > li, .table tbody tr)";

// One polite region speaks for the whole page: orders, alerts, the connection, what was copied. Around
// an open dialog all is silent, so each has a region of its own. Words of one frame are one text.
const AT_ONCE = 3; // the newest: a page that nobody sees has no frames
const voice = () => document.querySelector("dialog:modal [data-sr]") ?? document.getElementById("sr");
let words = [];

function utter() {
  const region = voice();
  if (region) region.textContent = words.slice(-AT_ONCE).join(". ").replaceAll(/([.!?…])\. /g, "$1 ");
  words = [];
}

export function speak(text) {
  for (const region of document.querySelectorAll("#sr, [data-sr]")) region.textContent = "";
  if (words.push(text) === 1) requestAnimationFrame(utter);
}

// What could not be fetched says so in its place (states/_panel_error.html), with a way to try again.
export function failure(what, id, retry) {
  const box = document.getElementById("panel-error").content.firstElementChild.cloneNode(true);
  box.querySelector("[data-text]").textContent = `Couldn't load ${what}.${id ? ` Request ${id}.` : ""}`;
  box.querySelector("button").onclick = retry;
  return box;
}

// A key that is meant for the page: nobody types, no modifier is down, the keys are not switched off.
export function isShortcut(event) {
  const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
  return !typing && !event.ctrlKey && !event.metaKey && !event.altKey && chosen("keys") !== "off";
}
