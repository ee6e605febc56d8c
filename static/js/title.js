// "184.32 ▲1.17% AAPL · SpeedTrade": a tab in the background says it too, but not at every tick.
import * as format from "./format.js";

const EVERY = 5_000;
const hero = document.querySelector("[data-hero][data-symbol]");
const title = document.title;
let told = -EVERY;

document.addEventListener("st:quotes", (event) => {
  const quote = hero && event.detail.get(hero.dataset.symbol);
  if (!quote || performance.now() - told < EVERY) return;
  told = performance.now();
  const arrow = format.RULES[format.direction(quote.change_pct)] ?? "";
  const price = format.price(quote.last, hero.dataset.tick || null).replace(format.RULES.currency, "");
  document.title = `${price} ${arrow}${format.pct(quote.change_pct.replace("-", ""))} ${title}`;
});
