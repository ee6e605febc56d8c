// Watchlists: rows move by their grip, menus close by themselves, and what was done is said.
// The server is told through the form that the buttons of a row use too, and draws the new order.
import { speak } from "./page.js";

const EDGE = 72; // so near to the rim of the window the page scrolls along
const STEP = 14;
let held = null; // { row, rows, to }

document.body.addEventListener("st:say", (event) => { speak(event.detail.text); });

// ── moving a row: nothing moves on the page until the server has moved it ──
function mark(over, after) {
  for (const row of held.rows) row.classList.remove("drop-before", "drop-after");
  over?.classList.add(after ? "drop-after" : "drop-before");
}

function letGo() {
  mark(null);
  held.row.classList.remove("held");
  held = null;
}

document.addEventListener("pointerdown", (event) => {
  const row = event.target.closest?.("[data-grip]")?.closest("[data-item]");
  if (!row || event.button !== 0) return;
  event.preventDefault(); // no text is selected on the way
  held = { row, rows: [...row.parentElement.querySelectorAll("[data-item]")], to: null };
  row.classList.add("held");
});

document.addEventListener("pointermove", (event) => {
  if (!held) return;
  const from = held.rows.indexOf(held.row);
  const middle = (row) => { const box = row.getBoundingClientRect(); return box.top + box.height / 2; };
  const below = held.rows.findIndex((row) => event.clientY < middle(row));
  const gap = below < 0 ? held.rows.length : below; // between which two rows the pointer is
  held.to = gap > from ? gap - 1 : gap;
  if (held.to === from) mark(null);
  else mark(held.rows[held.to], held.to > from);
  if (event.clientY < EDGE) scrollBy(0, -STEP);
  else if (event.clientY > innerHeight - EDGE) scrollBy(0, STEP);
});

document.addEventListener("pointerup", () => {
  if (!held) return;
  const { row, rows, to } = held;
  const field = row.closest("form").querySelector("[data-drop]");
  letGo();
  if (!field || to === null || to === rows.indexOf(row)) return;
  field.value = `${row.dataset.item}:${to}`;
  field.disabled = false;
  field.form.requestSubmit();
});

document.addEventListener("pointercancel", () => { if (held) letGo(); });

// ── menus ──
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (held) return letGo();
  const menu = document.querySelector(".menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
