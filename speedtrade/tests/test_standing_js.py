"""A page that was told when the market opens or closes, in a browser whose clock the test moves."""

import pytest
from playwright.sync_api import Page, Route

from speedtrade.testing.fake_pages import ORIGIN, Server

pytestmark = pytest.mark.e2e
STANDING = """<div id="standing" {turns} hx-get="/standing?seen=x" hx-target="this"
hx-trigger="st:market from:body" hx-swap="outerHTML"></div>"""
PAGE = """{% load static django_htmx %}<!doctype html><html lang="en"><head><title>Page</title>
<meta name="htmx-config" content='{"includeIndicatorStyles":false}'>{% htmx_script %}
<script type="module" src="{% static 'js/standing.js' %}"></script></head><body>
<span id="symbol-state" data-standing></span>STANDING</body></html>"""
ASKS = "/standing?seen=x&places=symbol-state"


def opened(page: Page, server: Server, turns: str) -> Page:
    server.pages["/page"] = PAGE.replace("STANDING", STANDING.format(turns=turns))
    page.clock.install()
    page.goto(f"{ORIGIN}/page")
    page.wait_for_function("() => window.htmx")
    return page


def test_it_asks_at_that_moment_and_again_where_nothing_was_new_yet(
    page: Page, server: Server
) -> None:
    opened(page, server, 'data-turns-in="90"')
    page.clock.run_for(89_000)
    page.evaluate("() => document.dispatchEvent(new Event('htmx:load'))")  # of some other part
    assert server.asked == []
    with page.expect_response("**/standing?*", timeout=5_000):
        page.clock.run_for(3_500)
    assert server.asked == [ASKS]
    with page.expect_response("**/standing?*", timeout=5_000):
        page.clock.run_for(31_000)
    assert server.asked == [ASKS] * 2


def test_an_answer_sets_the_next_moment(page: Page, server: Server) -> None:
    opened(page, server, 'data-turns-in="90"')
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        body = STANDING.format(turns='data-turns-in="3600"')
        route.fulfill(body=body, content_type="text/html")

    page.route("**/standing?*", answer)
    page.clock.run_for(93_000)
    page.wait_for_function("() => document.querySelector('[data-turns-in=\"3600\"]')")
    page.clock.run_for(3_500_000)
    assert len(asked) == 1
    with page.expect_response("**/standing?*", timeout=5_000):
        page.clock.run_for(200_000)
    assert len(asked) == 2


def test_who_comes_back_after_it_asks_at_once(page: Page, server: Server) -> None:
    """A machine that slept: the clock has gone on, the timers have not."""
    opened(page, server, 'data-turns-in="90"')
    page.evaluate("() => { const now = Date.now() + 100_000; Date.now = () => now; }")
    assert server.asked == []
    with page.expect_response("**/standing?*", timeout=5_000):
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    assert server.asked == [ASKS]


def test_a_market_that_never_closes_is_not_asked_for(page: Page, server: Server) -> None:
    opened(page, server, "")
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.run_for(100_000)
    assert server.asked == []
