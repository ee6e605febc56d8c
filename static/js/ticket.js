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
