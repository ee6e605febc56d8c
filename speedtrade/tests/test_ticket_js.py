"""The ticket's keys in a real browser, on a page of the test's own."""

import pytest
from playwright.sync_api import Page, expect

from speedtrade.testing.fake_pages import ORIGIN, Server

pytestmark = pytest.mark.e2e
HEAD = """{% load static %}<!doctype html><html lang="en"><head><title>Ticket</title>
<script type="module" src="{% static 'js/ui.js' %}"></script>
<script type="module" src="{% static 'js/ticket.js' %}"></script></head><body><main>"""
WRITING = f"""{HEAD}<form id="ticket"><input id="price" data-tick="0.01" data-from="99.00">
<input id="coin" data-tick="0.00000001"><div id="estimate"></div></form></main></body></html>"""


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
