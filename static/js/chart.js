// The price chart of a symbol: line or candles with volume, ranges, the last bar continued live.
// Frame: [data-price-chart], components/_price_chart.html; the words of its numbers stay text.
import * as format from "./format.js";
import { CandlestickSeries, HistogramSeries, LineSeries, LineStyle, load, moment, place, ranges, say, stage } from "./chart-base.js";
import { drawIndicators, isTall } from "./chart-indicators.js";
import { drawMarks } from "./chart-marks.js";
import { Reader, sentence } from "./chart-reader.js";
import { colors, faint } from "./theme-colors.js";

const SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1D": 86_400 };
const STYLE_KEY = "chart-style";
const MARKS_AFTER = 150; // milliseconds: an order's news comes in bursts

class PriceChart {
  constructor(frame) {
    this.frame = frame;
    this.box = frame.querySelector(".chart");
    this.tick = frame.dataset.tick || null;
    this.marks = JSON.parse(document.getElementById("chart-marks")?.textContent ?? "null");
    const plot = frame.querySelector(".plot");
    this.chart = stage(plot, () => this.draw());
    this.reader = new Reader(this.chart, plot, this.tick);
    this.styles = [...frame.querySelectorAll("button[data-style]")];
    for (const button of this.styles) button.addEventListener("click", () => this.setStyle(button.dataset.style));
    this.setStyle(localStorage.getItem(STYLE_KEY) === "candles" ? "candles" : "line");
    this.range = ranges(frame, (range) => this.choose(range));
    frame.addEventListener("change", (event) => { if (event.target.name === "indicators") this.fetch(); });
    document.addEventListener("st:quotes", (event) => this.follow(event.detail.get(frame.dataset.symbolOf)));
    document.body.addEventListener("st:resync", () => { this.fetch(); this.remark(); });
    for (const name of ["st:order", "st:alert"]) document.body.addEventListener(name, () => this.remark());
    this.fetch();
  }

  choose(range) {
    [this.range, this.waits] = [range, 0];
    const table = this.frame.querySelector("[data-bars]");
    table.querySelector("[name=range]").value = range;
    if (table.querySelector("[data-slot] > :not(a)")) table.dispatchEvent(new CustomEvent("st:range"));
    this.fetch();
  }

  async fetch() {
    this.loading?.abort();
    this.loading = new AbortController();
    const names = [...this.frame.querySelectorAll("[name=indicators]:checked")].map((box) => box.value);
    this.box.classList.toggle("tall", isTall(names));
    const query = names.length ? `&indicators=${names.join(",")}` : "";
    const data = await load(this.box, `${this.frame.dataset.src}?range=${this.range}${query}`, this.loading.signal, () => this.fetch());
    if (!data) return;
    this.length = SECONDS[data.timeframe];
    let before = -Infinity; // the hour that New York's autumn repeats must still come later
    this.bars = data.bars.map((bar) => ({
      time: (before = Math.max(place(bar.t, this.length), before + 1)), text: bar.c, lowText: bar.l, highText: bar.h,
      open: Number(bar.o), high: Number(bar.h), low: Number(bar.l), close: Number(bar.c), volume: Number(bar.v),
    }));
    this.indicators = data.indicators;
    this.prev = this.range === "1D" ? this.frame.dataset.prev : null;
    this.base = this.prev ?? data.bars[0]?.o;
    this.draw();
    if (this.bars.length) this.tell();
    else say(this.box, data.loading ? "Bars are on their way." : "No bars yet.");
    this.waits = data.loading ? (this.waits ?? 0) + 1 : 0;
    if (data.loading && this.waits <= 10) setTimeout(() => this.fetch(), 2000);
    this.chart.timeScale().fitContent();
  }

  draw() {
    for (const series of this.series ?? []) this.chart.removeSeries(series);
    this.series = [];
    if (!this.bars?.length) return;
    const look = colors();
    const places = format.priceDecimals(this.bars[0].text, this.tick);
    this.chart.applyOptions({ localization: { priceFormatter: (value) => format.price(value.toFixed(places), this.tick) } });
    const ending = "closed" in this.frame.dataset ? { title: "Close", priceLineColor: look["ink-2"] } : {};
    const common = { priceFormat: { type: "price", precision: places, minMove: 10 ** -places }, priceLineStyle: LineStyle.Dotted };
    if (this.style === "candles") {
      this.main = this.chart.addSeries(CandlestickSeries, {
        ...common, ...ending, upColor: look.gain, downColor: look.loss, borderVisible: false, wickUpColor: look.gain, wickDownColor: look.loss,
      });
    } else {
      const risen = this.bars.at(-1).close >= Number(this.base);
      this.main = this.chart.addSeries(LineSeries, { ...common, ...ending, color: risen ? look.gain : look.loss, lineWidth: 2 });
    }
    const volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.main.setData(this.bars.map((bar) => this.point(bar)));
    volume.setData(this.bars.map(({ time, volume: value, open, close }) => (
      { time, value, color: faint(close >= open ? look.gain : look.loss, 0.3) })));
    if (this.prev) {
      this.main.createPriceLine({ price: Number(this.prev), color: look["ink-2"], lineStyle: LineStyle.Dotted, lineWidth: 1, axisLabelVisible: false, title: "Prev close" });
    }
    this.series = [this.main, volume, ...drawIndicators(this.chart, this.indicators, this.bars, look, common)];
    this.unmark = drawMarks(this);
    this.reader.take(this.main, this.bars, this.length);
  }

  tell() {
    const { words } = this.frame.querySelector(`[data-range="${this.range}"]`).dataset;
    const when = words === "since" ? `since ${moment(this.bars[0].time, this.length)}` : words;
    const text = sentence(this.frame.dataset.symbolOf, this.bars, this.base, when, this.tick);
    document.getElementById("chart-summary").textContent = text;
  }

  point({ time, open, high, low, close }) {
    return this.style === "candles" ? { time, open, high, low, close } : { time, value: close };
  }

  remark() {
    const url = this.frame.dataset.marksSrc;
    clearTimeout(this.marking);
    if (!url) return;
    this.marking = setTimeout(async () => {
      const answer = await fetch(url).catch(() => null);
      if (!answer?.ok) return;
      this.marks = await answer.json();
      if (!this.series?.length) return;
      this.unmark();
      this.unmark = drawMarks(this);
    }, MARKS_AFTER);
  }

  follow(quote) {
    const last = this.bars?.at(-1);
    if (!quote || !last || quote.stale || !this.series.length) return;
    if ("closed" in this.frame.dataset && delete this.frame.dataset.closed) this.draw(); // it has opened
    const price = Number(quote.last);
    const bars = Math.floor((place(quote.as_of, this.length) - last.time) / this.length);
    if (bars < 0) return;
    let bar = last;
    if (bars > 0) {
      bar = { time: last.time + bars * this.length, open: price, high: -Infinity, low: Infinity, volume: 0 };
      this.bars.push(bar);
    }
    if (price > bar.high) Object.assign(bar, { high: price, highText: quote.last });
    if (price < bar.low) Object.assign(bar, { low: price, lowText: quote.last });
    Object.assign(bar, { close: price, text: quote.last });
    this.main.update(this.point(bar));
  }

  setStyle(style) {
    this.style = style;
    localStorage.setItem(STYLE_KEY, style);
    for (const button of this.styles) button.setAttribute("aria-pressed", String(button.dataset.style === style));
    this.draw();
  }
}

for (const frame of document.querySelectorAll("[data-price-chart]")) new PriceChart(frame);
