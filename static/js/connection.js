// How the socket is, said to people: a dot in the shell, and a bar above the page when it is away.
import { isQuiet, speak } from "./page.js";

const BACK_FOR = 2_000;
const bar = document.getElementById("connection");
const dot = document.getElementById("live-dot");
let counting = 0;
let fading = 0;
let isAway = false;

const write = (text) => { if (bar) bar.querySelector("[data-text]").textContent = text; };

function show(text, { kind = "", retry = false } = {}) {
  clearInterval(counting);
  if (!bar) return;
  write(text);
  bar.querySelector("[data-retry]").hidden = !retry;
  bar.classList.toggle("back", kind === "back");
  bar.hidden = text === "";
  if (text) speak(text);
}

export function shine(state, words) {
  if (!dot) return;
  dot.classList.toggle("on", state === "on");
  dot.classList.toggle("off", state === "off");
  dot.title = words;
}

// Lost, and trying again: the seconds are seen and not spoken.
export function away() {
  isAway = true;
  if (isQuiet("connection")) return speak("Live prices paused, reconnecting…");
  const since = Date.now();
  show("Live prices paused, reconnecting…", { retry: true });
  counting = setInterval(() => {
    write(`Live prices paused, reconnecting… ${Math.round((Date.now() - since) / 1000)} s`);
  }, 1_000);
}

export function back() {
  if (!isAway) return;
  isAway = false;
  if (isQuiet("connection")) return speak("Live again");
  show("Live again", { kind: "back" });
  fading = setTimeout(() => show(""), BACK_FOR);
}

// "Live again" must not outlive the connection it speaks of.
export function hush() {
  clearTimeout(fading);
  if (!isAway) show("");
}

// Lost for good.
export function gone(text) {
  isAway = true;
  show(text);
}
