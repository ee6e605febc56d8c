"""The chart of the trade page in the real product: ranges, table, keys, failing and coming back."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Person

People = Callable[..., Person]
SHIFTED = """() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries()
  .filter((e) => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0)))
  .observe({ type: "layout-shift", buffered: true }) ?? setTimeout(() => done(0), 300))"""


def charted(page: Page) -> None:
    expect(page.locator(".chart .skel")).to_be_hidden()
    expect(page.locator(".chart")).not_to_have_attribute("aria-busy", "true")


def test_ranges_change_the_summary_and_the_table_and_nothing_jumps(people: People) -> None:
    person = people().register()
    page = person.go("/markets/AAPL")
    charted(page)
    assert page.evaluate(SHIFTED) <= 0.05
    summary = page.locator("#chart-summary")
    expect(summary).to_contain_text("today, from $")
    page.get_by_text("Show as table").click()
    expect(page.locator("[data-bars] caption")).to_contain_text("newest first")
    page.get_by_role("button", name="1Y", exact=True).click()
    expect(summary).to_contain_text("in a year, from $")
    expect(page.locator("[data-bars] caption")).to_contain_text("The newest 100 of")
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    expect(summary).to_contain_text("this year, from $")
    page.get_by_role("button", name="All", exact=True).click()
    expect(summary).to_contain_text(re.compile(r" since \w+ \d+, \d{4}, from \$"))


def test_candles_and_indicators_are_remembered(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/AAPL"))
    page.get_by_role("button", name="Candles").click()
    page.get_by_role("button", name="Indicators").click()
    with page.expect_response("**/settings/indicators"):
        page.get_by_label("RSI 14").check()
    charted(page)
    page.reload()
    charted(page)
    expect(page.locator("[data-style=candles]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("input[value=rsi14]")).to_be_checked()
    expect(page.locator(".chart")).to_have_class(re.compile("tall"))
    page.locator(".plot").focus()
    page.keyboard.press("Home")
    expect(page.locator("[data-hero-when]")).to_contain_text("ET")
    page.keyboard.press("Escape")
    expect(page.locator("[data-hero-when]")).to_have_text("Today")


def test_what_cannot_be_loaded_is_said_in_its_place_and_tried_again(people: People) -> None:
    person = people().register()
    person.expect_errors("503", "Response Status Error Code")
    page = person.page

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body="{}", headers={"X-Request-Id": "abc-123"})

    page.route("**/markets/AAPL/bars?*", refuse)
    page.route("**/markets/AAPL/book", refuse)
    person.go("/markets/AAPL")
    expect(page.locator(".chart-message")).to_contain_text(
        "Couldn't load the chart. Request abc-123."
    )
    book = page.locator("[data-panel]")
    expect(book).to_contain_text("Couldn't load order book. Request abc-123.")
    expect(page.locator("#toasts li")).to_have_count(0)
    page.unroute_all()
    page.locator(".chart").get_by_role("button", name="Retry").click()
    expect(page.locator(".chart-message")).to_have_count(0)
    book.get_by_role("button", name="Retry").click()
    expect(book.locator("#bid-10")).to_be_visible()
