// The order ticket: keys, steps of a price, an honest estimate, and a moment to read a review.
// The estimate is the server's (htmx), and so is every rule.

const READ_FOR = 400; // ms that a review has had the focus before a key may place its order
const ticket = () => document.getElementById("ticket");
const reviewed = () => ticket()?.querySelector("[data-place] .submit");

document.addEventListener("click", (event) => {
  const chip = event.target.closest?.("[data-fill]");
  if (!chip) return;
  const input = document.getElementById(chip.dataset.fill);
  if (!input) return;
  input.value = chip.dataset.value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.focus();
});

// Buy and Sell of the phone's dock, and the keys b and s: the ticket that is on the page already.
// With a price (a row of the order book) it becomes a limit order at that price.
function choose(side, price) {
  const radio = document.querySelector(`#ticket input[name=side][value=${side}]`);
  if (!radio || radio.matches(":disabled")) return false;
  radio.checked = true;
  if (price) {
    document.getElementById("id_order_type").value = "limit";
    document.getElementById("id_limit_price").value = price;
  }
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  ticket().scrollIntoView({ block: "start" });
  document.getElementById("id_amount").focus({ preventScroll: true });
  return true;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-side]");
  if (link && choose(link.dataset.side, link.dataset.price)) event.preventDefault();
});

// ── the estimate: busy from the first key until the answer to the last one ──
let edits = 0;
let asked = 0;
const isEstimate = (event) => event.detail.elt?.id === "estimate";

function edited({ target }) {
  const box = target.form?.querySelector("#estimate");
  if (!box) return;
  edits += 1;
  box.classList.add("busy"); // no aria-busy: ui.js takes that off whatever is inside a form, after any request
}
for (const name of ["input", "change"]) document.addEventListener(name, edited, true); // before htmx asks
// A fill or a cancel changes what is free, and so what is left after the order that is being written.
for (const name of ["st:order", "st:resync"]) {
  document.body.addEventListener(name, () => {
    if (document.getElementById("id_amount")?.value) document.getElementById("estimate")?.dispatchEvent(new Event("st:free"));
  });
}
document.addEventListener("htmx:beforeRequest", (event) => { if (isEstimate(event)) asked = edits; });
document.addEventListener("htmx:afterRequest", (event) => {
  if (!isEstimate(event) || asked !== edits || !event.detail.elt.isConnected) return; // the review took its place
  const old = !event.detail.successful;
  event.detail.elt.classList.remove("busy");
  event.detail.elt.classList.toggle("old", old);
  document.getElementById("estimate-old").hidden = !old;
});

// ── the review: no key held down, no second click of a double click places an order unread ──
// When the review got the focus. One that came with the page is new as well.
let since = performance.now();
document.addEventListener("focusin", (event) => {
  if (reviewed() && ticket().contains(event.target) && !ticket().contains(event.relatedTarget)) since = event.timeStamp;
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target !== ticket()) return;
  const asked = !event.detail.requestConfig?.triggeringEvent?.type.startsWith("st:"); // somebody did
  if (reviewed()) since = performance.now();
  else if (asked && document.activeElement === document.body) document.getElementById("id_amount")?.focus({ preventScroll: true });
});
document.addEventListener("click", (event) => {
  const place = event.target.closest?.("[data-place] .submit");
  if (!place || event.detail === 1 || event.timeStamp - since >= READ_FOR) return;
  event.preventDefault();
  event.stopPropagation();
}, true);

// ── a price by ticks: up and down, ten at a time with Shift ──
// What the server reads as a price (speedtrade/lib/forms.py). Of all else, such as "184,32", it stays as typed.
const PRICE = /^(\d*|\d{1,3}(,\d{3})+)(\.\d*)?$/;

function step(input, ticks) {
  const tick = Number(input.dataset.tick);
  const typed = input.value.trim().replace(/^\$\s*/, "");
  const from = PRICE.test(typed) ? Number(typed.replaceAll(",", "") || input.dataset.from) : NaN;
  if (!(from > 0)) return;
  const places = (input.dataset.tick.split(".")[1] ?? "").length;
  input.value = (Math.max(Math.round(from / tick) + ticks, 1) * tick).toFixed(places);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

// ── keys: b and s choose the side, r reviews, Enter places what was read, Esc goes back a level ──
const LETTERS = {
  b: () => choose("buy"),
  s: () => choose("sell"),
  // No single key places an order: where the ticket skips the review, r does nothing.
  r: () => press(ticket()?.querySelector("form:not([data-place], [data-at-once]) .submit:enabled")),
};

function press(button) {
  button?.click();
  return Boolean(button);
}

// Whether a key was for the review. Enter on a link or button is the browser's own, unless held down.
function reviewKey({ key, target, repeat }) {
  const here = ticket().contains(target);
  if (key === "Escape" && (here || target === document.body)) return press(ticket().querySelector("[data-edit]"));
  if (key !== "Enter" || !here) return false;
  if (repeat) return true;
  return !target.closest("a, button, input, summary") && press(reviewed()); // judged by the guard above
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  const ticks = { ArrowUp: 1, ArrowDown: -1 }[key];
  if (ticks && target.dataset?.tick) {
    step(target, event.shiftKey ? ticks * 10 : ticks);
    event.preventDefault();
  } else if (reviewed() && reviewKey(event)) {
    event.preventDefault();
  } else if (LETTERS[key] && document.documentElement.dataset.keys !== "off") {
    if (!target.closest?.("input, select, textarea, [contenteditable]") && LETTERS[key]()) event.preventDefault();
  }
});
