"""What a page may cost, measured by the browser on a cold load.

HTML counts as it came over the wire, scripts and sheets as gzip makes them (a development server
sends them plain). Scripts are ours and the charts' library; htmx has 16.5 KB of its own. Every
request counts except the icon and the socket's handshake. Times hold on a processor slowed down
four times; a machine that does other things gets three attempts.
"""

import gzip
import math
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, CDPSession, Page

from speedtrade.testing.product import Product
from speedtrade.testing.world import World, cookie_of
from tests.e2e.conftest import Watch
from tests.e2e.live import fake_feed, symbols_of

pytestmark = pytest.mark.measured
KB = 1024
HTML_MOST, CSS_MOST, OURS_MOST, SCRIPTS_MOST = 30 * KB, 12 * KB, 25 * KB, 90 * KB
REQUESTS_MOST = 12
CLS_MOST, LCP_MOST = 0.05, 1_500
SLOWER, ATTEMPTS = 4, 3
BUSY_MOST, BUSY_SECONDS = 3, 5  # times what plain text takes; measured 1.6
ROWS, COLUMNS = 60, 4
PAGES = [
    ("nobody", "/"),
    ("nobody", "/login"),
    ("mixed", "/dashboard"),
    ("mixed", "/markets/AAPL"),
    ("mixed", "/portfolio"),
    ("mixed", "/orders"),
    ("mixed", "/activity"),
    ("mixed", "/markets"),
    ("mixed", "/settings"),
    ("full", "/dashboard"),
    ("full", "/portfolio"),
    ("full", "/orders"),
]
_VITALS = """() => new Promise((done) => {
  const told = { lcp: 0, cls: 0 };
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) told.lcp = one.startTime;
  }).observe({ type: "largest-contentful-paint", buffered: true });
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) told.cls += one.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(told), 100);
})"""


@dataclass
class Cost:
    """What one cold load came to; `requests` are the addresses that were asked for."""

    html: int = 0
    css: int = 0
    ours: int = 0
    scripts: int = 0
    cls: float = 0
    lcp: float = 0
    requests: list[str] = field(default_factory=list)

    def over(self) -> list[str]:
        """The budgets that are exceeded, in words."""
        limits = {
            "html": (self.html, HTML_MOST),
            "css": (self.css, CSS_MOST),
            "scripts of ours": (self.ours, OURS_MOST),
            "scripts with the charts": (self.scripts, SCRIPTS_MOST),
            "requests": (len(self.requests), REQUESTS_MOST),
            "layout shift": (self.cls, CLS_MOST),
            "largest paint": (self.lcp, LCP_MOST),
        }
        return [f"{name}: {is_:g} > {most:g}" for name, (is_, most) in limits.items() if is_ > most]

    def __str__(self) -> str:
        return (
            f"html {self.html / KB:.1f} css {self.css / KB:.1f} ours {self.ours / KB:.1f} "
            f"scripts {self.scripts / KB:.1f} KB, {len(self.requests)} requests, "
            f"cls {self.cls:.3f}, lcp {self.lcp:.0f} ms"
        )


def measure(browser: Browser, product: Product, path: str, cookies: list[Any]) -> Cost:
    """One cold load of a page in a context of its own."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.add_cookies(cookies)
    watch = Watch(urlsplit(product.url).netloc)
    page = watch.follow(context.new_page())
    client = context.new_cdp_session(page)
    answers, wire = _listen(client)
    client.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(f"{product.url}{path}")
    page.wait_for_load_state("networkidle")
    cost = Cost(**page.evaluate(_VITALS))
    for request, answer in list(answers.items()):  # a late answer may still be added
        address = answer["response"]["url"]
        kind = answer["type"]
        if kind == "WebSocket" or "favicon" in address or address.startswith("data:"):
            continue
        cost.requests.append(address.removeprefix(product.url))
        if kind == "Document":
            cost.html += wire.get(request, 0)
        elif kind in {"Stylesheet", "Script"}:
            body = client.send("Network.getResponseBody", {"requestId": request})["body"]
            size = len(gzip.compress(body.encode(), 9))
            if kind == "Stylesheet":
                cost.css += size
            else:
                ours = "/static/js/" in address
                cost.ours += size if ours else 0
                cost.scripts += size if ours or "/static/vendor/" in address else 0
    context.close()
    assert watch.wrong == []
    return cost


def _listen(client: CDPSession) -> tuple[dict[str, Any], dict[str, int]]:
    """(request -> its answer, request -> bytes of its body on the wire), filled as they come."""
    answers: dict[str, Any] = {}
    wire: dict[str, int] = {}

    def answered(event: Any) -> None:
        answers[event["requestId"]] = event

    def finished(event: Any) -> None:
        head = answers.get(event["requestId"], {"response": {"encodedDataLength": 0}})
        wire[event["requestId"]] = int(
            event["encodedDataLength"] - head["response"]["encodedDataLength"]
        )

    client.on("Network.responseReceived", answered)
    client.on("Network.loadingFinished", finished)
    client.send("Network.enable")
    return answers, wire


@pytest.mark.parametrize(("who", "path"), PAGES)
def test_a_page_keeps_its_budget(
    browser: Browser, product: Product, world: World, who: str, path: str
) -> None:
    cookies = [] if who == "nobody" else [cookie_of(world, who, product.url)]
    for _ in range(ATTEMPTS):
        cost = measure(browser, product, path, cookies)
        print(f"{who} {path}: {cost}")
        if not (over := cost.over()):
            return
        if not all(word.startswith(("layout", "largest")) for word in over):
            break  # another look would weigh the same
    raise AssertionError(f"{who} {path}: {'; '.join(over)}; {cost}; {cost.requests}")


#: The floor: as many rows with as many numbers a second, by nothing but the browser.
_PLAIN = """([rows, columns]) => {
  const line = `<tr>${"<td></td>".repeat(columns)}</tr>`;
  document.body.innerHTML = `<table>${line.repeat(rows)}</table>`;
  const lines = [...document.querySelectorAll("tr")];
  let turn = 0;
  window.feed = { count: 0 };
  setInterval(() => {
    for (let i = 0; i < 10; i += 1)
      for (const cell of lines[(turn * 10 + i) % rows].cells) cell.textContent = String(turn + i);
    window.feed.count += 10;
    turn += 1;
  }, 50);
}"""


def test_two_hundred_quotes_a_second_leave_the_page_free(
    browser: Browser, product: Product, world: World
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([cookie_of(world, "mixed", product.url)])
    plain = context.new_page()
    plain.evaluate(_PLAIN, [ROWS, COLUMNS])
    page = context.new_page()
    fake_feed(page)
    page.goto(f"{product.url}/markets")
    symbols = symbols_of(page, ROWS)
    assert page.locator("[data-row]").count() >= ROWS
    page.evaluate("(symbols) => window.feed.run(symbols)", symbols)
    ratio = math.inf
    for _ in range(ATTEMPTS):
        floor, ours = _share(plain), _share(page)
        ratio = min(ratio, ours / floor)
        print(f"{len(symbols)} rows: {ours:.1%} of the main thread, plain text {floor:.1%}")
        if ratio <= BUSY_MOST:
            break
    context.close()
    assert ratio <= BUSY_MOST


def _share(page: Page) -> float:
    """Of the main thread of a page that is told two hundred quotes a second, what it works."""
    page.bring_to_front()
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})  # its own work, not its waits
    before, told = _busy(client), page.evaluate("[performance.now(), window.feed.count]")
    page.wait_for_timeout(BUSY_SECONDS * 1_000)  # the time that is measured
    after, now = _busy(client), page.evaluate("[performance.now(), window.feed.count]")
    client.detach()
    seconds = (now[0] - told[0]) / 1_000
    rate = (now[1] - told[1]) / seconds
    assert rate > 150, f"only {rate:.0f} quotes a second were said"
    return (after - before) / seconds


def _busy(client: CDPSession) -> float:
    """Seconds that the main thread has worked so far."""
    told = client.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))
