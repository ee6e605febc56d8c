"""A page that is open learns that orders are no longer taken, and when they are again."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PATIENCE, Person
from tests.e2e.levers import trading_halted

People = Callable[..., Person]


def ready(page: Page) -> Page:
    """The page hears what happens: a halt before that is in what it fetched."""
    expect(page.locator("#live-dot.on")).to_be_visible(timeout=PATIENCE)
    return page


def test_open_pages_shut_their_tickets_and_open_them_again_with_what_was_typed(
    people: People, world: World, product_folder: Path
) -> None:
    person = people().become(world, "mixed")
    page = ready(person.go("/markets/AAPL"))
    orders = person.watch.follow(person.context.new_page())
    orders.goto(f"{person.product.url}/orders")
    ready(orders)
    page.locator("#ticket").get_by_label("Amount", exact=True).fill("7")
    page.evaluate("window.sameDocument = true")
    submit = page.locator("#ticket button.submit")
    with trading_halted(person, product_folder):
        for one in (page, orders):
            expect(one.locator("[data-state=maintenance]")).to_contain_text("Trading is halted")
        expect(page.locator("#ticket-blocked")).to_contain_text("Trading is halted: A drill.")
        expect(submit).to_be_disabled()
        expect(page.locator("#sr")).to_contain_text("Trading is halted: A drill.")
    for one in (page, orders):
        expect(one.locator("[data-state=maintenance]")).to_have_count(0, timeout=PATIENCE)
    expect(submit).to_be_enabled()
    expect(page.locator("#id_amount")).to_have_value("7")
    assert page.evaluate("window.sameDocument"), "nobody has reloaded it"


def test_a_review_that_is_being_read_is_withdrawn(
    people: People, world: World, product_folder: Path
) -> None:
    person = people().become(world, "mixed")
    page = ready(person.go("/markets/AAPL/ticket?amount=2"))
    page.get_by_role("button", name="Review order").last.click()
    page.locator(".sentence").wait_for()
    with trading_halted(person, product_folder):
        expect(page.locator("#ticket-blocked")).to_be_visible()
        assert page.locator("[data-place]").count() == 0
        expect(page.locator("#id_amount")).to_have_value("2")


def test_an_account_that_is_stopped_elsewhere_is_stopped_on_every_open_page(
    people: People,
) -> None:
    person = people().register()
    home = ready(person.page)
    symbol = person.watch.follow(person.context.new_page())
    symbol.goto(f"{person.product.url}/markets/AAPL")
    ready(symbol)
    desk = person.watch.follow(person.context.new_page())
    desk.goto(f"{person.product.url}/settings/brokers")
    desk.get_by_role("link", name="Paper account").first.click()
    desk.get_by_role("button", name="Stop new orders").click()
    expect(home.locator("#account-state")).to_contain_text("You have stopped this account.")
    expect(symbol.locator("#ticket-blocked")).to_contain_text("You have stopped this account")
    desk.get_by_role("button", name="Let it go on").click()
    expect(home.locator("#account-state .banner")).to_have_count(0)
    expect(symbol.locator("#ticket button.submit")).to_be_enabled()
