// Parts of a page that fetch themselves anew: no news is lost between a part and its successor, and
// what a person holds in it stays with them.
const NEWS = ["st:order", "st:alert", "st:account", "st:halt", "st:resync"]; // a pulse comes again anyway
const SOON = 500; // ms until a part that came too early asks again: twice a second at most in a busy hour
const heard = Object.fromEntries(NEWS.map((kind) => [kind, 0]));
const asked = new Map(); // id of a part -> how much of its news there was when it last asked

const fetchesItself = ({ target, requestConfig }) => target === requestConfig.elt;

function newsOf(part) {
  const listens = part.getAttribute("hx-trigger") ?? "";
  return NEWS.reduce((sum, kind) => sum + (listens.includes(kind) ? heard[kind] : 0), 0);
}

// What htmx keeps waiting for a part that is fetching goes with that part, and its successor hears
// nothing before it has settled.
function catchUp(id) {
  const part = document.getElementById(id);
  const from = part?.getAttribute("hx-get");
  if (from && asked.get(id) !== newsOf(part)) htmx.ajax("GET", from, { source: part }).catch(() => {}); // it is told
}

for (const kind of NEWS) document.body.addEventListener(kind, () => { heard[kind] += 1; }, true); // before htmx hears
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (fetchesItself(detail) && detail.target.id) asked.set(detail.target.id, newsOf(detail.target));
});
document.addEventListener("htmx:afterSettle", ({ target, detail }) => {
  const { id } = detail.requestConfig.elt;
  if (id && target.id === id && asked.get(id) !== newsOf(target)) setTimeout(catchUp, SOON, id);
});

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
