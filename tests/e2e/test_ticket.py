"""The ticket by keys alone, with a slow server, and with a hasty hand."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from speedtrade.testing.waiting import wait_until
from speedtrade.testing.world import World
from tests.e2e.conftest import PATIENCE, Person
from tests.e2e.live import fake_feed, symbols_of

People = Callable[..., Person]
ORDER = re.compile(r"/orders/\d+$")


def has_focus(page: Page, selector: str) -> None:
    expect(page.locator(selector)).to_be_focused(timeout=PATIENCE)


def read_for(page: Page, milliseconds: int) -> None:
    """Let the page's own clock pass: the review has been on it for so long."""
    page.evaluate("ms => new Promise((done) => setTimeout(done, ms))", milliseconds)


def test_a_purchase_by_keys_alone_from_the_symbol_to_the_receipt(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/AAPL"))
    page.keyboard.press("b")
    has_focus(page, "#id_amount")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    has_focus(page, "#ticket-head")
    read_for(page, 100)  # an Escape before htmx has settled follows the link for real
    page.keyboard.press("Escape")
    has_focus(page, "#id_amount")
    expect(page.locator("#id_amount")).to_have_value("3")
    page.keyboard.press("Enter")
    has_focus(page, "#ticket-head")
    read_for(page, 450)
    page.keyboard.press("Enter")
    page.wait_for_url(ORDER)
    expect(page.locator(".steps li.done", has_text="Filled")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    expect(page.get_by_role("link", name="View position")).to_be_visible()


def test_enter_places_nothing_before_the_review_could_be_read(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/AAPL?amount=3"))
    page.locator("#id_amount").press("Enter")
    has_focus(page, "#ticket-head")
    # As early as a key can come: the swap itself presses it, then a key that is held down.
    page.locator("[data-edit]").click()
    has_focus(page, "#id_amount")
    page.evaluate(
        """() => document.addEventListener("htmx:afterSwap", (event) => {
             if (event.target.id !== "ticket") return;
             const head = document.activeElement;
             for (const repeat of [false, true, true])
               head.dispatchEvent(
                 new KeyboardEvent("keydown", { key: "Enter", bubbles: true, repeat }));
             document.querySelector("[data-place] .submit")?.click();
           })"""
    )
    page.locator("#id_amount").press("Enter")
    has_focus(page, "#ticket-head")
    read_for(page, 450)
    page.keyboard.down("Enter")  # and now it may
    page.wait_for_url(ORDER)


def test_letters_do_nothing_where_their_owner_turned_them_off(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/AAPL?amount=3"))
    page.evaluate("document.documentElement.dataset.keys = 'off'")
    for key in ("s", "b", "r"):
        page.keyboard.press(key)
    expect(page.locator("#ticket input[value=buy]")).to_be_checked()
    expect(page.locator("#id_amount")).not_to_be_focused()
    page.evaluate("document.documentElement.dataset.keys = ''")
    page.keyboard.press("r")
    has_focus(page, "#ticket-head")


def test_arrows_move_the_limit_by_ticks(people: People) -> None:
    page = people().register().page
    page.goto(page.url.replace("/dashboard", "/markets/AAPL?order_type=limit&limit_price=99.99"))
    limit = page.locator("#id_limit_price")
    for key, value in (("ArrowUp", "100.00"), ("Shift+ArrowUp", "100.10"), ("ArrowDown", "100.09")):
        limit.press(key)
        expect(limit).to_have_value(value)


def test_a_slow_estimate_is_busy_and_a_failed_one_is_out_of_date(people: People) -> None:
    person = people().register()
    person.expect_errors("503")
    page = person.go("/markets/AAPL?amount=1")
    box = page.locator("#estimate")
    expect(box).to_contain_text("Estimated cost")
    slow: list[Route] = []
    page.route("**/estimate", lambda route: slow.append(route))
    page.locator("#id_amount").fill("2")
    expect(box).to_have_class(re.compile(r"\bbusy\b"))
    wait_until(lambda: _handled(page, slow), PATIENCE / 1000, "the estimate is asked for")
    read_for(page, 2_000)
    expect(box).to_have_class(re.compile(r"\bbusy\b"))
    slow[0].continue_()
    expect(box).not_to_have_class(re.compile(r"\bbusy\b"))
    page.unroute("**/estimate")
    page.route("**/estimate", lambda route: route.fulfill(status=503, body=""))
    page.locator("#id_amount").fill("3")
    expect(page.locator("#estimate-old")).to_be_visible()
    expect(box).not_to_have_class(re.compile(r"\bbusy\b"))
    expect(box).to_contain_text("Estimated cost")


def _handled(page: Page, routes: list[Any]) -> bool:
    page.evaluate("1")  # lets the events of the browser in
    return bool(routes)


#: The live regions in which something has changed since, in window.spoken.
LISTEN = """() => {
  window.spoken = [];
  const regions = "[aria-live], [role=status], [role=alert], [role=log]";
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const region = (target.closest ? target : target.parentElement)?.closest(regions);
      if (region && region.ariaLive !== "off") window.spoken.push(region.id || region.className);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.parametrize("path", ["/markets/AAPL", "/markets/AAPL/ticket", "/dashboard"])
def test_a_tick_is_read_aloud_by_nothing(people: People, world: World, path: str) -> None:
    person = people().become(world, "mixed")
    page = person.page
    fake_feed(page)
    person.go(path)
    page.evaluate("(symbols) => window.feed.say(symbols, 5)", symbols := symbols_of(page, 9))
    number = page.locator(f"[data-symbol='{symbols[0]}'][data-f='last']").first
    expect(number).to_have_text("$100.05")
    page.evaluate(LISTEN)
    for n, text in ((6, "$100.06"), (7, "$100.07")):
        page.evaluate("([symbols, n]) => window.feed.say(symbols, n)", [symbols, n])
        expect(number).to_have_text(text)
    assert page.evaluate("window.spoken") == []


def test_a_double_click_places_one_order(people: People) -> None:
    person = people().register()
    page = person.go("/markets/AAPL?amount=2")
    page.get_by_role("button", name="Review order").last.click()
    page.get_by_role("button", name="Place buy order").dblclick()
    page.wait_for_url(ORDER)
    person.go("/orders?status=all")
    expect(page.locator("table.orders tbody tr")).to_have_count(1)


def test_an_order_is_changed_and_then_all_are_canceled(people: People) -> None:
    person = people().register()
    person.expect_errors("422")
    query = "order_type=limit&limit_price=20&amount=2&time_in_force=gtc"
    page = person.go(f"/markets/AAPL?{query}")
    page.get_by_role("button", name="Review order").last.click()
    page.get_by_role("button", name="Place buy order").click()
    page.wait_for_url(ORDER)
    expect(page.locator("#order header .pill")).to_contain_text("Working", timeout=PATIENCE)
    old = page.url
    page.get_by_text("Change this order").click()
    page.get_by_label("New total").fill("two")
    page.get_by_role("button", name="Replace the order").click()
    expect(page.locator("#id_qty_error")).to_contain_text("plain number")
    page.get_by_label("New total").fill("3")
    page.get_by_role("button", name="Replace the order").click()
    page.wait_for_url(lambda url: url != old)
    expect(page.locator("h1")).to_have_text("Buy 3 AAPL")
    expect(page.locator("#order header .pill")).to_contain_text("Working", timeout=PATIENCE)
    page.get_by_text("Raw events", exact=True).click()
    expect(page.locator("#events")).to_contain_text("replaces")
    person.go("/orders")
    page.get_by_role("link", name="Cancel all open orders").click()
    page.get_by_label("Type CANCEL").fill("CANCEL")
    page.get_by_role("button", name="Cancel 1 order").click()
    page.wait_for_url("**/orders")
    expect(page.get_by_text("No open orders")).to_be_visible(timeout=PATIENCE)
