"""A WebSocket inside the page that says what a test wants: nothing of the server's noise, and the
main thread's cost is the page's own.
"""

from playwright.sync_api import Page

#: `window.feed.say(symbols, n, more)` sends a quote of each; `n` makes one call's prices differ
#: from the last. `window.feed.run(symbols)` says ten of them twenty times a second.
_FAKE = """(() => {
  const sockets = [];
  window.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 0;
    constructor() {
      super();
      sockets.push(this);
      setTimeout(() => { this.readyState = 1; this.dispatchEvent(new Event("open")); });
    }
    send(text) {
      if (JSON.parse(text).action !== "ping") return;
      const pong = new MessageEvent("message", { data: '{"type":"pong"}' });
      setTimeout(() => this.dispatchEvent(pong));
    }
    close() {}
  };
  const quote = (symbol, n, more) => {
    const last = (100 + (n % 40) / 100).toFixed(2);
    const change = ((n % 40) / 100 - 0.2).toFixed(2);
    return {
      symbol, last, bid: last, ask: last, bid_size: "100", ask_size: "100", change,
      change_pct: change, prev_close: "100.20", open: "100.00", day_high: "101.00",
      day_low: "99.00", volume: "1000", as_of: new Date().toISOString(), stale: false, ...more,
    };
  };
  window.feed = {
    count: 0,
    say(symbols, n, more = {}) {
      const quotes = symbols.map((symbol, index) => quote(symbol, n + 7 * index, more));
      const data = JSON.stringify({ type: "quote", quotes });
      for (const socket of sockets) socket.dispatchEvent(new MessageEvent("message", { data }));
      this.count += symbols.length;
    },
    run(symbols) {
      let turn = 0;
      setInterval(() => {
        const ten = Array.from({ length: 10 }, (_, i) => symbols[(turn * 10 + i) % symbols.length]);
        this.say(ten, turn);
        turn += 1;
      }, 50);
    },
  };
})()"""


#: The deepest elements that reach beyond the right edge of the window.
STICKING_OUT = """[...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .filter((e, _, all) => !all.some((other) => other !== e && e.contains(other)))
  .slice(0, 3).map((e) => e.outerHTML.slice(0, 200))"""


def fake_feed(page: Page) -> None:
    """Every page that `page` opens from now on talks to `window.feed` and to no server."""
    page.add_init_script(_FAKE)


def symbols_of(page: Page, most: int) -> list[str]:
    """The first symbols with live numbers on the page."""
    found: list[str] = page.evaluate(
        "[...new Set([...document.querySelectorAll('[data-symbol][data-f]')]"
        ".map((element) => element.dataset.symbol))]"
    )
    return found[:most]
