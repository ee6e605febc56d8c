// Lines that the server computed from the bars: over the price, or in panes below it.
import { HistogramSeries, LineSeries, LineStyle } from "./chart-base.js";
import { faint } from "./theme-colors.js";

const BELOW = ["rsi14", "macd"];
// indicator -> line -> [title, colour of the tokens, style]
const LINES = {
  sma20: { value: ["SMA 20", "warn"] },
  ema50: { value: ["EMA 50", "link"] },
  bb20: { upper: ["BB", "ink-2"], middle: ["", "ink-2", "Dotted"], lower: ["", "ink-2"] },
  vwap: { value: ["VWAP", "ink", "Dashed"] },
  rsi14: { value: ["RSI 14", "link"] },
  macd: { histogram: ["", "ink-2"], macd: ["MACD", "link"], signal: ["Signal", "warn"] },
};

export const isTall = (names) => names.some((name) => BELOW.includes(name));

// Adds the series of `found` (indicator -> line -> texts, one for each bar) and returns them.
export function drawIndicators(chart, found, bars, look, common) {
  const series = [];
  let panes = 0;
  for (const [name, lines] of Object.entries(found ?? {})) {
    const pane = BELOW.includes(name) ? (panes += 1) : 0;
    const own = pane ? {} : common;
    for (const [line, [title, color, style]] of Object.entries(LINES[name] ?? {})) {
      const bar = line === "histogram";
      const added = chart.addSeries(bar ? HistogramSeries : LineSeries, {
        ...own, title, lineWidth: 1, color: bar ? faint(look[color], 0.5) : look[color],
        lineStyle: LineStyle[style ?? "Solid"], priceLineVisible: false, lastValueVisible: title !== "",
      }, pane);
      added.setData(lines[line].map((text, n) => (
        text === null ? { time: bars[n].time } : { time: bars[n].time, value: Number(text) })));
      series.push(added);
    }
    if (name === "rsi14") {
      for (const price of [30, 70]) {
        series.at(-1).createPriceLine({ price, color: look.line, lineWidth: 1, axisLabelVisible: false });
      }
    }
  }
  if (panes) chart.panes()[0].setStretchFactor(3);
  return series;
}
