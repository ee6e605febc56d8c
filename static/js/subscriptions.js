// Which symbols this page wants, and what the server was told of them.
import { shown } from "./news.js";

const wanted = new Set();
const sent = new Set();
let asked = false; // for the portfolio

export function choose(symbols) {
  wanted.clear();
  for (const symbol of symbols) wanted.add(symbol);
}

// A new connection knows nothing.
export function forget() {
  sent.clear();
  asked = false;
}

// Tell the server the difference between what is wanted and what it was told.
export function settle(send) {
  const goal = document.hidden ? new Set() : wanted;
  const gone = [...sent].filter((symbol) => !goal.has(symbol));
  const come = [...goal].filter((symbol) => !sent.has(symbol));
  // The id of the account that this page shows; any other is another page's business.
  const portfolio = document.querySelector("[data-portfolio]") !== null && (shown() || true);
  if (gone.length) send({ action: "unsubscribe", symbols: gone });
  if (come.length || (portfolio && !asked)) send({ action: "subscribe", symbols: come, portfolio });
  asked = portfolio;
  for (const symbol of gone) sent.delete(symbol);
  for (const symbol of come) sent.add(symbol);
}
