// What is drawn over the price: one's own cost, working orders, fills and alerts that wait.
import * as format from "./format.js";
import { EDGE, FONT, LineStyle, createSeriesMarkers, place } from "./chart-base.js";
import { colors } from "./theme-colors.js";

const NARROW = 480; // pixels: on a chart below it, all the words would take a quarter of the width

// Draws `marks` (see trading/marks.py) on the main series of a chart; returns what takes them off again.
export function drawMarks({ chart, series, main, marks, bars, length, tick }) {
  const look = colors();
  const narrow = chart.chartElement().clientWidth < NARROW;
  const line = (price, color, title, lineStyle) => main.createPriceLine({
    price: Number(price), color, title, lineStyle, lineWidth: 1,
  });
  const lines = [];
  const { position, orders = [], fills = [], alerts = [] } = marks ?? {};
  if (position) {
    lines.push(line(position.avg_price, look["ink-2"], narrow ? "Avg" : `Avg cost, ${format.qty(position.qty)}`, LineStyle.Dashed));
  }
  for (const { side, qty, price } of orders) {
    const title = `${side === "buy" ? "Buy" : "Sell"} ${format.qty(qty)}`;
    const at = narrow ? "" : ` @ ${format.price(price, tick).slice(1)}`;
    lines.push(line(price, side === "buy" ? look.gain : look.loss, title + at, LineStyle.LargeDashed));
  }
  for (const { direction, price } of alerts) {
    lines.push(line(price, look.warn, narrow ? "Alert" : `Alert ${direction}`, LineStyle.Dotted));
  }
  makeRoom(chart, [...series, ...lines].map((one) => one.options().title));
  const markers = createSeriesMarkers(main, places(fills, bars, length, look));
  return () => {
    for (const one of lines) main.removePriceLine(one);
    markers.detach();
  };
}

// Leaves room after the last point for words that stand at the right end of their lines: nothing
// else is drawn under them.
function makeRoom(chart, words) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${FONT}px ${getComputedStyle(document.body).fontFamily}`;
  const widest = Math.max(0, ...words.filter(Boolean).map((text) => pen.measureText(text).width));
  const room = widest ? Math.ceil(widest) + EDGE : EDGE;
  const time = chart.timeScale();
  if (time.options().rightOffsetPixels === room) return;
  time.applyOptions({ rightOffsetPixels: room });
  time.fitContent();
}

// One letter for each bar and side, however often one traded in it.
function places(fills, bars, length, look) {
  const found = new Map();
  for (const { t, side } of fills) {
    const at = place(t, length);
    const time = bars.findLast((bar) => bar.time <= at)?.time;
    if (time === undefined) continue;
    const buy = side === "buy";
    found.set(`${time}${side}`, {
      time, text: buy ? "B" : "S", color: buy ? look.gain : look.loss,
      position: buy ? "belowBar" : "aboveBar", shape: buy ? "arrowUp" : "arrowDown",
    });
  }
  return [...found.values()].sort((a, b) => a.time - b.time);
}
