"""Register, buy, watch it fill, hold it, sell it, count: with and without JavaScript."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from speedtrade.testing.waiting import wait_until
from tests.e2e.conftest import PATIENCE, Person

People = Callable[..., Person]
ORDER = re.compile(r"/orders/\d+$")


def until_filled(page: Page, *, live: bool) -> None:
    """The order page says Filled: by itself, or after reloads where nothing runs in the browser."""
    done = page.locator(".steps li.done", has_text="Filled")
    if live:
        expect(done).to_be_visible(timeout=PATIENCE)
        return

    def filled() -> bool:
        page.reload()
        return done.count() > 0

    wait_until(filled, PATIENCE / 1000, "a market order fills")


def confirm(page: Page, side: str, *, live: bool) -> None:
    page.get_by_role("button", name=f"Place {side} order").click()
    page.wait_for_url(ORDER)
    until_filled(page, live=live)


def amount_of(text: str | None) -> float:
    return float(re.sub(r"[^0-9.\-]", "", (text or "").replace("−", "-")))


def tile(page: Page, name: str) -> str:
    """The words of one figure of the portfolio page."""
    named = page.locator("dt", has_text=re.compile(rf"^\s*{name}"))
    return page.locator(".tile", has=named).locator("dd").inner_text()


def buys_and_sells(person: Person, *, live: bool) -> None:
    """The whole way of one user; the figures are compared with each other, not with a table."""
    page = person.register_on_the_page().page
    expect(page.get_by_text("Nothing bought yet")).to_be_visible()

    person.go("/markets/AAPL")
    page.get_by_label("Amount", exact=True).fill("5")
    page.get_by_role("button", name="Review order").last.click()
    expect(page.locator(".sentence")).to_contain_text("Buy 5 shares of AAPL at market, about $")
    confirm(page, "buy", live=live)
    expect(page.get_by_text("Average price")).to_be_visible()
    order_path = page.url.removeprefix(person.product.url)

    person.go("/dashboard")
    expect(page.locator("#mine")).to_contain_text("Bought 5 AAPL")
    page.locator("#mine").get_by_role("link", name="AAPL", exact=True).click()
    expect(page.locator("#here")).to_contain_text("Your position")

    page.get_by_role("link", name="Sell all").click()
    expect(page.get_by_label("Amount", exact=True)).to_have_value("5")
    page.get_by_role("button", name="Review order").last.click()
    expect(page.locator(".sentence")).to_contain_text("Sell 5 shares of AAPL at market")
    confirm(page, "sell", live=live)

    person.go("/activity")
    booked = page.locator("summary .end > .strong data")
    cash = [amount_of(text) for text in booked.all_text_contents()]
    assert len(cash) >= 3 and cash[-1] == 100_000
    person.go("/portfolio")
    expect(page.get_by_text("No holdings yet")).to_be_visible()
    profit = round(sum(cash) - 100_000, 2)
    assert abs(amount_of(tile(page, "Cash")) - sum(cash)) < 0.005
    assert f"{abs(profit):.2f}" in tile(page, "Realised")
    assert f"{abs(profit):.2f}" in tile(page, "Total return")

    person.go("/orders?status=closed")
    expect(page.locator("table.orders tbody tr")).to_have_count(2)
    person.go(order_path)
    expect(page.get_by_role("heading", name="Buy 5 AAPL")).to_be_visible()


def test_a_person_buys_watches_it_fill_sells_and_the_books_add_up(people: People) -> None:
    buys_and_sells(people(), live=True)


def test_the_same_works_without_javascript(people: People) -> None:
    buys_and_sells(people(java_script_enabled=False), live=False)


def test_prices_move_by_themselves(people: People) -> None:
    person = people().register()
    page = person.go("/markets/BTC-USD")
    hero = page.locator("[data-hero]")
    first = hero.text_content()
    expect(hero).not_to_have_text(first or "", timeout=PATIENCE)
    expect(page.locator("#live-dot.on")).to_be_visible()
    book = page.locator(".book td").first
    expect(book).to_be_visible()


def test_the_estimate_follows_the_ticket_and_a_chip_fills_it(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/ETH-USD"))
    page.get_by_label("Amount", exact=True).fill("1")
    expect(page.locator("#estimate")).to_contain_text("Estimated cost")
    page.get_by_role("radio", name="Dollars").check(force=True)
    page.get_by_role("button", name="50%").click()
    expect(page.get_by_label("Amount", exact=True)).to_have_value("49950.04")
    expect(page.locator("#estimate")).to_contain_text("$49.95")
    page.get_by_label("Amount", exact=True).press("Enter")
    expect(page.locator(".sentence")).to_contain_text("Buy $49,950.04 of ETH at market")


def test_what_cannot_be_is_said_in_the_ticket_and_nothing_typed_is_lost(people: People) -> None:
    person = people().register()
    person.expect_errors("422")
    page = person.go("/markets/AAPL")
    page.get_by_label("Amount", exact=True).fill("2000")
    page.get_by_role("button", name="Review order").last.click()
    expect(page.locator("#id_amount_error")).to_contain_text("is missing")
    expect(page.get_by_label("Amount", exact=True)).to_have_value("2000")
    assert page.url.endswith("/markets/AAPL")


def test_a_resting_order_is_cancelled_from_the_list_without_a_reload(people: People) -> None:
    person = people().register()
    page = person.go("/markets/AAPL")
    price = amount_of(page.locator("[data-hero]").text_content())
    page.get_by_label("Type").select_option("limit")
    page.get_by_label("Limit price").fill(f"{price * 0.9:.2f}")
    page.get_by_label("Amount", exact=True).fill("1")
    page.get_by_role("button", name="Review order").last.click()
    page.get_by_role("button", name="Place buy order").click()
    page.wait_for_url(ORDER)
    expect(page.locator("#order header .pill")).to_contain_text("Working", timeout=PATIENCE)
    person.go("/orders")
    page.evaluate("window.notReloaded = true")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("No open orders")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.notReloaded") is True


def test_a_fill_is_told_and_shown_on_a_page_that_only_waits(people: People) -> None:
    person = people().register()
    waiting = person.watch.follow(person.context.new_page())
    waiting.goto(f"{person.product.url}/dashboard")
    expect(waiting.locator("#live-dot.on")).to_be_visible(timeout=PATIENCE)
    waiting.evaluate("window.notReloaded = true")
    person.go("/markets/AAPL/ticket?amount=2")
    person.page.get_by_role("button", name="Review order").last.click()
    confirm(person.page, "buy", live=True)
    expect(waiting.locator("#toasts")).to_contain_text("Bought 2 AAPL at $", timeout=PATIENCE)
    expect(waiting.locator("#mine")).to_contain_text("2 at $")
    assert waiting.evaluate("window.notReloaded") is True


def test_a_stranger_sees_none_of_it(people: People) -> None:
    owner, stranger, nobody = people().register(), people().register(), people()
    owner.go("/markets/AAPL/ticket?amount=2")
    owner.page.get_by_role("button", name="Review order").last.click()
    confirm(owner.page, "buy", live=True)
    path = owner.page.url.removeprefix(owner.product.url)
    stranger.expect_errors("404")
    said: Any = stranger.page.goto(f"{stranger.product.url}{path}")
    assert said.status == 404 and "AAPL" not in stranger.page.locator("main").inner_text()
    for address in ("/dashboard", "/portfolio", "/activity", "/orders?status=all"):
        stranger.go(address)
        text = stranger.page.locator("main").inner_text()
        assert "Bought" not in text and "Buy 2" not in text
        nobody.go(address)
        expect(nobody.page.get_by_role("button", name="Log in")).to_be_visible()
