// Parts of a page that fetch themselves anew: what a person holds in one stays with them.
const fetchesItself = ({ target, requestConfig }) => target === requestConfig.elt;

// ── over a swap ──
let held = null; // the open questions of the part that is being swapped

document.addEventListener("htmx:beforeSwap", ({ target, detail }) => {
  held = null;
  if (!fetchesItself(detail)) return;
  held = Array.from(target.querySelectorAll(".sure[open]"), (question) => question.id);
});
document.addEventListener("htmx:afterSwap", () => {
  const open = held ?? [];
  held = null;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
});
