"""Prices that are read aloud, or held still on request, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from speedtrade.testing.fake_pages import ORIGIN, QUOTE, Server, heard

pytestmark = pytest.mark.e2e
CALM = """{% load static %}<!doctype html>
<html lang="en" data-paused="{{ paused }}"><head><title>Calm</title>
<script type="module" src="{% static 'js/calm.js' %}"></script>
<script type="module" src="{% static 'js/quotes.js' %}"></script></head><body><div id="sr"></div>
<header data-row><p>{% live "AAPL" "107.00" tick="0.01" hero=True %}</p>
{% include "components/_price_tools.html" with symbol="AAPL" %}</header></body></html>"""


@pytest.fixture
def calm(page: Page, server: Server) -> Page:
    server.pages["/calm"] = CALM
    server.context["paused"] = "off"
    page.goto(f"{ORIGIN}/calm")
    heard(page, server, lambda message: message["action"] == "subscribe")
    return page


def announced(page: Page) -> str:
    """What is said of the price when somebody asks for it."""
    said = page.locator("#sr")
    page.evaluate("document.getElementById('sr').textContent = ''")
    page.get_by_role("button", name="Announce price").click()
    expect(said).to_have_text(re.compile("AAPL"))
    text = said.inner_text()
    page.get_by_role("button", name="Announce price").click()
    expect(said).to_have_text("No more announcements")
    return text


def test_the_live_price_is_announced_also_while_the_chart_shows_another(
    calm: Page, server: Server
) -> None:
    assert announced(calm) == "AAPL $107.00"
    calm.evaluate(
        """() => Object.assign(document.querySelector("[data-hero]"), { textContent: "$99.00" })
          .setAttribute("data-held", "")"""
    )
    server.say(type="quote", quotes=[QUOTE])
    expect(calm.locator("[data-hero]")).to_have_js_property("value", "101.50")
    assert announced(calm) == "AAPL $101.50"


def test_a_price_that_is_not_live_is_announced_as_the_last_one(calm: Page, server: Server) -> None:
    server.say(type="quote", quotes=[QUOTE | {"stale": True}])
    expect(calm.locator("header")).to_have_attribute("data-stale", "")
    assert announced(calm) == "AAPL, not live, last $101.50"
    server.say(type="quote", quotes=[QUOTE])
    expect(calm.locator("header")).not_to_have_attribute("data-stale", "")
    calm.get_by_role("button", name="Pause live prices").click()
    assert announced(calm) == "AAPL, not live, last $101.50"
