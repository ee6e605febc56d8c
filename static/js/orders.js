// What became of an order, told on whatever page its owner is; on its own page it is spoken only.
import * as format from "./format.js";
import { speak } from "./page.js";
import { toast } from "./ui.js";

const told = new Map(); // order id -> status that was told
const ANSWERED = "answered"; // the server's own toast has told how it ended
const GATHER_FOR = 500;
const DIGITS = 4; // of a price below a cent, after its zeros: the event names no tick
const name = (order) => order.symbol.split("/")[0];

function price(value) {
  const [, zeros, digits] = /^0\.(0+)(\d+)$/.exec(value) ?? [];
  if (!zeros) return format.price(value);
  return format.price(value, `0.${"0".repeat(zeros.length + Math.min(digits.length, DIGITS) - 1)}1`);
}

const WORDS = {
  filled: (order) => [
    `${order.side === "buy" ? "Bought" : "Sold"} ${format.qty(order.filled_qty)} ${name(order)} at ${price(order.avg_fill_price)}`,
    "success",
  ],
  partially_filled: (order) => [`${name(order)}: ${format.qty(order.filled_qty)} filled so far`, "info"],
  rejected: (order) => [`${name(order)}: the order was rejected. ${order.reject_reason ?? ""}`, "error"],
  expired: (order) => [`${name(order)}: the order has expired`, "info"],
};

const isFill = (order) => order.status.endsWith("filled");

function tell(order, text, level) {
  if (location.pathname === `/orders/${order.id}`) speak(text);
  else toast(text, level, isFill(order) ? "fills" : "ends");
}

// Cancels come in numbers, and one's own is answered by the server: wait a moment, say it once.
let canceled = [];
let waiting = 0;

function cancels() {
  const news = canceled.filter(({ id }) => told.get(id) !== ANSWERED);
  canceled = [];
  if (news.length === 1) tell(news[0], `${name(news[0])}: the order is canceled`, "info");
  else if (news.length) tell(news[0], `${news.length} orders are canceled`, "info");
}

document.body.addEventListener("st:order", ({ detail: order }) => {
  if (order?.answered) told.set(order.id, ANSWERED);
  if (!order?.status || [order.status, ANSWERED].includes(told.get(order.id))) return;
  told.set(order.id, order.status);
  if (order.status === "canceled") {
    canceled.push(order);
    clearTimeout(waiting);
    waiting = setTimeout(cancels, GATHER_FOR);
  } else if (WORDS[order.status]) tell(order, ...WORDS[order.status](order));
});
