// Live numbers: text nodes of [data-symbol][data-f] and [data-portfolio] are written in place, all
// in one animation frame, five times a second at most. No HTML is swapped for a price, so focus and selection stay.
import { isOld } from "./account.js";
import * as format from "./format.js";
import { chosen } from "./page.js";
import { start, want } from "./socket.js";

const FLASH_EVERY = 1_000;
const FLASH_FOR = 600;
const WRITE_EVERY = 200; // nobody reads faster, and each time costs a layout
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const clock = new Intl.DateTimeFormat("en-GB", {
  timeZone: "America/New_York", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

const bound = new Map(); // symbol -> elements that show it
const onScreen = new Map(); // symbol -> how many of them are in sight
const pending = new Map(); // symbol -> newest quote not yet written
const lastPrice = new Map();
const flashed = new WeakMap();
let portfolio = null, frame = 0, wrote = 0;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting === (target.stSeen === true)) continue;
    target.stSeen = isIntersecting;
    const count = (onScreen.get(target.dataset.symbol) ?? 0) + (isIntersecting ? 1 : -1);
    if (count > 0) onScreen.set(target.dataset.symbol, count);
    else onScreen.delete(target.dataset.symbol);
  }
  want(onScreen.keys());
}, { rootMargin: "200px" });

function bind() {
  watcher.disconnect();
  bound.clear();
  onScreen.clear();
  for (const element of document.querySelectorAll("[data-symbol][data-f]")) {
    const { symbol } = element.dataset;
    if (!bound.has(symbol)) bound.set(symbol, []);
    bound.get(symbol).push(element);
    element.stSeen = false;
    watcher.observe(element);
  }
  want(onScreen.keys());
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setChange(element, amount, percent, tick) {
  const text = format.change(amount, percent, tick);
  const way = /[1-9]/.test(text) ? format.direction(amount ?? percent) : "flat"; // zero has none
  element.classList.remove("up", "down", "flat");
  element.classList.add(way);
  setText(element.querySelector(".arrow"), format.RULES[way] ?? "");
  setText(element.querySelector(".vh"), format.RULES[`${way}_words`] ?? "");
  setText(element.querySelector(".num"), text);
}

// field of an element -> how a quote is written into it
const WRITERS = {
  last: (e, q) => setPrice(e, q.last),
  bid: (e, q) => setPrice(e, q.bid),
  ask: (e, q) => setPrice(e, q.ask),
  as_of: (e, q) => setText(e, `${clock.format(new Date(q.as_of))} ET`),
  change: (e, q) => setChange(e, q.change, q.change_pct, e.dataset.tick || null),
  change_pct: (e, q) => setChange(e, null, q.change_pct, null),
  away: (e, q) => setText(e, format.pct(format.percent(format.minus(q.last, e.dataset.level), q.last).replace("-", ""))),
  value: (e, q) => setAmount(e, format.times(q.last, e.dataset.qty)),
  day: (e, q) => setChange(e, format.times(q.change, e.dataset.qty), null, null),
  pl: (e, q) => {
    const gain = format.minus(format.times(q.last, e.dataset.qty), e.dataset.cost);
    setChange(e, gain, format.percent(gain, e.dataset.cost), null);
  },
};

// The value is the live one also while a chart's crosshair speaks through the element.
function setValue(element, value, text) {
  element.value = value;
  if (!("held" in element.dataset)) setText(element, text);
}

const setPrice = (element, value) => setValue(element, value, format.price(value, element.dataset.tick || null));
const setAmount = (element, value) => setValue(element, value, format.money(value));

function flash(element, quote, way) {
  const row = element.closest("[data-row]:not(header)") ?? element; // a head is too large to flash
  const now = performance.now();
  if (calm.matches || document.hidden || chosen("flash") === "off" || now - (flashed.get(row) ?? -FLASH_EVERY) < FLASH_EVERY) return;
  flashed.set(row, now);
  row.classList.remove("flash-up", "flash-down");
  row.classList.add(`flash-${way}`);
  setTimeout(() => row.classList.remove(`flash-${way}`), FLASH_FOR);
}

// What is grey as one: a row, or a number that stands alone.
const place = (element) => element.closest("[data-row]") ?? element;

function write(symbol, quote) {
  const before = lastPrice.get(symbol);
  lastPrice.set(symbol, quote.last);
  const way = before === undefined ? "flat" : format.direction(format.minus(quote.last, before));
  for (const element of bound.get(symbol) ?? []) {
    place(element).toggleAttribute("data-stale", quote.stale === true);
    WRITERS[element.dataset.f]?.(element, quote);
    if (element.dataset.f === "last" && way !== "flat" && !("held" in element.dataset)) flash(element, quote, way);
  }
}

function writePortfolio(values) {
  for (const element of document.querySelectorAll("[data-portfolio]")) {
    const name = element.dataset.portfolio;
    if (!(name in values)) continue;
    place(element).toggleAttribute("data-stale", isOld(values, name));
    if (element.classList.contains("chg")) setChange(element, values[name], values[`${name}_pct`] ?? null, null);
    else setAmount(element, values[name]);
  }
}

function flush() {
  frame = 0;
  wrote = performance.now();
  if (chosen("paused") === "on") return; // what comes meanwhile waits, the newest of each
  for (const [symbol, quote] of pending) write(symbol, quote);
  if (portfolio) writePortfolio(portfolio);
  portfolio = null;
  document.dispatchEvent(new CustomEvent("st:quotes", { detail: new Map(pending) }));
  pending.clear();
}

function soon() {
  const wait = Math.max(0, wrote + WRITE_EVERY - performance.now());
  frame ||= setTimeout(() => requestAnimationFrame(flush), wait);
}

document.body.addEventListener("st:portfolio", (event) => { portfolio = event.detail; soon(); });
document.addEventListener("st:paused", soon);
document.addEventListener("htmx:load", () => queueMicrotask(bind));
bind();
start({
  onQuotes: (quotes) => { for (const quote of quotes) pending.set(quote.symbol, quote); soon(); },
  onLost: () => {
    pending.clear();
    portfolio = null; // what waits because of a pause is old
    for (const element of document.querySelectorAll("[data-f], [data-portfolio]")) place(element).setAttribute("data-stale", "");
  },
});
