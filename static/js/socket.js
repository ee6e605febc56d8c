// One socket a page: connects, subscribes, pings, comes back after a break, and says how it is.
// Quotes go to the callback; everything else becomes an event on <body> (news.js).
import { away, back, gone, hush, shine } from "./connection.js";
import { emit, shown, tell } from "./news.js";

const PING_EVERY = 30_000;
const PONG_WITHIN = 10_000;
const WAIT_FIRST = 500;
const WAIT_MOST = 15_000;
const NOTICE_AFTER = 3_000;
const LOGGED_OUT = 4401;
const FINAL = new Set([LOGGED_OUT, 4403]);
const LOG_IN = "You are logged out. Reload the page to log in.";
const TOO_MANY = 4429; // come back, but slowly: as after PATIENT failures
const PATIENT = 5;

const wanted = new Set();
const sent = new Set();
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
  sent.clear();
  sync.portfolio = false;
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

function schedulePing() {
  clear("ping", "pong");
  timers.ping = setTimeout(() => {
    send({ action: "ping" });
    timers.pong = setTimeout(() => socket?.close(), PONG_WITHIN);
  }, PING_EVERY);
}

function received(event) {
  const message = JSON.parse(event.data);
  if (message.type === "quote") onQuotes(message.quotes);
  else if (message.type === "pong") schedulePing();
  else tell(message);
}

function lost(event) {
  socket = null;
  clear("ping", "pong");
  hush();
  if (leaving) return;
  shine("off", "Not live");
  if (FINAL.has(event.code)) {
    onLost();
    return gone(event.code === LOGGED_OUT ? LOG_IN : "Live prices are off.");
  }
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

// A handshake that fails tells no reason. A session that ended while the machine slept leads elsewhere.
async function ask() {
  const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => null);
  if (answer?.type !== "opaqueredirect" || isOpen()) return;
  leaving = true;
  clear("retry", "notice");
  onLost();
  gone(LOG_IN);
}

function open() {
  clear("retry");
  if (socket || leaving) return;
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/ws`);
  socket.addEventListener("open", opened);
  socket.addEventListener("message", received);
  socket.addEventListener("close", lost);
}

// Tell the server the difference between what is wanted and what it was told.
function sync() {
  if (!isOpen()) return;
  const goal = document.hidden ? new Set() : wanted;
  const gone = [...sent].filter((symbol) => !goal.has(symbol));
  const come = [...goal].filter((symbol) => !sent.has(symbol));
  // The id of the account that this page shows; any other is another page's business.
  const portfolio = document.querySelector("[data-portfolio]") !== null && (shown() || true);
  if (gone.length) send({ action: "unsubscribe", symbols: gone });
  if (come.length || (portfolio && !sync.portfolio)) send({ action: "subscribe", symbols: come, portfolio });
  sync.portfolio = portfolio;
  for (const symbol of gone) sent.delete(symbol);
  for (const symbol of come) sent.add(symbol);
}

export function want(symbols) {
  wanted.clear();
  for (const symbol of symbols) wanted.add(symbol);
  clear("sync");
  timers.sync = setTimeout(sync, 100);
}

export function start(handlers) {
  ({ onQuotes, onLost } = handlers);
  document.querySelector("#connection [data-retry]")?.addEventListener("click", open);
  document.addEventListener("visibilitychange", sync);
  // An open socket keeps a page out of the back/forward cache.
  addEventListener("pagehide", () => { leaving = true; socket?.close(); });
  addEventListener("pageshow", (event) => { if (event.persisted) { leaving = false; open(); } });
  addEventListener("online", open);
  open();
}
