// What both charts share: the canvas in the house's colours, loading, failing, ranges.
import { failure } from "./page.js";
import { colors, onThemeChange } from "./theme-colors.js";

export const { createChart, LineSeries, CandlestickSeries, HistogramSeries, BaselineSeries, LineStyle, createSeriesMarkers } =
  window.LightweightCharts;

const DAY = 86_400;
export const FONT = 12; // pixels
export const EDGE = 28; // pixels after the last point, for the half of its time that sticks out
const format = (options) => new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options });
const clock = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exactClock = format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = format({ month: "short", day: "numeric" });
const fullDay = format({ month: "short", day: "numeric", year: "numeric" });
const month = format({ month: "short", year: "2-digit" });
const newYork = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", timeZoneName: "longOffset" });
const offsets = new Map(); // hour of the epoch -> seconds that New York is off UTC

// The library thinks in UTC: bars shorter than a day are moved so that its days are New York's.
export function place(iso, length = 0) {
  const seconds = Math.floor(Date.parse(iso) / 1000);
  if (length >= DAY) return seconds;
  const hour = Math.floor(seconds / 3_600);
  if (!offsets.has(hour)) {
    const [, sign, h, m] = /GMT([+-])(\d\d):(\d\d)/.exec(newYork.format(seconds * 1000)) ?? [0, "+", 0, 0];
    offsets.set(hour, (sign === "-" ? -1 : 1) * (Number(h) * 3_600 + Number(m) * 60));
  }
  return seconds + offsets.get(hour);
}

// The words under a point that `place` made: the day for daily bars, day and time for shorter ones.
export function moment(seconds, length) {
  const date = new Date(seconds * 1000);
  return length >= DAY ? fullDay.format(date) : `${day.format(date)}, ${clock.format(date)} ET`;
}

function tick(seconds, kind) {
  const date = new Date(seconds * 1000);
  if (kind <= 1) return month.format(date);
  if (kind === 2) return day.format(date);
  return (kind === 4 ? exactClock : clock).format(date); // 4: points of one minute
}

function options(look) {
  const still = { color: look.line, labelBackgroundColor: look.ink };
  return {
    autoSize: true,
    layout: {
      background: { color: "transparent" }, textColor: look["ink-2"], fontSize: FONT,
      fontFamily: getComputedStyle(document.body).fontFamily,
      attributionLogo: false, // it injects inline style, which our CSP refuses; the link is under the chart
    },
    grid: { vertLines: { visible: false }, horzLines: { color: look.line, style: LineStyle.Dotted } },
    rightPriceScale: { borderVisible: false, entireTextOnly: true, scaleMargins: { top: 0.1, bottom: 0.22 } },
    timeScale: { borderVisible: false, timeVisible: true, tickMarkFormatter: tick, fixLeftEdge: true, rightOffsetPixels: EDGE },
    crosshair: { mode: 0, vertLine: { ...still, style: LineStyle.Solid }, horzLine: { ...still, style: LineStyle.Dashed } },
    handleScroll: { vertTouchDrag: false, mouseWheel: false },
    handleScale: { mouseWheel: false },
  };
}

// A chart in `box` that follows the theme; `paint(colors)` recolours the caller's series.
export function stage(box, paint) {
  const chart = createChart(box, options(colors()));
  onThemeChange(() => {
    const look = colors();
    chart.applyOptions(options(look));
    paint(look);
  });
  return chart;
}

// Fetch JSON into the chart; a failure is said in its place, with a way to try again.
export async function load(box, url, signal, retry) {
  const skeleton = box.querySelector(".skel");
  if (box.querySelector(".chart-message")) skeleton?.removeAttribute("hidden");
  box.querySelector(".chart-message")?.remove();
  box.setAttribute("aria-busy", "true");
  let id = null;
  try {
    const headers = { Accept: "application/json" };
    if (navigator.userActivation?.isActive) headers["X-By-Hand"] = "true"; // keeps the session, as in ui.js
    const response = await fetch(url, { signal, headers });
    id = response.headers.get("X-Request-Id");
    if (!response.ok) throw new Error(String(response.status));
    const data = await response.json();
    settle(box, skeleton);
    return data;
  } catch (error) {
    if (error.name === "AbortError") return null; // the next one says how it went
    settle(box, skeleton);
    cover(box, failure("the chart", id, retry));
    return null;
  }
}

function settle(box, skeleton) {
  box.removeAttribute("aria-busy");
  if (skeleton) skeleton.hidden = true;
}

// Words in the place of a chart.
export function say(box, text) {
  const message = document.createElement("div");
  message.role = "status";
  message.append(text);
  cover(box, message);
}

function cover(box, message) {
  box.querySelector(".chart-message")?.remove();
  message.classList.add("chart-message");
  box.append(message);
}

const typing = (target) => target.closest?.("input, select, textarea, [contenteditable], dialog");

// Buttons with data-range around a chart: one is pressed, `choose(range)` follows. Arrows, Home and End
// walk along them, the keys 1 to 9 press them from anywhere.
export function ranges(frame, choose) {
  const buttons = [...frame.querySelectorAll("button[data-range]")];
  const press = (button) => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    choose(button.dataset.range);
  };
  for (const [index, button] of buttons.entries()) {
    button.addEventListener("click", () => press(button));
    button.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: -1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = buttons.at(to % buttons.length);
      next.focus();
      press(next);
    });
  }
  document.addEventListener("keydown", (event) => {
    const off = document.documentElement.dataset.keys === "off" || typing(event.target);
    if (off || event.ctrlKey || event.metaKey || event.altKey || !/^[1-9]$/.test(event.key)) return;
    buttons[Number(event.key) - 1]?.click();
  });
  return buttons.find((button) => button.getAttribute("aria-pressed") === "true")?.dataset.range ?? "1D";
}
