// The equity curve: green above the value at the start of the period, red below it.
// Frame: [data-equity-chart] with data-src that answers ?period=… with {points: [{t, equity,
// net_deposits}], change, change_pct, summary}. [data-period-change] beside the hero says the change.
import * as format from "./format.js";
import { BaselineSeries, LineStyle, load, moment, place, ranges, stage } from "./chart-base.js";
import { goOn, stepOf } from "./curve.js";
import { chosen } from "./page.js";
import { colors, faint } from "./theme-colors.js";

const HOURS_ONLY = 3_600; // points of a portfolio are moments, not days
const FLATTEST = 0.002; // the scale spans at least this share, or a cent would look like a cliff

function atLeast(info, span) {
  const range = info?.priceRange;
  const missing = range ? span - (range.maxValue - range.minValue) : 0;
  if (missing <= 0) return info;
  return { ...info, priceRange: { minValue: range.minValue - missing / 2, maxValue: range.maxValue + missing / 2 } };
}

class EquityChart {
  constructor(frame) {
    this.frame = frame;
    this.box = frame.querySelector(".chart");
    this.chart = stage(this.box, () => this.draw());
    this.chart.applyOptions({
      rightPriceScale: { scaleMargins: { top: 0.12, bottom: 0.08 } },
      localization: { priceFormatter: (value) => format.money(value.toFixed(2)) },
    });
    this.hero = document.querySelector("[data-period-change]");
    this.range = ranges(frame, (range) => { this.range = range; this.fetch(); });
    this.chart.subscribeCrosshairMove((at) => this.scrub(at));
    document.body.addEventListener("st:resync", () => this.fetch());
    document.body.addEventListener("st:portfolio", (event) => this.hear(event.detail));
    document.addEventListener("st:paused", () => this.hear(this.news));
    this.fetch();
  }

  async fetch() {
    this.loading?.abort();
    this.loading = new AbortController();
    const { src } = this.frame.dataset;
    const url = `${src}${src.includes("?") ? "&" : "?"}period=${this.range}`;
    const data = await load(this.box, url, this.loading.signal, () => this.fetch());
    if (!data) return;
    const points = new Map(data.points.map((p) => [place(p.t), p.equity]));
    this.points = [...points].sort(([a], [b]) => a - b).map(([time, text]) => ({ time, text, value: Number(text) }));
    this.step = stepOf(this.points);
    this.draw();
    this.tell(data);
  }

  // The words of the period: beside the hero, under the chart, and for the table.
  tell(data) {
    this.period = data.period; // what is on the page; a range whose fetch fails is not
    const { words } = this.frame.querySelector(`[data-range="${data.period}"]`).dataset;
    const [first, last] = [data.points[0], data.points.at(-1)];
    this.start = { equity: first.equity, paid: format.minus(last.net_deposits, first.net_deposits) };
    const when = this.hero?.querySelector("[data-hero-when]");
    if (when) when.textContent = when.dataset.heroWhen = words;
    this.change(data.change, data.change_pct);
    this.box.setAttribute("aria-label", data.summary);
    this.frame.querySelector("[data-curve-words]").textContent = data.summary;
    const [field, table] = [this.frame.querySelector("#curve-period"), this.frame.querySelector("[data-curve-table]")];
    if (field.value === data.period) return;
    field.value = data.period;
    const link = table.querySelector("a");
    if (link) link.search = `?period=${data.period}`;
    if (table.closest("details").open) table.dispatchEvent(new Event("st:range"));
  }

  // Today's change follows the account (quotes.js); that of a longer period is counted from its start.
  change(amount, percent) {
    const shown = this.hero?.querySelector(".chg");
    if (!shown) return;
    const today = this.period === "1D";
    const isToday = shown.dataset.portfolio === "day_pl"; // the server's own, until the account says more
    shown.dataset.portfolio = today ? "day_pl" : "period"; // which quotes.js does not write
    shown.toggleAttribute("data-stale", today && document.querySelector("[data-hero][data-stale]") !== null);
    if (today && isToday && !this.today) return;
    if (today && this.today) [amount, percent] = this.today;
    const way = format.direction(amount);
    shown.classList.remove("up", "down", "flat");
    shown.classList.add(way);
    shown.querySelector(".arrow").textContent = format.RULES[way] ?? "";
    shown.querySelector(".vh").textContent = format.RULES[`${way}_words`] ?? "";
    shown.querySelector(".num").textContent = format.change(amount, percent);
  }

  draw() {
    if (!this.points?.length) return;
    if (this.series) this.chart.removeSeries(this.series);
    const look = colors();
    const start = this.points[0].value;
    this.series = this.chart.addSeries(BaselineSeries, {
      baseValue: { type: "price", price: start }, lineWidth: 2, lastValueVisible: false, priceLineVisible: false,
      topLineColor: look.gain, topFillColor1: faint(look.gain, 0.22), topFillColor2: faint(look.gain, 0.02),
      bottomLineColor: look.loss, bottomFillColor1: faint(look.loss, 0.02), bottomFillColor2: faint(look.loss, 0.22),
      priceFormat: { type: "price", precision: 2, minMove: 0.01 },
      autoscaleInfoProvider: (fitted) => atLeast(fitted(), start * FLATTEST),
    });
    this.series.createPriceLine({ price: start, color: look["ink-2"], lineStyle: LineStyle.Dotted, lineWidth: 1, axisLabelVisible: false });
    this.series.setData(this.points.map(({ time, value }) => ({ time, value })));
    this.chart.timeScale().fitContent();
  }

  // While prices are paused, the newest waits.
  hear(news) {
    this.news = chosen("paused") === "on" ? news : null;
    if (!this.news) this.follow(news);
  }

  follow(portfolio) {
    const text = portfolio?.portfolio_value;
    if (!text) return;
    this.today = [portfolio.day_pl, portfolio.day_pl_pct];
    if (!this.series) return;
    const { equity, paid } = this.start;
    const gain = format.minus(format.minus(text, equity), paid);
    const base = paid.startsWith("-") ? equity : format.minus(equity, format.minus("0", paid));
    this.change(gain, format.percent(gain, base));
    const time = Math.max(place(portfolio.as_of), this.points.at(-1).time);
    const point = goOn(this.points, { time, text, value: Number(text) }, this.step);
    const scale = this.chart.timeScale();
    const whole = scale.getVisibleLogicalRange()?.from < 0.5; // who looks at a part keeps it
    this.series.update({ time: point.time, value: point.value });
    if (whole) scale.fitContent(); // or the start of a short curve would be pushed out
  }

  scrub(at) {
    const hero = document.querySelector("[data-hero]");
    const when = document.querySelector("[data-hero-when]");
    const point = at.time === undefined ? null : this.points?.find(({ time }) => time === at.time);
    if (!hero || (!point && !("held" in hero.dataset))) return;
    hero.toggleAttribute("data-held", Boolean(point));
    hero.textContent = format.money(point ? point.text : hero.value);
    if (when) when.textContent = point ? moment(point.time, HOURS_ONLY) : when.dataset.heroWhen;
  }
}

for (const frame of document.querySelectorAll("[data-equity-chart]")) new EquityChart(frame);
