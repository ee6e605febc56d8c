// The palette: an APG combobox in a <dialog>. The server finds and renders the options (htmx); here
// the arrows move, Enter goes, and the number of results is said once. Without it, /search is a page.
import { speak } from "./page.js";

const dialog = document.getElementById("palette");
const input = dialog?.querySelector("input");
const list = document.getElementById("palette-list");
const options = () => [...(list?.querySelectorAll("[role=option]") ?? [])];

// The symbols that this tab showed last, until the log-out (door.js) or the end of the tab.
const recent = () => JSON.parse(sessionStorage.getItem("recent") ?? "[]");
const shown = document.querySelector("[data-price-chart]")?.dataset.symbolOf;
if (shown) sessionStorage.setItem("recent", JSON.stringify([shown, ...recent().filter((one) => one !== shown)].slice(0, 5)));

export function openPalette() {
  const box = document.querySelector("main input[type=search]");
  if (!dialog) return box ? box.focus() : undefined;
  if (dialog.open) return undefined;
  input.value = "";
  document.getElementById("palette-recent").value = recent().join();
  dialog.showModal();
  input.focus();
  // Empty: pages, and what is on the watchlist.
  return input.dispatchEvent(new Event("input", { bubbles: true }));
}

function select(option) {
  for (const one of options()) one.setAttribute("aria-selected", String(one === option));
  if (option) input.setAttribute("aria-activedescendant", option.id);
  else input.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = options();
  const here = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
  select(all[(here + by + all.length) % all.length]);
}

function go(option) {
  dialog.close();
  location.assign(option.dataset.href);
}

const MOVES = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => select(options()[0]), End: () => select(options().at(-1)) };

input?.addEventListener("keydown", (event) => {
  const option = options().find((one) => one.getAttribute("aria-selected") === "true");
  if (event.key === "Enter" && option) go(option); // with nothing chosen the form leads to /search
  else if (MOVES[event.key] && options().length) MOVES[event.key]();
  else return;
  event.preventDefault();
});

list?.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) go(option);
});

// What is typed goes before what was found: an option for other words is not what Enter means.
let asked = null;
input?.addEventListener("input", () => select(null));
input?.addEventListener("htmx:beforeRequest", () => { asked = input.value; });

list?.addEventListener("htmx:afterSwap", () => {
  const all = options();
  input.setAttribute("aria-expanded", String(all.length > 0));
  const fits = asked === input.value;
  select(fits ? all[0] : null);
  const count = all.length === 1 ? "1 result" : `${all.length} results`;
  if (fits && asked) speak(count);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("a[data-search]");
  if (!opener || !dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openPalette();
});
