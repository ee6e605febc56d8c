// One socket a page: connects, subscribes, pings, comes back after a break, and says how it is.
// Quotes go to the callback; everything else becomes an event on <body> (news.js).
import { away, back, gone, hush, shine } from "./connection.js";
import { emit, tell } from "./news.js";
import { choose, forget, settle } from "./subscriptions.js";

const PING_EVERY = 30_000;
const PONG_WITHIN = 10_000;
const PROBE_WITHIN = 3_000;
const WAIT_FIRST = 500;
const WAIT_MOST = 15_000;
const NOTICE_AFTER = 3_000;
const LOGGED_OUT = 4401;
const FINAL = new Set([LOGGED_OUT, 4403]);
const LOG_IN = "You are logged out. Reload the page to log in.";
const TOO_MANY = 4429; // come back, but slowly: as after PATIENT failures
const PATIENT = 5;

let socket = null;
let failures = 0;
let wasOpen = false, leaving = false;
let timers = {};
let onQuotes = () => {};
let onLost = () => {};

const isOpen = () => socket?.readyState === WebSocket.OPEN;

function clear(...names) {
  for (const name of names) clearTimeout(timers[name]);
}

function send(message) {
  if (isOpen()) socket.send(JSON.stringify(message));
}

function opened() {
  const missed = wasOpen || failures > 0;
  failures = 0;
  forget();
  clear("notice");
  shine("on", "Live");
  sync();
  if (missed) {
    emit("st:resync");
    back();
  }
  wasOpen = true;
  schedulePing();
}

function ping(within) {
  clear("ping", "pong");
  send({ action: "ping" });
  timers.pong = setTimeout(drop, within);
}

function schedulePing() {
  clear("ping", "pong");
  timers.ping = setTimeout(ping, PING_EVERY, PONG_WITHIN);
}

// An open socket may be dead: the machine slept, or went to another network.
function probe() {
  if (isOpen()) ping(PROBE_WITHIN);
  else open();
}

function received(event) {
  const message = JSON.parse(event.data);
  if (message.type === "quote") onQuotes(message.quotes);
  else if (message.type === "pong") schedulePing();
  else tell(message);
}

// A dead socket may not tell that it is closed for a minute: it is lost now, and nobody hears it any more.
function drop() {
  const dead = socket;
  if (!dead) return;
  lost({});
  dead.close();
}

function lost(event) {
  socket = null;
  clear("ping", "pong");
  hush();
  if (leaving) return;
  shine("off", "Not live");
  if (FINAL.has(event.code)) return end(event.code === LOGGED_OUT ? LOG_IN : "Live prices are off.");
  if (failures === 0) {
    timers.notice = setTimeout(() => {
      onLost();
      away();
    }, NOTICE_AFTER);
  }
  if (event.code === TOO_MANY) failures = Math.max(failures, PATIENT);
  const wait = Math.min(WAIT_MOST, WAIT_FIRST * 2 ** failures) * (0.5 + Math.random() / 2);
  failures += 1;
  timers.retry = setTimeout(open, wait);
  if (failures > 1) ask();
}

// Not to come back.
function end(words) {
  leaving = true;
  clear("retry", "notice");
  onLost();
  gone(words);
}

// A handshake that fails tells no reason. A session that ended while the machine slept leads elsewhere.
async function ask() {
  const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => null);
  if (answer?.type !== "opaqueredirect" || isOpen()) return;
  end(LOG_IN);
}

function open() {
  clear("retry");
  if (socket || leaving) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const made = socket = new WebSocket(`${scheme}//${location.host}/ws`);
  for (const [name, hear] of [["open", opened], ["message", received], ["close", lost]]) {
    made.addEventListener(name, (event) => { if (made === socket) hear(event); });
  }
}

function sync() {
  if (isOpen()) settle(send);
}

export function want(symbols) {
  choose(symbols);
  clear("sync");
  timers.sync = setTimeout(sync, 100);
}

export function start(handlers) {
  ({ onQuotes, onLost } = handlers);
  document.querySelector("#connection [data-retry]")?.addEventListener("click", open);
  document.addEventListener("visibilitychange", () => { sync(); if (!document.hidden) probe(); });
  // An open socket keeps a page out of the back/forward cache.
  addEventListener("pagehide", () => { leaving = true; drop(); });
  addEventListener("pageshow", (event) => { if (event.persisted) { leaving = false; open(); } });
  addEventListener("offline", drop);
  addEventListener("online", probe);
  open();
}
