// Parts of a page that fetch themselves anew: no news is lost between a part and its successor, and
// what a person holds in it stays with them: the question that is open, the focus.
import { ROWS } from "./page.js";

const NEWS = ["st:order", "st:alert", "st:account", "st:halt", "st:resync"]; // a pulse comes again anyway
const SOON = 500; // ms until a part that came too early asks again: twice a second at most in a busy hour
const heard = Object.fromEntries(NEWS.map((kind) => [kind, 0]));
const asked = new Map(); // id of a part -> how much of its news there was when it last asked
const due = new Set(); // ids of parts that ask again soon

const fetchesItself = ({ target, requestConfig }) => target === requestConfig.elt;

function newsOf(part) {
  const listens = part.getAttribute("hx-trigger") ?? "";
  return NEWS.reduce((sum, kind) => sum + (listens.includes(kind) ? heard[kind] : 0), 0);
}

// What htmx keeps waiting for a part that is fetching goes with that part, and its successor hears
// nothing before it has settled.
function catchUp(id) {
  due.delete(id);
  const part = document.getElementById(id);
  const from = part?.getAttribute("hx-get");
  if (from && asked.get(id) !== newsOf(part)) htmx.ajax("GET", from, { source: part }).catch(() => {}); // it is told
}

// Heard before htmx hears of it, which waits for the whole page before it listens.
for (const kind of NEWS) document.body.addEventListener(kind, () => { heard[kind] += 1; });
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (fetchesItself(detail) && detail.target.id) asked.set(detail.target.id, newsOf(detail.target));
});
document.addEventListener("htmx:afterSettle", ({ target, detail }) => {
  const { id } = detail.requestConfig.elt;
  if (!id || target.id !== id || due.has(id) || asked.get(id) === newsOf(target)) return;
  due.add(id);
  setTimeout(catchUp, SOON, id);
});

// ── the focus: where it is, told so that the place is found when all around it is new ──
const LINK = "a[href]";

export function placeOf(element, part = element.closest("[hx-get][id]") ?? document.getElementById("main")) {
  const row = element.closest(ROWS);
  const area = element.closest("section[aria-labelledby]") ?? part;
  return {
    id: element.id,
    hrefs: [element, row?.querySelector(LINK)].map((link) => link?.getAttribute("href")).filter(Boolean),
    index: [...area.querySelectorAll(ROWS)].indexOf(row),
    areas: [area.getAttribute("aria-labelledby"), part.id].filter(Boolean),
  };
}

// The thing itself, its row, the row that took its place, the heading above.
function near({ id, hrefs, index, areas }) {
  const [found] = areas.map((one) => document.getElementById(one)).filter(Boolean);
  const area = found?.closest("section[aria-labelledby]") ?? found ?? document.getElementById("main");
  const rows = [...area.querySelectorAll(ROWS)];
  return [
    document.getElementById(id),
    ...hrefs.map((href) => area.querySelector(`a[href="${CSS.escape(href)}"]`)),
    ...(rows[Math.min(index, rows.length - 1)]?.querySelectorAll(LINK) ?? []),
    area.querySelector("h1, h2") ?? document.querySelector("main h1"),
  ];
}

export function focusNear(place) {
  for (const one of near(place).filter(Boolean)) {
    if (one.tabIndex < 0) one.tabIndex = -1; // a heading takes none otherwise
    one.focus({ preventScroll: true });
    if (document.activeElement === one) return;
  }
}

// ── over a swap ──
let held = null; // { open, place } of the part that is being swapped

document.addEventListener("htmx:beforeSwap", ({ target, detail }) => {
  held = null;
  if (!fetchesItself(detail)) return;
  const at = document.activeElement;
  // A button that waits for its answer is disabled, and the focus is nowhere.
  const focused = at === document.body ? target.querySelector("button[aria-busy=true]") : at;
  held = {
    open: Array.from(target.querySelectorAll(".sure[open]"), (question) => question.id),
    place: target.contains(focused) ? placeOf(focused, target) : null,
  };
});
document.addEventListener("htmx:afterSwap", () => {
  if (!held) return;
  const { open, place } = held;
  held = null;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (place && document.activeElement === document.body) focusNear(place);
});
