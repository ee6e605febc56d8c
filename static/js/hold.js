// A button that is held for a moment and let go, for what a slip of the hand must not do. Letting go
// early, or elsewhere, does nothing (WCAG 2.5.2). Who cannot hold types a word beside it instead;
// the server asks for one of the two.
import { speak } from "./page.js";

const HOLD_FOR = 600; // ms
const KEYS = ["Enter", " "];
const EARLY = "That was too short: nothing was sent. Hold a little longer, then let go.";
const KEPT = "Not confirmed: nothing was sent.";
let held = null; // the button that is down, since when, by which finger or key, its bar and its timer

const holdAt = (target) => target.closest?.("[data-hold]");
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function say(button, words) {
  button.parentElement.querySelector("[data-hold-said]").textContent = words;
}

function tell(button, words) {
  say(button, words);
  speak(words);
}

function begin(button, since, by) {
  const bar = button.querySelector("[data-hold-bar]").animate(
    { scale: ["0 1", "1 1"] },
    { duration: HOLD_FOR, fill: "forwards", easing: calm() ? "steps(3)" : "linear" },
  );
  say(button, "Keep holding…");
  held = { button, since, by, bar, timer: setTimeout(tell, HOLD_FOR, button, "Now let go.") };
}

// `stayed`: it was let go where it was pressed.
function end(at, stayed) {
  if (!held) return;
  const { button, since, bar, timer } = held;
  held = null;
  clearTimeout(timer);
  bar.cancel();
  if (!button.isConnected) return; // another ticket took its place
  const full = at - since >= HOLD_FOR;
  if (!full || !stayed) tell(button, full ? KEPT : EARLY);
  else confirm(button);
}

function confirm({ form }) {
  const proof = Object.assign(document.createElement("input"), { type: "hidden", name: "confirmed", value: "hold" });
  form.elements.word.required = false;
  form.append(proof);
  form.requestSubmit(); // a question that was not ticked still keeps it
  proof.remove(); // the next one is held anew
  form.elements.word.required = true;
}

document.addEventListener("pointerdown", (event) => {
  const button = holdAt(event.target);
  if (button && !button.disabled && !held && event.isPrimary && event.button === 0) begin(button, event.timeStamp, event.pointerId);
});
document.addEventListener("pointerup", (event) => {
  if (held?.by !== event.pointerId) return; // another finger
  const under = document.elementFromPoint(event.clientX, event.clientY);
  end(event.timeStamp, held?.button.contains(under));
});
document.addEventListener("pointercancel", (event) => { if (held?.by === event.pointerId) end(event.timeStamp, false); });
document.addEventListener("contextmenu", (event) => { if (holdAt(event.target)) event.preventDefault(); }); // of a long touch
addEventListener("blur", (event) => end(event.timeStamp, false));

document.addEventListener("keydown", (event) => {
  const button = holdAt(event.target);
  if (!button || !KEYS.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault(); // no click of it
  if (!held && !event.repeat && !button.disabled) begin(button, event.timeStamp, event.key);
});
document.addEventListener("keyup", (event) => {
  if (!KEYS.includes(event.key)) return;
  if (holdAt(event.target)) event.preventDefault();
  if (held?.by === event.key) end(event.timeStamp, holdAt(event.target) === held?.button);
});
document.addEventListener("focusout", (event) => { if (event.target === held?.button) end(event.timeStamp, false); });

// What clicks without holding, such as a screen reader, is told what to do.
document.addEventListener("click", (event) => {
  const button = holdAt(event.target);
  if (button && event.detail === 0) tell(button, EARLY);
});
