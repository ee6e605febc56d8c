"""States that nobody hopes for look right, and say in words what is the matter."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PATIENCE, Person
from tests.e2e.live import STICKING_OUT, fake_feed

People = Callable[..., Person]
NOTICE = 4_500  # milliseconds: three seconds after the loss the page says so, and it may be busy
CORE = (
    ("/dashboard", "Portfolio value"),
    ("/portfolio", "Portfolio"),
    ("/orders", "Orders"),
    ("/orders?status=all", "Orders"),
    ("/activity", "Activity"),
    ("/markets", "Markets"),
    ("/markets/AAPL", "AAPL"),
    ("/markets/AAPL/ticket?amount=1", "AAPL"),
    ("/search?q=app", "Search"),
    ("/transfers", "Paper cash"),
    ("/settings", ""),
)


class Line:
    """The socket of a page, which a test can cut and mend."""

    def __init__(self, page: Page) -> None:
        self.cut, self.open = False, list[WebSocketRoute]()
        page.route_web_socket(re.compile(r"/ws$"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        if self.cut:
            socket.close()
            return
        socket.connect_to_server()
        self.open.append(socket)

    def drop(self) -> None:
        self.cut = True
        for socket in self.open:
            socket.close()
        self.open.clear()


def overflow(page: Page) -> int:
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


# ── what lies between the page and the server ────────────────────────────────
@pytest.mark.measured
def test_a_dead_socket_is_said_and_a_live_one_fetches_what_was_missed_once(
    people: People, world: World
) -> None:
    person = people().become(world, "mixed")
    page, line = person.page, Line(person.page)
    fetched: list[str] = []
    page.on("request", lambda r: fetched.append(r.url) if "hx-request" in r.headers else None)
    person.go("/dashboard")
    expect(page.locator("#live-dot.on")).to_be_visible(timeout=PATIENCE)
    bar = page.locator("#connection")
    expect(bar).to_be_hidden()
    line.drop()
    expect(bar).to_contain_text("Live prices paused, reconnecting", timeout=NOTICE)
    expect(page.locator("#mine [data-stale]").first).to_be_visible()
    assert fetched == []
    line.cut = False
    retry = page.get_by_role("button", name="Retry now")
    if retry.is_visible():  # or it came back by itself in this moment
        retry.click()
    expect(bar).to_contain_text("Live again", timeout=PATIENCE)
    expect(bar).to_be_hidden(timeout=PATIENCE)
    fragments = page.locator("[hx-trigger*='st:resync']").count()
    assert len(fetched) == fragments >= 1, fetched
    assert len(set(fetched)) == len(fetched)


def test_a_price_without_news_is_dimmed_and_comes_back(people: People, world: World) -> None:
    person = people(reduced_motion="reduce").become(world, "empty")
    page = person.page
    fake_feed(page)
    person.go("/markets/AAPL")
    price, head = page.locator("[data-hero]"), page.locator("header[data-row]")
    page.evaluate("window.feed.say(['AAPL'], 5)")
    expect(price).to_have_text("$100.05")
    fresh = price.evaluate("(e) => getComputedStyle(e).color")
    page.evaluate("window.feed.say(['AAPL'], 5, { stale: true })")
    expect(head).to_have_attribute("data-stale", "")
    dimmed = price.evaluate("(e) => getComputedStyle(e).color")
    assert dimmed != fresh
    page.evaluate("window.feed.say(['AAPL'], 6)")
    expect(head).not_to_have_attribute("data-stale", "")
    assert price.evaluate("(e) => getComputedStyle(e).color") == fresh


def test_a_slow_server_gets_one_order_however_often_the_button_is_pressed(people: People) -> None:
    person = people().register()  # nobody else's orders are counted below
    page = person.go("/markets/AAPL/ticket?amount=1")
    page.get_by_role("button", name="Review order").last.click()
    place = page.get_by_role("button", name="Place buy order")
    waiting: list[Route] = []
    page.route("**/orders/place", lambda route: waiting.append(route))  # it takes its time
    place.click(no_wait_after=True)
    button = page.locator("#ticket button.submit")
    expect(button).to_have_attribute("aria-busy", "true")
    expect(button).to_be_disabled()
    button.click(force=True, no_wait_after=True)
    assert len(waiting) == 1
    waiting[0].continue_()
    page.wait_for_url(re.compile(r"/orders/\d+$"), timeout=PATIENCE)
    assert len(waiting) == 1
    person.go("/orders?status=all")
    expect(page.locator("table.orders tbody tr")).to_have_count(1)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_skeleton_waits_a_moment_and_is_still_for_those_who_want_no_motion(
    people: People, world: World, motion: str
) -> None:
    person = people(reduced_motion=motion).become(world, "mixed")
    page = person.page
    page.route("**/bars?*", lambda route: None)  # on their way, for ever
    person.go("/markets/AAPL")
    skeleton = page.locator(".chart [data-state=loading]")
    expect(page.locator(".chart")).to_have_attribute("aria-busy", "true")
    seen = skeleton.evaluate(
        """(e) => [149, 151].map((moment) => {
          for (const one of e.getAnimations()) { one.pause(); one.currentTime = moment; }
          return getComputedStyle(e).visibility;
        })"""
    )
    assert seen == ["hidden", "visible"]
    size, chart = skeleton.bounding_box(), page.locator(".chart").bounding_box()
    assert size == chart
    endless = skeleton.evaluate(
        "(e) => e.getAnimations().some((one) => one.effect.getTiming().iterations === Infinity)"
    )
    assert endless == (motion == "no-preference")


def test_all_core_pages_are_whole_without_javascript(people: People, world: World) -> None:
    person = people(java_script_enabled=False).become(world, "mixed")
    for path, words in CORE:
        page = person.go(path)
        expect(page.locator("h1")).to_contain_text(words)
        assert page.locator(".needs-js:visible").count() == 0, path
        text = page.locator("main").inner_text()
        assert "Loading" not in text, path


# ── what the account or the symbol is in ─────────────────────────────────────
def test_a_halted_symbol_says_why_and_takes_no_order(people: People, world: World) -> None:
    page = people().become(world, "mixed").go("/markets/HYG")
    expect(page.locator("main")).to_contain_text("HYG is halted")
    expect(page.locator("main")).to_contain_text("News is pending.")
    expect(page.locator("#ticket button.submit")).to_be_disabled()
    assert page.locator("#ticket fieldset[aria-describedby]").count() == 1


def test_a_frozen_account_says_why_and_takes_no_order(people: People, world: World) -> None:
    person = people().become(world, "frozen")
    page = person.go("/dashboard")
    expect(page.locator("main")).to_contain_text("This account is frozen. A document is missing.")
    person.go("/markets/AAPL")
    expect(page.locator("#ticket .banner")).to_contain_text("No orders here for now.")
    expect(page.locator("#ticket button.submit")).to_be_disabled()


@pytest.mark.parametrize(
    ("state", "pill", "words"),
    [
        ("rejected", "Rejected", "The paper market does not take this order."),
        ("part_canceled", "Canceled, 4 filled", "4 of 10"),
        ("partial", "Partially filled 3 of 10", "3 of 10"),
        ("expired", "Expired", "0 of 10"),
        ("working", "Working", "0 of 10"),
        ("filled", "Filled", "10 of 10"),
    ],
)
def test_an_order_says_how_far_it_came(
    people: People, world: World, state: str, pill: str, words: str
) -> None:
    page = people().become(world, "mixed").go(f"/orders/{world['mixed']['orders'][state]}")
    expect(page.locator("#order header .pill").first).to_have_text(re.compile(rf"^\s*{pill}\s*$"))
    expect(page.locator("#order")).to_contain_text(words)
    final = state not in {"partial", "working"}
    expect(page.locator("#order header .btn.danger").first).to_be_visible(visible=not final)


def test_the_largest_and_smallest_figures_are_written_out(people: People, world: World) -> None:
    person = people(viewport={"width": 390, "height": 844}).become(world, "extremes")
    for address, price in (("ZBIG", "$712,345.67"), ("ZTINY-USD", "$0.00001234")):
        page = person.go(f"/markets/{address}")
        expect(page.locator("[data-hero]")).to_have_text(price)
    expect(person.page.locator("#here")).to_contain_text("1,000,000.123456789")


def test_a_stale_holding_is_marked(people: People, world: World) -> None:
    page = people().become(world, "mixed").go("/portfolio")
    row = page.locator("[data-row][data-stale]", has_text="ZOLD")
    expect(row.first).to_be_visible()


# ── how somebody looks at it ─────────────────────────────────────────────────
def test_two_hundred_per_cent_zoom_scrolls_one_way_only(people: People, world: World) -> None:
    view: Any = {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}
    person = people(**view).become(world, "mixed")
    for path, _ in CORE:
        page = person.go(path)
        assert overflow(page) <= 0, (path, page.evaluate(STICKING_OUT))


def test_forced_colours_keep_the_edges_of_buttons(people: People, world: World) -> None:
    person = people(forced_colors="active").become(world, "mixed")
    for path in ("/dashboard", "/markets/AAPL", "/orders", "/settings"):
        page = person.go(path)
        edgeless = page.locator("main .btn:visible").evaluate_all(
            "(all) => all.filter((e) => { const s = getComputedStyle(e);"
            " return s.borderTopStyle === 'none' || s.borderTopWidth === '0px'; })"
            ".map((e) => e.outerHTML.slice(0, 120))"
        )
        assert edgeless == [], path


@pytest.mark.measured
def test_nothing_moves_for_those_who_want_no_motion(people: People, world: World) -> None:
    person = people(reduced_motion="reduce").become(world, "mixed")
    for path in ("/dashboard", "/markets/AAPL", "/markets", "/orders", "/portfolio"):
        page = person.go(path)
        if page.locator("#live-dot").count():
            expect(page.locator("#live-dot.on")).to_be_attached(timeout=PATIENCE)
        # What the style sheet cuts to a hundredth of a millisecond is over with the next frame.
        page.wait_for_function("document.getAnimations().length === 0", timeout=1_000)
