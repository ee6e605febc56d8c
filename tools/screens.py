"""`make screens`: every page at two widths, light and dark, from the running product.

Starts a copy of its own in a temporary folder, trades a little so that the pages have something to
show, and writes docs/screens/<page>-<width>-<theme>.png. `--url` photographs a copy that runs.
"""

import argparse
import base64
import contextlib
import re
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from speedtrade.testing.product import product_running  # noqa: E402 - the path comes first

FOLDER = PROJECT / "docs" / "screens"
CHROMIUM = "/usr/bin/chromium"
SIZES = {390: 844, 1280: 900}
THEMES = ("light", "dark")
PASSWORD = "correct-horse-9-battery"  # noqa: S105 - of a user who lives for a minute
FILL = 20_000  # milliseconds that a market order may take
#: page -> address; "{order}" is an order that was filled
PAGES = {
    "landing": "/",
    "login": "/login",
    "register": "/register",
    "dashboard": "/dashboard",
    "markets": "/markets",
    "search": "/search?q=am",
    "symbol": "/markets/AAPL",
    "coin": "/markets/BTC-USD",
    "ticket": "/markets/NVDA/ticket?amount=3",
    "review": "/markets/NVDA/ticket?amount=3#review",
    "orders-open": "/orders",
    "orders-all": "/orders?status=all",
    "order": "/orders/{order}",
    "portfolio": "/portfolio",
    "activity": "/activity",
    "paper-cash": "/transfers",
    "account": "/settings",
    "not-found": "/nowhere",
    "problem": "/problems/insufficient-buying-power",
}
REVIEW = "#review"  # the ticket of this address is reviewed before the picture is taken
STRANGERS = {"landing", "login", "register", "problem"}
TRADES = [
    ("AAPL", {"amount": "12"}),
    ("NVDA", {"amount": "20"}),
    ("SPY", {"unit": "dollars", "amount": "7500"}),
    ("BTC-USD", {"unit": "dollars", "amount": "5000"}),
    ("ETH-USD", {"amount": "1.5"}),
    ("AAPL", {"side": "sell", "amount": "2"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="photograph this copy instead of one of our own")
    parser.add_argument("--only", default="", help="pages whose names hold this")
    parser.add_argument("--to", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    with _address(chosen.url) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        person, order = _person(browser, url)
        for width, height in SIZES.items():
            for theme in THEMES:
                for name, address in PAGES.items():
                    if chosen.only in name:
                        file = chosen.to / f"{name}-{width}-{theme}.png"
                        state = None if name in STRANGERS else person
                        with _context(browser, width, height, theme, state) as context:
                            _photograph(context, url + address.format(order=order), file)
        browser.close()


@contextlib.contextmanager
def _address(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    with (
        tempfile.TemporaryDirectory(prefix="speedtrade-screens-") as folder,
        product_running(Path(folder) / "data") as product,
    ):
        yield product.url


@contextlib.contextmanager
def _context(
    browser: Browser, width: int, height: int, theme: str, state: Path | None
) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        storage_state=state,
    )
    yield context
    context.close()


def _person(browser: Browser, url: str) -> tuple[Path, str]:
    """(cookies of somebody who has traded, the number of a filled order)."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/register")
    name = f"ada{page.evaluate('Date.now()') % 10**9}"
    page.get_by_label("Name").fill(name)
    page.get_by_label("E-mail").fill(f"{name}@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("paper money").check()
    page.get_by_role("button", name="account").click()
    page.wait_for_url("**/dashboard")
    orders = [_trade(page, url, symbol, fields) for symbol, fields in TRADES]
    _trade(page, url, "MSFT", _limit(page, url, "MSFT", "0.96") | {"amount": "5"}, wait=False)
    _trade(page, url, "TSLA", _limit(page, url, "TSLA", "0.93") | {"amount": "4"}, wait=False)
    state = Path(tempfile.gettempdir()) / f"{name}.json"
    context.storage_state(path=state)
    context.close()
    return state, orders[0]


def _limit(page: Page, url: str, symbol: str, part: str) -> dict[str, str]:
    """Fields of a limit order at a part of the last price, in whole dollars."""
    page.goto(f"{url}/markets/{symbol}/ticket")
    price = page.locator(".price-beside").get_attribute("value") or "100"
    return {"order_type": "limit", "limit_price": str(int(float(price) * float(part)))}


def _trade(page: Page, url: str, symbol: str, fields: dict[str, str], *, wait: bool = True) -> str:
    query = "&".join(f"{name}={value}" for name, value in fields.items())
    page.goto(f"{url}/markets/{symbol}/ticket?{query}")
    page.get_by_role("button", name=re.compile("^Review")).last.click()
    page.get_by_role("button", name=re.compile("^(Place|Queue) ")).click()
    page.wait_for_url(re.compile(r"/orders/\d+$"))
    if wait:
        page.locator(".steps li.done", has_text="Filled").wait_for(timeout=FILL)
    return page.url.rpartition("/")[2]


def _photograph(context: BrowserContext, address: str, file: Path) -> None:
    page = context.new_page()
    page.goto(address)
    if address.endswith(REVIEW):
        page.get_by_role("button", name=re.compile("^Review")).last.click()
        page.locator(".sentence").wait_for()
    if page.locator("#live-dot").count():
        page.locator("#live-dot.on").wait_for()
    for chart in page.locator("[data-price-chart] .chart, [data-equity-chart] .chart").all():
        chart.locator("canvas").first.wait_for()
    page.wait_for_load_state("networkidle")
    # As tall as the page: then the bar at the bottom of a phone is at the bottom of the picture.
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.wait_for_function("new Promise(done => requestAnimationFrame(() => done(true)))")
    file.write_bytes(_small(page.screenshot(), context.new_page()))
    print(file.relative_to(PROJECT) if file.is_relative_to(PROJECT) else file)


#: In a page of its own: 256 common colours of a picture, and each pixel's nearest of them.
_PALETTE = """async (source) => {
  const image = await createImageBitmap(await (await fetch(source)).blob());
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const apart = (a, b, shift) => (((a >> shift) & 255) - ((b >> shift) & 255)) ** 2;
  const far = (a, b) => apart(a, b, 0) + apart(a, b, 8) + apart(a, b, 16);
  const common = []; // the commonest first, but none too near to one that is in already
  for (const [pixel] of [...counts].sort(([, a], [, b]) => b - a))
    if (common.length < 256 && common.every((other) => far(pixel, other) > 48)) common.push(pixel);
  const place = new Map(common.map((pixel, index) => [pixel, index]));
  const nearest = (pixel) => {
    let best = 0, least = Infinity;
    common.forEach((other, index) => {
      if (far(pixel, other) < least) { least = far(pixel, other); best = index; }
    });
    place.set(pixel, best);
    return best;
  };
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0, from = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1, from += 1)
      rows[y * (width + 1) + 1 + x] = place.get(pixels[from]) ?? nearest(pixels[from]);
  let text = "";
  for (let at = 0; at < rows.length; at += 32768)
    text += String.fromCharCode(...rows.subarray(at, at + 32768));
  return { width, height, common, rows: btoa(text) };
}"""


def _small(png: bytes, page: Page) -> bytes:
    """The picture with at most 256 colours: a third of the bytes, to be kept in the repository."""
    found = page.evaluate(_PALETTE, f"data:image/png;base64,{base64.b64encode(png).decode()}")
    page.close()
    palette = b"".join(struct.pack("<I", pixel)[:3] for pixel in found["common"])
    header = struct.pack(">IIBBBBB", found["width"], found["height"], 8, 3, 0, 0, 0)
    rows = zlib.compress(base64.b64decode(found["rows"]), 9)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


if __name__ == "__main__":
    main()
