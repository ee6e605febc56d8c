// Reading a price chart: the crosshair, by pointer or by keys, speaks through the page's hero number.
import * as format from "./format.js";
import { moment } from "./chart-base.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

// The chart in one sentence, as marketdata/charts.py says it of today.
export function sentence(symbol, bars, base, words, tick) {
  const last = bars.at(-1).text;
  const moved = format.minus(last, base);
  const by = ` ${format.pct(format.percent(moved.replace("-", ""), base))}`;
  const way = { up: `rose${by}`, down: `fell${by}`, flat: "did not move" }[format.direction(moved)];
  const low = bars.reduce((a, b) => (b.low < a.low ? b : a)).lowText;
  const high = bars.reduce((a, b) => (b.high > a.high ? b : a)).highText;
  const price = (text) => format.price(text, tick);
  return `${symbol} ${way} ${words}, from ${price(base)} to ${price(last)}; low ${price(low)}, high ${price(high)}.`;
}

export class Reader {
  constructor(chart, plot, tick) {
    Object.assign(this, { chart, tick, bars: [], at: null });
    chart.subscribeCrosshairMove(({ time }) => this.show(this.bars.find((bar) => bar.time === time)));
    plot.addEventListener("keydown", (event) => this.key(event));
    plot.addEventListener("blur", () => this.release());
  }

  // What there is to read: the bars of `series`, each `length` seconds long.
  take(series, bars, length) {
    if (bars !== this.bars) this.release();
    Object.assign(this, { series, bars, length });
  }

  key(event) {
    const step = STEPS[event.key];
    if (event.key === "Escape") this.release();
    if (!step || !this.bars.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const last = this.bars.length - 1;
    this.at = Math.min(Math.max((this.at ?? last) + step * (event.shiftKey ? 10 : 1), 0), last);
    const bar = this.bars[this.at];
    this.chart.setCrosshairPosition(bar.close, bar.time, this.series);
    this.show(bar);
  }

  release() {
    if (this.at !== null) this.chart.clearCrosshairPosition();
    this.at = null;
    this.show(null);
  }

  // One bar's price and time, or, without one, the live price again, which quotes.js keeps as the value.
  show(bar) {
    const hero = document.querySelector("[data-hero]");
    const when = document.querySelector("[data-hero-when]");
    if (!hero || (!bar && !("held" in hero.dataset))) return;
    hero.toggleAttribute("data-held", Boolean(bar));
    hero.textContent = format.price(bar ? bar.text : hero.value, this.tick);
    if (when) when.textContent = bar ? moment(bar.time, this.length) : when.dataset.heroWhen;
  }
}
