"""A list of orders that is fetched anew under its reader's hands, in a browser without a server.

Markup and scripts are the product's own; the test answers what they ask, when it wants to.
"""

import itertools
import json
import mimetypes
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.template import Context, Template
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from playwright.sync_api import Page, Route, expect

from marketdata.models import Instrument
from trading.models import Order

pytestmark = pytest.mark.e2e
ORIGIN = "http://speedtrade.test"
LIST = "/orders?status=open"
PAGE = """{% load django_htmx static %}<!doctype html><html lang="en"><head><title>Orders</title>
<meta name="htmx-config" content='{"includeIndicatorStyles":false,"responseHandling":[
{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"422","swap":true},
{"code":"[45]..","swap":false,"error":true}]}'>
<link rel="stylesheet" href="{% static 'css/components.css' %}">{% htmx_script %}
{% for name in scripts %}<script type="module" src="/static/js/{{ name }}.js"></script>{% endfor %}
</head><body><ol id="toasts" class="toasts"></ol>
<main id="main" tabindex="-1"><h1>Orders</h1>{{ part }}</main>
{% include "components/_keys.html" %}<div id="sr" role="status"></div>
<template id="toast-template"><li><svg><use href="/static/icons.svg#info"/></svg>
<span data-text></span><button type="button" data-close>Close</button></li></template>
</body></html>"""
TOLD = """(name) => {
  window.told = [];
  document.body.addEventListener(name, ({ detail }) => told.push(detail));
}"""
NEWS = """(name) => document.body.dispatchEvent(new CustomEvent(name, { detail: null }))"""
BUSY = """() => {
  window.left = 75;
  window.times = []; // when it asked although no news of that moment made it
  const asks = ({ detail }) => {
    if (!detail.requestConfig.triggeringEvent) times.push(performance.now());
  };
  document.addEventListener("htmx:beforeRequest", asks);
  const timer = setInterval(() => {
    document.body.dispatchEvent(new CustomEvent("st:order"));
    window.left -= 1;
    if (!window.left) clearInterval(timer);
  }, 40);
}"""
FOCUSED = "document.activeElement.id || document.activeElement.getAttribute('href')"
AWAY = "SpeedTrade cannot be reached. Try again."
QUIET_FOR = 1_200  # ms in which nothing may come: twice what a part waits before it asks again


def order(number: int, *, filled: str = "0", state: str = "new") -> Order:
    """An order of five shares that waits at its limit; in no database."""
    return Order(
        pk=number,
        instrument=Instrument(symbol="AAPL", asset_type="stock", price_tick=Decimal("0.01")),
        side="buy",
        order_type="limit",
        time_in_force="gtc",
        qty=Decimal(5),
        limit_price=Decimal(90),
        filled_qty=Decimal(filled),
        filled_notional=Decimal(filled) * 90,
        state="partially_filled" if Decimal(filled) else state,
        created_at=datetime(2026, 1, 5, 15, tzinfo=UTC),
    )


class Site:
    """What the browser asked for, and the answers: at once, or when the test lets go of them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.orders = [order(1), order(2), order(3)]
        self.asked: list[str] = []
        self.held: list[Route] = []
        self.holds = False
        self.away = False
        self.differs = ("", "")  # what stands in the markup, and what shall
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path.startswith("/static/"):
            file = Path(str(finders.find(path.removeprefix("/static/"))))
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            route.fulfill(body=file.read_bytes(), content_type=kind)
        elif path == "/":
            context = {"scripts": ["ui", "answers", "parts", "keys"], "part": self.part()}
            body = Template(PAGE).render(Context(context))
            route.fulfill(body=body, content_type="text/html")
        else:
            self.asked.append(f"{route.request.method} {path}")
            if self.away:
                route.abort()
            elif self.holds or route.request.method == "POST":
                self.held.append(route)
            else:
                route.fulfill(body=self.part(), content_type="text/html")

    def part(self) -> str:
        """The list as it is at this moment."""
        context = {"found": self.orders, "address": LIST, "tab": "open", "csrf_token": "x"}
        made = render_to_string("trading/partials/_orders.html", context)
        return mark_safe(made.replace(*self.differs) if self.differs[0] else made)  # noqa: S308

    def open(self) -> Page:
        self.page.goto(ORIGIN + "/")
        self.page.wait_for_function("() => window.htmx && document.querySelector('#orders')")
        return self.page

    def news(self, name: str = "st:order") -> None:
        self.page.evaluate(NEWS, name)

    def until(self, is_it: Callable[[], Any], what: str) -> None:
        """Let the page work until it has done what is waited for."""
        for _ in range(200):
            if is_it():
                return
            self.page.wait_for_timeout(25)  # lets Playwright deliver; there is no event to wait for
        raise AssertionError(f"{what}: {self.asked}")

    def until_asked(self, times: int) -> None:
        self.until(lambda: self.asked.count(f"GET {LIST}") >= times, f"{times} fetches")

    def fetched_anew(self) -> None:
        """News came, and the list is a new one."""
        self.page.evaluate("window.old = document.getElementById('orders')")
        self.news()
        self.page.wait_for_function("() => !window.old.isConnected")
        expect(self.page.locator(".htmx-settling")).to_have_count(0)

    def answer(self, body: str = "", status: int = 204, **events: Any) -> None:
        """The oldest request that is held gets this, with HX-Trigger where there are events."""
        self.until(lambda: self.held, "a request that is held")
        headers = {"HX-Trigger": json.dumps(events)} if events else {}
        headers["Content-Type"] = "text/html"
        self.held.pop(0).fulfill(status=status, body=body, headers=headers)


@pytest.fixture
def site(page: Page) -> Site:
    return Site(page)


def toasts(page: Page) -> Any:
    return page.locator("#toasts [data-text]")


def focused(page: Page) -> str:
    return str(page.evaluate(FOCUSED))


def says(level: str, text: str) -> dict[str, Any]:
    return {"st:toast": {"level": level, "text": text}}


# ── a question, and a list that changes under it ────────────────────────────
def asks_to_cancel(site: Site, number: int) -> Page:
    page = site.open()
    page.locator(f"a[href='/orders/{number}']").focus()
    page.keyboard.press("x")
    expect(page.get_by_role("dialog")).to_contain_text("Cancel Buy 5 AAPL?")
    return page


def test_a_yes_is_sent_although_the_list_was_fetched_anew(site: Site) -> None:
    page = asks_to_cancel(site, 2)
    site.fetched_anew()
    page.get_by_role("button", name="Yes, cancel it").click()
    site.until(lambda: "POST /orders/2/cancel" in site.asked, "the cancel")
    assert focused(page) == "/orders/2"


def test_a_yes_to_an_order_that_is_gone_says_that_nothing_was_sent(site: Site) -> None:
    page = asks_to_cancel(site, 2)
    site.orders = [order(1), order(3)]
    site.fetched_anew()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(toasts(page)).to_have_text(["That order cannot be canceled any more. Nothing was sent."])
    assert focused(page) == "/orders/3"
    assert [one for one in site.asked if one.startswith("POST")] == []


def test_an_open_question_stays_open_in_the_new_list(site: Site) -> None:
    site.orders = [order(1, filled="2"), order(2, filled="1")]
    page = site.open()
    page.locator("#cancel-2").click()
    page.locator("#cancel-rest-2").focus()
    site.orders = [order(1, filled="3"), order(2, filled="4")]
    site.fetched_anew()
    expect(page.locator("#sure-2")).to_have_attribute("open", "")
    expect(page.locator("#sure-2")).to_contain_text("4 of 5 have filled and stay.")
    expect(page.locator("#sure-1")).not_to_have_attribute("open", "")
    assert focused(page) == "cancel-rest-2"


# ── news that comes while the list is on its way ────────────────────────────
def test_news_while_a_list_is_fetching_fetches_it_once_more(site: Site) -> None:
    page = site.open()
    site.holds = True
    site.news()
    site.until(lambda: site.held, "the first fetch")
    old, site.holds = site.part(), False
    site.orders = [order(3)]
    site.news()  # waits behind the fetch, on an element that is about to go
    site.answer(old, 200)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.wait_for_timeout(QUIET_FOR)
    assert site.asked == [f"GET {LIST}"] * 2


def test_news_while_a_list_settles_is_not_lost(site: Site) -> None:
    page = site.open()
    page.evaluate(
        "() => document.addEventListener('htmx:afterSwap', () => document.body.dispatchEvent("
        "new CustomEvent('st:order')), { once: true })"
    )
    site.news()
    site.until_asked(2)
    page.wait_for_timeout(QUIET_FOR)
    assert len(site.asked) == 2


def test_what_is_none_of_a_lists_business_fetches_nothing_more(site: Site) -> None:
    page = site.open()
    site.holds = True
    for _ in range(3):
        site.news()  # one fetch answers all three
    site.until(lambda: site.held, "the fetch")
    site.news("st:alert")
    site.answer(site.part(), 200)
    page.wait_for_timeout(QUIET_FOR)
    assert len(site.asked) == 1


def test_a_list_that_asks_at_once_asks_once(site: Site) -> None:
    site.differs = (" delay:150ms", "")
    page = site.open()
    site.news()
    site.until_asked(1)
    page.wait_for_timeout(QUIET_FOR)
    assert len(site.asked) == 1


def test_a_busy_hour_asks_twice_a_second_and_ends_with_the_newest(site: Site) -> None:
    """News every 40 ms for three seconds, more often than the list waits for."""
    page = site.open()
    site.holds = True
    site.news()
    site.until(lambda: site.held, "the first fetch")
    site.holds = False
    page.evaluate(BUSY)
    site.answer(site.part(), 200)
    page.wait_for_function("() => window.left === 0", timeout=30_000)
    site.orders = [order(3)]
    expect(page.locator("tbody tr")).to_have_count(1)
    times = page.evaluate("() => window.times")
    assert len(times) >= 2
    assert min(later - before for before, later in itertools.pairwise(times)) >= 499  # timers round


# ── answers to somebody who has left, and errors that repeat ────────────────
def cancels_and_loses_the_button(site: Site) -> Page:
    page = site.open()
    page.locator("#cancel-2").click()
    site.until(lambda: site.held, "the cancel")
    site.orders = [order(1), order(3)]
    site.fetched_anew()
    expect(page.locator("#cancel-2")).to_have_count(0)
    return page


def test_what_came_of_a_cancel_is_told_although_its_button_is_gone(site: Site) -> None:
    page = cancels_and_loses_the_button(site)
    page.evaluate(TOLD, "st:order")
    site.answer(**says("warning", "Too late: filled."), **{"st:order": {"id": 2}})
    expect(toasts(page)).to_have_text(["Too late: filled."])
    assert page.evaluate("() => window.told") == [{"id": 2}]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "Too many requests. Wait a moment."),
        (503, "That did not work (503). Reload the page."),
        (422, "That did not work (422). Reload the page."),
    ],
)
def test_a_failure_of_a_cancel_is_told_although_its_button_is_gone(
    site: Site, status: int, words: str
) -> None:
    page = cancels_and_loses_the_button(site)
    site.answer("why", status)
    expect(toasts(page)).to_have_text([words])


def test_a_cancel_that_did_not_arrive_is_told_although_its_button_is_gone(site: Site) -> None:
    page = cancels_and_loses_the_button(site)
    site.held.pop().abort()
    expect(toasts(page)).to_have_text([AWAY])


@pytest.mark.parametrize("status", [204, 409])
def test_an_answer_in_the_servers_words_is_told_once(site: Site, status: int) -> None:
    page = site.open()
    page.locator("#cancel-2").click()
    site.answer("", status, **says("warning", "Too late: filled."))
    expect(toasts(page)).to_have_text(["Too late: filled."])
    expect(page.locator("#cancel-2")).to_be_enabled()
    expect(toasts(page)).to_have_count(1)


def test_an_answer_that_takes_its_own_button_away_is_told_once(site: Site) -> None:
    site.differs = ('hx-swap="none"', 'hx-swap="outerHTML"')
    page = site.open()
    page.locator("#cancel-2").click()
    site.answer("<p>Done</p>", 200, **says("success", "It is done."))
    expect(page.get_by_text("Done", exact=True)).to_be_visible()
    expect(toasts(page)).to_have_text(["It is done."])


def test_a_list_that_was_taken_away_tells_no_failure(site: Site) -> None:
    page = site.open()
    site.holds = True
    site.news()
    site.until(lambda: site.held, "the fetch")
    page.evaluate("document.getElementById('orders').remove()")
    with page.expect_event("requestfinished"):
        site.answer("", 503)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")
    expect(toasts(page)).to_have_count(0)


def test_an_error_that_repeats_stands_and_is_spoken_once(site: Site) -> None:
    page = site.open()
    page.evaluate(  # what Playwright evaluates counts as somebody's doing
        "() => { window.failures = 0;"
        " Object.defineProperty(navigator, 'userActivation', { value: { isActive: false } });"
        " document.addEventListener('htmx:sendError', () => { window.failures += 1; }); }"
    )
    site.away = True
    for count in (1, 2):
        site.news()
        page.wait_for_function("(count) => window.failures === count", arg=count)
        expect(toasts(page)).to_have_text([AWAY])
        expect(page.locator("#sr")).to_have_text(AWAY if count == 1 else "")
        page.evaluate("document.getElementById('sr').textContent = ''")
    page.locator("#toasts button").click()
    expect(toasts(page)).to_have_count(0)
    site.news()
    expect(toasts(page)).to_have_count(1)


def test_who_asks_again_hears_the_same_error_again(site: Site) -> None:
    page = site.open()
    site.away = True
    for _ in range(2):
        page.locator("#cancel-2").click()
        expect(page.locator("#sr")).to_have_text(AWAY)
        expect(page.locator("#cancel-2")).to_be_enabled()
        page.evaluate("document.getElementById('sr').textContent = ''")
    expect(toasts(page)).to_have_count(1)


# ── the focus ───────────────────────────────────────────────────────────────
@pytest.mark.parametrize("place", ["#cancel-2", "a[href='/orders/2']"])
def test_the_focus_stays_where_it_was(site: Site, place: str) -> None:
    page = site.open()
    page.locator(place).focus()
    before = focused(page)
    site.orders = [order(2), order(3)]
    site.fetched_anew()
    assert focused(page) == before


@pytest.mark.parametrize(
    ("left", "where"),
    [
        ([order(1), order(2, state="pending_cancel"), order(3)], "/orders/2"),
        ([order(1), order(3)], "/orders/3"),
        ([order(1)], "/orders/1"),
    ],
)
@pytest.mark.parametrize("pressed", [False, True])
def test_the_focus_of_a_cancel_that_is_gone_goes_to_its_row_or_the_next(
    site: Site, left: list[Order], where: str, pressed: bool
) -> None:
    page = site.open()
    page.locator("#cancel-2").focus()
    if pressed:
        page.keyboard.press("Enter")
        expect(page.locator("#cancel-2")).to_be_disabled()
    site.orders = left
    site.fetched_anew()
    assert focused(page) == where


def test_with_no_row_left_the_focus_goes_to_the_words_that_say_so(site: Site) -> None:
    page = site.open()
    page.locator("a[href='/orders/2']").focus()
    site.orders = []
    site.fetched_anew()
    expect(page.get_by_role("heading", name="No open orders")).to_be_focused()


def test_a_button_that_waited_for_its_answer_has_the_focus_again(site: Site) -> None:
    page = site.open()
    page.locator("#cancel-2").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#cancel-2")).to_be_disabled()
    site.answer("", 503)
    expect(page.locator("#cancel-2")).to_be_enabled()
    expect(page.locator("#cancel-2")).to_be_focused()


def test_a_list_that_is_fetched_anew_takes_no_focus_from_elsewhere(site: Site) -> None:
    page = site.open()
    site.fetched_anew()
    assert page.evaluate("document.activeElement === document.body")


# ── the voice ───────────────────────────────────────────────────────────────
def test_what_is_said_while_a_dialog_is_open_is_said_in_it(site: Site) -> None:
    page = site.open()
    page.keyboard.press("?")
    toast = "(text) => htmx.trigger('body', 'st:toast', { text })"
    page.evaluate(toast, "AAPL is at 200")
    expect(page.locator("#keys [data-sr]")).to_have_text("AAPL is at 200")
    expect(page.locator("#sr")).to_have_text("")
    page.keyboard.press("Escape")
    page.evaluate(toast, "AAPL is at 300")
    expect(page.locator("#sr")).to_have_text("AAPL is at 300")
    expect(page.locator("#keys [data-sr]")).to_have_text("")


def test_words_of_one_moment_are_all_said(site: Site) -> None:
    page = site.open()
    page.evaluate(
        "() => { for (const text of ['Bought 2 AAPL', 'The alert is off.', 'Live again'])"
        " htmx.trigger('body', 'st:toast', { text }); }"
    )
    expect(page.locator("#sr")).to_have_text("Bought 2 AAPL. The alert is off. Live again")
