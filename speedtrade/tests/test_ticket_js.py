"""The ticket's keys in a real browser, on a page of the test's own."""

import pytest
from playwright.sync_api import Page, Route, expect

from speedtrade.testing.fake_pages import ORIGIN, Server

pytestmark = pytest.mark.e2e
HEAD = """{% load static %}<!doctype html><html lang="en"><head><title>Ticket</title>
<script type="module" src="{% static 'js/ui.js' %}"></script>
<script type="module" src="{% static 'js/ticket.js' %}"></script></head><body><main>"""
WRITING = f"""{HEAD}<form id="ticket"><input id="price" data-tick="0.01" data-from="99.00">
<input id="coin" data-tick="0.00000001"><div id="estimate"></div></form></main></body></html>"""
TYPED = f"""{HEAD}{{% load django_htmx %}}{{% htmx_script %}}
<section id="ticket"><form hx-post="/review"><input id="id_amount" name="amount">
<div id="estimate" hx-post="/estimate" hx-trigger="st:free delay:300ms" hx-target="this"></div>
<p id="estimate-old" hidden></p></form></section></main></body></html>"""
REVIEW = f"""{HEAD}<section id="ticket">
<h2 id="ticket-head" tabindex="-1" data-focus>Review your order</h2>
<form data-place method="post" action="/place"><button class="submit">Place buy order</button>
</form></section></main></body></html>"""
READ = 450  # milliseconds: a little more than a review asks for


@pytest.mark.parametrize(
    ("typed", "stands"),
    [
        ("184,32", "184,32"),  # the decimal comma of half of Europe: no thousands
        ("64.250,50", "64.250,50"),
        ("1,25,000", "1,25,000"),
        ("1 250", "1 250"),
        ("1e3", "1e3"),
        ("1,250.50", "1250.51"),
        ("$ 1,250.5", "1250.51"),
        ("184.32", "184.33"),
        ("0.29", "0.30"),
        ("1234567.89", "1234567.90"),
        (".5", "0.51"),
        ("", "99.01"),
    ],
)
def test_an_arrow_steps_from_a_price_that_can_be_read_and_leaves_all_else(
    page: Page, server: Server, typed: str, stands: str
) -> None:
    server.pages["/ticket"] = WRITING
    page.goto(f"{ORIGIN}/ticket")
    price = page.locator("#price")
    price.fill(typed)
    price.press("ArrowUp")
    expect(price).to_have_value(stands)


def test_the_smallest_tick_leaves_no_residue(page: Page, server: Server) -> None:
    server.pages["/ticket"] = WRITING
    page.goto(f"{ORIGIN}/ticket")
    coin = page.locator("#coin")
    coin.fill("64250.12345678")
    coin.press("ArrowUp")
    expect(coin).to_have_value("64250.12345679")
    coin.press("Shift+ArrowDown")
    expect(coin).to_have_value("64250.12345669")


ENTER_AT_ONCE = """{
  window.placed = 0;
  addEventListener("submit", (event) => { event.preventDefault(); window.placed += 1; });
  addEventListener("DOMContentLoaded", () => {
    const options = { key: "Enter", bubbles: true, cancelable: true };
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
  });
}"""


def test_a_review_that_is_a_page_of_its_own_is_read_before_a_key_places_it(
    page: Page, server: Server
) -> None:
    """Its script comes late: the page is old by then, and nobody could have placed anything."""
    server.pages["/review"] = REVIEW
    late: list[Route] = []
    page.route("**/js/ticket.js", lambda route: late.append(route))
    page.add_init_script(ENTER_AT_ONCE)
    page.goto(f"{ORIGIN}/review", wait_until="commit")
    page.wait_for_function(f"() => performance.now() > {READ} && document.querySelector('.submit')")
    server.answer(late[0])
    page.wait_for_function("() => document.readyState === 'complete'")
    expect(page.locator("#ticket-head")).to_be_focused()
    assert page.evaluate("window.placed") == 0
    page.evaluate(f"() => new Promise((done) => setTimeout(done, {READ}))")  # it has been read
    page.keyboard.press("Enter")
    assert page.evaluate("window.placed") == 1


@pytest.mark.parametrize("news", ["st:order", "st:resync"])
def test_what_changes_what_is_free_computes_the_order_that_is_being_written_anew(
    page: Page, server: Server, news: str
) -> None:
    server.pages["/ticket"] = TYPED
    page.goto(f"{ORIGIN}/ticket")
    page.wait_for_function("() => window.htmx && document.readyState === 'complete'")
    said = f"() => document.body.dispatchEvent(new CustomEvent('{news}', {{ detail: null }}))"
    page.clock.install()
    page.evaluate(said)
    page.clock.run_for(1_000)
    assert server.asked == [], "nothing is written yet: there is nothing to say aloud"
    page.locator("#id_amount").fill("7")
    with page.expect_request("**/estimate", timeout=5_000) as asked:
        page.evaluate(said)
        page.clock.run_for(400)
    assert asked.value.post_data == "amount=7"
