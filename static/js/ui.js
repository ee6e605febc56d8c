// What every page does a little better with JavaScript: dialogs, toasts, ages, copying, keys.
// All of it works on delegated events, so fragments that htmx brings need no set-up.

import { isQuiet, speak } from "./page.js";

const TOAST_FOR = 5_000;
const AGE_EVERY = 30_000;
const REGISTER_AFTER = 3_000; // the first page has other things to do
const CLOCK = { weekday: "short", hour: "numeric", minute: "2-digit", hourCycle: "h23" };
const toasts = document.getElementById("toasts");

// ── toasts: server messages, and HX-Trigger: {"st:toast": {"level", "text"}}; about: see isQuiet ──
// An error stands until it is closed: it comes no second time, and is said again to who asks again.
const isShown = (text) => Array.from(toasts.querySelectorAll(".error > span"), (one) => one.textContent).includes(text);

export function toast(text, level = "info", about = "") {
  const again = level === "error" && isShown(text);
  if (!again || navigator.userActivation?.isActive) speak(text);
  if (again || isQuiet(about)) return;
  const item = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  item.classList.add(level);
  const use = item.querySelector("use");
  const icon = { error: "error", warning: "warn", success: "ok", alert: "bell" }[level] ?? "info";
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${icon}`));
  item.querySelector("[data-text]").textContent = text;
  toasts.append(item);
  age(item);
}

function age(item) {
  if (["error", "warning", "alert"].some((level) => item.classList.contains(level))) return; // until closed
  let timer = setTimeout(() => item.remove(), TOAST_FOR);
  const hold = () => clearTimeout(timer);
  const go = () => { hold(); timer = setTimeout(() => item.remove(), TOAST_FOR); };
  for (const name of ["pointerenter", "focusin"]) item.addEventListener(name, hold);
  for (const name of ["pointerleave", "focusout"]) item.addEventListener(name, go);
}

toasts?.querySelectorAll("li").forEach(age);
document.body.addEventListener("st:toast", (event) => toast(event.detail.text, event.detail.level));

// ── dialogs, closing, copying, confirming: <button data-dialog="id" | data-close | data-copy="text"> ──
document.addEventListener("click", async (event) => {
  const at = (selector) => event.target.closest?.(selector);
  const opener = at("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog)?.showModal();
  } else if (at("[data-close]")) {
    (at(".toasts > li") ?? at("dialog"))?.[at(".toasts > li") ? "remove" : "close"]();
  } else if (at("[data-copy]")) {
    const done = await copied(at("[data-copy]"));
    toast(...(done ? ["Copied", "success"] : ["It cannot be copied here. Select it and copy it by hand.", "error"]));
  } else if (event.target.matches?.("dialog")) {
    event.target.close(); // the backdrop
  }
});

// Over plain HTTP a browser has no clipboard: there the text is selected beside its button, and cut again.
async function copied(button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(button.dataset.copy).then(() => true, () => false);
  const area = Object.assign(document.createElement("textarea"), { value: button.dataset.copy, className: "vh" });
  button.after(area); // inside its dialog, where one is open: all else is inert
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  button.focus({ preventScroll: true });
  return done;
}

// ── when a market opens, by the clock of whoever reads it, where that is another one ──
for (const pill of document.querySelectorAll("[data-opens]")) {
  const at = new Date(pill.dataset.opens);
  const here = at.toLocaleString("en-US", CLOCK).replace(",", "");
  const there = at.toLocaleString("en-US", { ...CLOCK, timeZone: "America/New_York" }).replace(",", "");
  if (here !== there) pill.append(` (${here} here)`);
}

// ── forms: one submit each; data-once also shows that it is under way ──
let left = null; // the button that had the focus: the browser takes it off what is disabled

function hold(button) {
  left = document.activeElement === button ? button : null;
  button.setAttribute("aria-busy", "true");
  setTimeout(() => { button.disabled = true; }); // after its name and value were taken
}

function release(place) {
  for (const button of place.querySelectorAll("[aria-busy=true]:is(button)")) {
    button.removeAttribute("aria-busy");
    button.disabled = false;
    if (button === left && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

document.addEventListener("submit", (event) => {
  const button = event.submitter ?? event.target.querySelector("[type=submit]");
  if (button && !event.defaultPrevented && event.target.matches("[data-once]")) hold(button);
});
addEventListener("pageshow", () => release(document));

// htmx takes the submit before it comes here, and says so by itself.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  const button = requestConfig.triggeringEvent?.submitter ?? elt.querySelector?.("button:not([tabindex])");
  if (elt.matches("form[data-once]") && button) hold(button);
});
document.addEventListener("htmx:afterRequest", (event) => release(event.detail.elt));

// A choice that applies at once: <select data-autosubmit>; a button does it without JavaScript.
document.addEventListener("change", (event) => {
  // <input data-preview="theme" value="dark"> shows at once; it lasts when it is saved.
  const { preview } = event.target.dataset;
  if (preview) document.documentElement.dataset[preview] = event.target.value;
  if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit();
});

// ── htmx: whether a person asks, or the page by itself, which keeps no session alive ──
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (navigator.userActivation?.isActive ?? detail.triggeringEvent?.isTrusted) detail.headers["X-By-Hand"] = "true";
});

document.addEventListener("htmx:afterSwap", (event) => {
  event.target.querySelector?.("[data-focus]")?.focus();
});

// What came back with a whole page speaks first: why a form was refused, or the review of an order.
document.querySelector("main [data-focus]")?.focus();

// ── times: "2 min ago" beside the exact moment in the title ──
const words = new Intl.RelativeTimeFormat("en", { style: "short" }); // 24 h and more are "1 day ago": "yesterday" may be wrong
const UNITS = [[86_400, "day"], [3_600, "hour"], [60, "minute"]];
const WEEK = 7 * 86_400;

function showAges() {
  for (const element of document.querySelectorAll("time[data-age]")) {
    const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
    if (seconds > WEEK || seconds < -1) continue;
    const unit = UNITS.find(([size]) => seconds >= size);
    element.textContent = unit ? words.format(-Math.floor(seconds / unit[0]), unit[1]) : "just now";
  }
}
showAges();
setInterval(showAges, AGE_EVERY);
document.addEventListener("htmx:load", showAges);

// ── an installed app: static files and the offline page are kept, nothing of an account ──
if ("serviceWorker" in navigator) {
  addEventListener("load", () => setTimeout(() => navigator.serviceWorker.register("/sw.js"), REGISTER_AFTER));
}
