// The order ticket: chips fill the amount. The estimate is the server's (htmx), and so is every rule.

document.addEventListener("click", (event) => {
  const chip = event.target.closest?.("[data-fill]");
  if (!chip) return;
  const input = document.getElementById(chip.dataset.fill);
  if (!input) return;
  input.value = chip.dataset.value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.focus();
});

// Buy and Sell of the phone's dock, and the keys b and s: the ticket that is on the page already.
// With a price (a row of the order book) it becomes a limit order at that price.
function choose(side, price) {
  const radio = document.querySelector(`#ticket input[name=side][value=${side}]`);
  if (!radio || radio.matches(":disabled")) return false;
  radio.checked = true;
  if (price) {
    document.getElementById("id_order_type").value = "limit";
    document.getElementById("id_limit_price").value = price;
  }
  radio.dispatchEvent(new Event("change", { bubbles: true }));
  document.getElementById("ticket").scrollIntoView({ block: "start" });
  document.getElementById("id_amount").focus({ preventScroll: true });
  return true;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-side]");
  if (link && choose(link.dataset.side, link.dataset.price)) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const side = { b: "buy", s: "sell" }[event.key];
  const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (!side || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (choose(side)) event.preventDefault();
});
