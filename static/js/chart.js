// The price chart of a symbol: line or candles with volume, ranges, the last bar continued live.
// Frame: [data-price-chart] with data-src, data-symbol-of, data-tick, data-hours; see templates/README.md.
import * as format from "./format.js";
import { CandlestickSeries, HistogramSeries, LineSeries, LineStyle, load, moment, place, ranges, stage } from "./chart-base.js";
import { colors, faint } from "./theme-colors.js";

const SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1D": 86_400 };
// range -> [timeframe, bars in a market that never closes, bars in New York's hours]
const RANGES = {
  "1D": ["5m", 288, 78], "1W": ["15m", 672, 130], "1M": ["1h", 720, 147],
  "3M": ["1D", 92, 63], "1Y": ["1D", 365, 252], ALL: ["1D", 1_000, 1_000],
};
const STYLE_KEY = "chart-style";

class PriceChart {
  constructor(frame) {
    this.frame = frame;
    this.box = frame.querySelector(".chart");
    this.tick = frame.dataset.tick || null;
    this.chart = stage(this.box, () => this.draw());
    this.style = localStorage.getItem(STYLE_KEY) === "candles" ? "candles" : "line";
    this.range = ranges(frame, (range) => { this.range = range; this.fetch(); });
    frame.querySelectorAll("button[data-style]").forEach((button) => {
      button.addEventListener("click", () => this.setStyle(button.dataset.style));
    });
    this.chart.subscribeCrosshairMove((at) => this.scrub(at));
    document.addEventListener("st:quotes", (event) => this.follow(event.detail.get(frame.dataset.symbolOf)));
    document.body.addEventListener("st:resync", () => this.fetch());
    this.showStyle();
    this.fetch();
  }

  async fetch() {
    this.loading?.abort();
    this.loading = new AbortController();
    const [timeframe, always, nyse] = RANGES[this.range];
    this.length = SECONDS[timeframe];
    const limit = this.frame.dataset.hours === "nyse" ? nyse : always;
    const url = `${this.frame.dataset.src}?timeframe=${timeframe}&limit=${limit}`;
    const data = await load(this.box, url, this.loading.signal, () => this.fetch());
    if (!data) return;
    // Floats only here, where they become pixels; the numbers in words stay text.
    let before = -Infinity; // the hour that New York's autumn repeats must still come later
    this.bars = data.bars.map((bar) => ({
      time: (before = Math.max(place(bar.t, this.length), before + 1)), open: Number(bar.o), high: Number(bar.h), low: Number(bar.l),
      close: Number(bar.c), volume: Number(bar.v), text: bar.c,
    }));
    this.draw();
  }

  draw() {
    if (!this.bars?.length) return;
    for (const series of this.series ?? []) this.chart.removeSeries(series);
    const look = colors();
    const places = format.priceDecimals(this.bars[0].text, this.tick);
    this.chart.applyOptions({
      localization: { priceFormatter: (value) => format.price(value.toFixed(places), this.tick) },
    });
    const common = { priceFormat: { type: "price", precision: places, minMove: 10 ** -places }, priceLineStyle: LineStyle.Dotted };
    if (this.style === "candles") {
      this.main = this.chart.addSeries(CandlestickSeries, {
        ...common, upColor: look.gain, downColor: look.loss, borderVisible: false, wickUpColor: look.gain, wickDownColor: look.loss,
      });
    } else {
      const risen = this.bars.at(-1).close >= this.bars[0].close;
      this.main = this.chart.addSeries(LineSeries, { ...common, color: risen ? look.gain : look.loss, lineWidth: 2 });
    }
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.series = [this.main, this.volume];
    this.shade = (bar) => faint(bar.close >= bar.open ? look.gain : look.loss, 0.3);
    this.main.setData(this.bars.map((bar) => this.point(bar)));
    this.volume.setData(this.bars.map((bar) => this.column(bar)));
    this.chart.timeScale().fitContent();
  }

  point(bar) {
    const { time, open, high, low, close } = bar;
    return this.style === "candles" ? { time, open, high, low, close } : { time, value: close };
  }

  column(bar) {
    return { time: bar.time, value: bar.volume, color: this.shade(bar) };
  }

  follow(quote) {
    const last = this.bars?.at(-1);
    if (!quote || !last || quote.stale || !this.main) return;
    const price = Number(quote.last);
    const bars = Math.floor((place(quote.as_of, this.length) - last.time) / this.length);
    if (bars < 0) return;
    let bar = last;
    if (bars > 0) {
      bar = { time: last.time + bars * this.length, open: price, high: price, low: price, close: price, volume: 0 };
      this.bars.push(bar);
    }
    Object.assign(bar, { high: Math.max(bar.high, price), low: Math.min(bar.low, price), close: price, text: quote.last });
    this.main.update(this.point(bar));
  }

  // The crosshair speaks through the page's hero number; leaving gives it back to the live price.
  scrub(at) {
    const hero = document.querySelector("[data-hero]");
    const when = document.querySelector("[data-hero-when]");
    const bar = at.time === undefined ? null : this.bars?.find(({ time }) => time === at.time);
    if (!hero) return;
    hero.toggleAttribute("data-held", bar !== null && bar !== undefined);
    const shown = bar ?? this.bars?.at(-1);
    if (shown) hero.textContent = format.price(shown.text, this.tick);
    if (when) when.textContent = bar ? moment(bar.time, this.length) : when.dataset.heroWhen;
  }

  setStyle(style) {
    this.style = style;
    localStorage.setItem(STYLE_KEY, style);
    this.showStyle();
    this.draw();
  }

  showStyle() {
    this.frame.querySelectorAll("button[data-style]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.style === this.style));
    });
  }
}

for (const frame of document.querySelectorAll("[data-price-chart]")) new PriceChart(frame);
