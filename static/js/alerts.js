// What an alert says, on whatever page its owner is; and the level that its form begins with.
import { toast } from "./ui.js";

const told = new Map(); // alert id -> when it fired, of what was told

document.body.addEventListener("st:alert", ({ detail: alert }) => {
  if (alert?.state !== "fired" || told.get(alert.id) === alert.fired_at) return;
  told.set(alert.id, alert.fired_at);
  toast(alert.text, "alert", "alerts");
});

// Another way, another suggestion: as long as the price is the suggested one.
document.addEventListener("change", ({ target }) => {
  const form = target.name === "direction" && target.closest(".alert-form[data-above]");
  const price = form && form.elements.price;
  if (price && [form.dataset.above, form.dataset.below].includes(price.value)) price.value = form.dataset[target.value];
});
