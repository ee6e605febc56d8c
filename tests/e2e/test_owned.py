"""What is owned, by keyboard and without JavaScript: the ranges, the curve as a table, the lots."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Person
from tests.e2e.test_trading import confirm

People = Callable[..., Person]


def bought(person: Person, *, live: bool) -> Page:
    """Two shares of AAPL are in the account."""
    page = person.register().go("/markets/AAPL/ticket?amount=2")
    page.get_by_role("button", name="Review order").last.click()
    confirm(page, "buy", live=live)
    return page


def test_ranges_table_and_lots_obey_the_keyboard(people: People) -> None:
    person = people(viewport={"width": 390, "height": 844})
    bought(person, live=True)
    page = person.go("/dashboard")
    beside = page.locator("[data-period-change]")
    expect(beside).to_contain_text("Today")
    page.get_by_role("button", name="1D", exact=True).focus()
    page.keyboard.press("ArrowRight")
    week = page.get_by_role("button", name="1W", exact=True)
    expect(week).to_be_focused()
    expect(week).to_have_attribute("aria-pressed", "true")
    expect(beside).to_contain_text("Past week")
    words = page.locator(
        "[data-curve-words]"
    )  # of a curve that is older than this page, or not yet
    expect(words).to_contain_text(re.compile("in the past week|The curve begins now"))
    page.keyboard.press("End")
    expect(beside).to_contain_text("Since the start")
    page.keyboard.press("Home")
    expect(beside).to_contain_text("Today")

    page.locator("summary", has_text="Show as table").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="The curve as a table")).to_contain_text("ET")

    expect(page.get_by_text("First steps")).to_be_visible()
    expect(page.get_by_role("link", name="Place a paper order")).to_have_count(0)  # it is done
    page.get_by_role("button", name="Put away").press("Enter")
    expect(page.get_by_text("First steps")).to_have_count(0)

    page = person.go("/portfolio")
    page.locator("summary", has_text="Lots of AAPL").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Lots of AAPL")).to_contain_text("Short")


def test_the_portfolio_needs_no_javascript(people: People) -> None:
    person = people(java_script_enabled=False)
    bought(person, live=False)
    page = person.go("/dashboard")
    page.get_by_role("navigation", name="Period").get_by_role("link", name="1W").click()
    expect(page.locator("[data-period-change]")).to_contain_text("Past week")
    page = person.go("/portfolio")
    page.get_by_role("link", name="Compare with SPY").click()
    expect(page.locator("#performance")).to_contain_text("SPY, past month")
    page.get_by_role("link", name="Coins").click()
    expect(page.get_by_text("You hold none of this kind")).to_be_visible()
    page.get_by_role("link", name="Stocks", exact=True).click()
    page.locator("summary", has_text="Lots of AAPL").click()
    page.locator("details").get_by_role("link", name="Lots of AAPL").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Lots of AAPL")
