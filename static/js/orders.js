// What became of an order, told on whatever page its owner is; on its own page it is spoken only.
import * as format from "./format.js";
import { speak } from "./page.js";
import { toast } from "./ui.js";

const told = new Map(); // order id -> status that was told
const name = (order) => order.symbol.split("/")[0];

const WORDS = {
  filled: (order) => [
    `${order.side === "buy" ? "Bought" : "Sold"} ${format.qty(order.filled_qty)} ${name(order)} at ${format.price(order.avg_fill_price)}`,
    "success",
  ],
  partially_filled: (order) => [`${name(order)}: ${format.qty(order.filled_qty)} filled so far`, "info"],
  rejected: (order) => [`${name(order)}: the order was rejected. ${order.reject_reason ?? ""}`, "error"],
  expired: (order) => [`${name(order)}: the order has expired`, "info"],
};

document.body.addEventListener("st:order", ({ detail: order }) => {
  const words = WORDS[order?.status];
  if (!words || told.get(order.id) === order.status) return;
  told.set(order.id, order.status);
  const [text, level] = words(order);
  if (location.pathname === `/orders/${order.id}`) speak(text);
  else toast(text, level);
});
