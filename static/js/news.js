// What the server tells over the socket, as events on <body>:
//   st:order, st:portfolio, st:alert, st:account, st:halt (detail: what came), st:resync (something was missed: refetch).
// st:market, that the market opens or closes, is the page's own (standing.js).

export const emit = (name, detail = null) => document.body.dispatchEvent(new CustomEvent(name, { detail }));
export const shown = () => Number(document.body.dataset.account ?? 0);

// A halt of all trading is every page's business, that of a symbol its own page's.
const concerns = (symbol) => !symbol || symbol === document.getElementById("standing")?.dataset.symbol;

export function tell(message) {
  if (message.type === "order") emit("st:order", message.order);
  else if (message.type === "portfolio") {
    if (!shown() || message.portfolio.account_id === shown()) emit("st:portfolio", message.portfolio);
  } else if (message.type === "alert") emit("st:alert", message.alert);
  else if (message.type === "account" || message.type === "resync") emit(`st:${message.type}`, message);
  else if (message.type === "halt" && concerns(message.symbol)) emit("st:halt", message);
}
