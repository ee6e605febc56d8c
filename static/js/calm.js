// Quiet on request: "Pause live prices" holds every number still (WCAG 2.2.2); "Announce price" reads
// the page's price aloud now and then (the toggle of W3C's SCR14), for prices are no live regions.
import * as format from "./format.js";
import { choose, chosen, speak } from "./page.js";

// What was chosen here goes before the setting that it was chosen under, and before no other: "off:on".
const PAUSE_KEY = "paused";
const SETTING = chosen("paused");
let reading = 0;

function showPause() {
  const paused = chosen("paused") === "on";
  for (const button of document.querySelectorAll("[data-pause]")) {
    button.setAttribute("aria-pressed", String(paused));
    button.querySelector("[data-text]").textContent = paused ? "Resume live prices" : "Pause live prices";
  }
}

// The live price, also while the chart's crosshair speaks through it; an old one is called so.
function announce() {
  const price = document.querySelector("[data-hero]");
  const words = document.querySelector("[data-announce]")?.dataset.announce;
  if (!price) return;
  const old = price.closest("[data-stale]") || chosen("paused") === "on";
  speak(`${words}${old ? ", not live, last" : ""} ${format.price(price.value, price.dataset.tick || null)}`);
}

function setReading(button) {
  clearInterval(reading);
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  if (!on) return speak("No more announcements");
  announce();
  const every = Number(document.querySelector("[data-announce-every]")?.value ?? 30);
  reading = setInterval(announce, every * 1000);
  return undefined;
}

document.addEventListener("click", (event) => {
  const pause = event.target.closest?.("[data-pause]");
  if (pause) {
    const paused = chosen("paused") !== "on";
    choose("paused", paused ? "on" : "off");
    localStorage.setItem(PAUSE_KEY, `${SETTING}:${paused ? "on" : "off"}`);
    showPause();
    speak(paused ? "Live prices paused" : "Live prices resumed");
    document.dispatchEvent(new CustomEvent("st:paused", { detail: paused }));
  }
  const button = event.target.closest?.("[data-announce]");
  if (button) setReading(button);
});

document.addEventListener("change", (event) => {
  const button = document.querySelector("[data-announce][aria-pressed=true]");
  if (!event.target.matches("[data-announce-every]") || !button) return;
  button.setAttribute("aria-pressed", "false");
  setReading(button);
});

const [setting, choice] = (localStorage.getItem(PAUSE_KEY) ?? "").split(":");
if (choice && setting === SETTING) choose("paused", choice);
else localStorage.removeItem(PAUSE_KEY);
showPause();
document.addEventListener("htmx:load", showPause);
