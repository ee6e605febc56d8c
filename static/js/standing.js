// #standing asks whether orders are still taken; the answer also fills the places of this page that say so.
// Nobody sends a message when the market opens or closes: the page was told when, and asks then.
import { emit } from "./news.js";

const SPREAD = 2_000; // not all pages of the house in one moment
const AGAIN = 30_000; // where the server's clock was not there yet
let planned = null; // the element whose time is set
let due = Infinity;
let timer = 0;

document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id !== "standing") return;
  detail.parameters.places = Array.from(document.querySelectorAll("[data-standing]"), (place) => place.id).join(" ");
});

function turn() {
  clearTimeout(timer);
  emit("st:market");
  timer = setTimeout(turn, AGAIN); // an answer that has news plans anew
}

function plan() {
  const standing = document.getElementById("standing");
  if (standing === planned) return;
  planned = standing;
  clearTimeout(timer);
  const left = Number(standing?.dataset.turnsIn ?? Infinity) * 1_000;
  due = Date.now() + left;
  if (left < Infinity) timer = setTimeout(turn, left + Math.random() * SPREAD);
}

plan();
document.addEventListener("htmx:load", plan);
// A machine that slept past it: its timers did, too.
document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() > due) turn(); });
