"""A price alert in the real product: set by keyboard, fired by the feed, said on whatever page."""

import re
from collections.abc import Callable
from decimal import Decimal

from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE, Person
from tests.e2e.test_matrix import trouble

People = Callable[..., Person]
D = Decimal
#: Milliseconds in which a price that walks by dice leaves a band of 0.06 %: eight seconds mostly.
A_MOVE = 180_000
SAID = re.compile(r"\bBTC (rose above|fell below) \$[0-9,.]+, now \$[0-9,.]+\. Look at it\.")


def last_price(page: Page) -> Decimal:
    """What the page of a symbol shows now."""
    return D(page.locator(".hero data").get_attribute("value") or "0")


def listen(page: Page) -> None:
    """Keep what the page says from now on: an alert that fires early is soon spoken over."""
    page.evaluate(
        """() => {
          const voice = document.querySelector("#sr");
          window.heard = [];
          new MutationObserver(() => window.heard.push(voice.textContent.trim())).observe(
            voice, { childList: true, characterData: true, subtree: true });
        }"""
    )


def fill_by_keys(page: Page, direction: str, price: Decimal, note: str = "") -> None:
    """From the direction on, without a mouse."""
    form = page.locator("#alert-form")
    form.get_by_label("Rises or falls").focus()
    page.keyboard.type(direction)
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type(f"{price:f}")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type(note)
    page.keyboard.press("Enter")


def test_an_alert_set_by_keyboard_fires_is_said_and_is_in_the_log(people: People) -> None:
    person = people(reduced_motion="reduce").register()
    page = person.go("/markets/BTC-USD")
    page.locator("#live-dot.on").wait_for()
    panel = page.locator("#alerts")
    expect(panel).to_contain_text("None for BTC/USD yet.")
    panel.locator("details summary", has_text="New alert").focus()
    page.keyboard.press("Enter")
    # A suggestion for each way, as long as nobody has written a price.
    above = page.locator("#id_price").input_value()
    page.get_by_label("Rises or falls").select_option("below")
    assert D(page.locator("#id_price").input_value()) < last_price(page) < D(above)
    page.get_by_label("Rises or falls").select_option("above")

    # One far away stays: it is in the list and on the chart.
    with page.expect_response(re.compile("/markets/BTC-USD/marks")) as drawn:
        fill_by_keys(page, "rises", D(above))
    expect(page.locator("#sr")).to_have_text(re.compile(r"^Alert set: BTC rises above"))
    assert [mark["price"] for mark in drawn.value.json()["alerts"]] == [above]
    expect(panel.locator(".alert-list li")).to_have_count(1)
    expect(panel.locator("[data-f=away]")).to_have_text(re.compile(r"^[0-9.]+%$"))
    expect(page.locator("#alert-set")).to_be_visible()

    # One on each side, so near that the next move goes past one of them.
    listen(page)
    for count, (direction, part) in enumerate((("rises", "1.0003"), ("falls", "0.9997")), start=2):
        expect(page.locator(".htmx-settling")).to_have_count(0)
        near = (last_price(page) * D(part)).quantize(D("0.01"))
        fill_by_keys(page, direction, near, "Look at it.")
        expect(panel.locator(".alert-list li")).to_have_count(count)
    toast = page.locator("#toasts li", has_text="BTC").first
    expect(toast).to_contain_text(re.compile(r"BTC (rose|fell)"), timeout=A_MOVE)
    page.wait_for_function(
        "words => window.heard.some(text => new RegExp(words).test(text))",
        arg=SAID.pattern,
        timeout=PATIENCE,
    )
    expect(panel.locator(".pill", has_text="Fired").first).to_be_visible()
    # It stays until it is closed, and another page has the log.
    toast.get_by_role("button", name="Close").click()
    for key in ("g", "l"):
        page.keyboard.press(key)
    page.wait_for_url("**/alerts")
    expect(page.locator(".alert-log li").first).to_contain_text(re.compile("now \\$[0-9]"))
    expect(page.locator(".alert-list .pill", has_text="Fired").first).to_be_visible()


def test_a_refused_price_is_said_at_the_form_and_rows_their_buttons(people: People) -> None:
    person = people(reduced_motion="reduce").register()
    person.expect_errors("422")
    page = person.go("/alerts")
    expect(page.get_by_text("No alerts yet")).to_be_visible()
    page.get_by_label("Symbol", exact=True).fill("btc-usd")
    page.get_by_label("Price in dollars").fill("1")
    page.get_by_role("button", name="Set alert").click()
    wrong = page.locator("#alert-form [role=alert]")
    expect(wrong).to_be_focused()
    expect(wrong).to_contain_text("“rises above” needs a higher price.")
    expect(page.get_by_label("Price in dollars")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Rises or falls").select_option("below")
    page.get_by_role("button", name="Set alert").click()
    expect(page.locator(".alert-list li")).to_have_count(1)
    expect(page.locator("#alert-set")).to_be_focused()
    page.get_by_role("button", name="Switch off: BTC falls below $1.00").click()
    expect(page.locator("#sr")).to_have_text("The alert is off: BTC falls below $1.00.")
    expect(page.locator("#alert-list-head")).to_be_focused()
    page.get_by_role("button", name="Delete: BTC falls below $1.00").click()
    expect(page.get_by_text("No alerts yet")).to_be_visible()


def test_without_javascript_an_alert_is_set_refused_and_deleted(people: People) -> None:
    person = people(java_script_enabled=False).register()
    person.expect_errors("422")
    page = person.go("/markets/BTC-USD")
    page.locator("#alerts details summary", has_text="New alert").click()
    page.get_by_label("Price in dollars").fill("1")
    page.get_by_role("button", name="Set alert").click()
    expect(page.get_by_role("alert")).to_contain_text("needs a higher price")
    page.get_by_label("Rises or falls").select_option("below")
    page.get_by_role("button", name="Set alert").click()
    expect(page.locator("#toasts")).to_contain_text("Alert set: BTC falls below $1.00.")
    page.get_by_role("button", name="Delete: BTC falls below $1.00").click()
    expect(page.get_by_text("No alerts yet")).to_be_visible()


def test_the_pages_of_alerts_fit_and_keep_the_rules_of_access(people: People) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce").register()
    person.expect_errors("422")
    page = person.go("/alerts?symbol=BTC-USD&price=1")
    page.get_by_role("button", name="Set alert").click()
    page.locator("#alert-form [role=alert]").wait_for()
    found = trouble(page)
    page.get_by_label("Rises or falls").select_option("below")
    page.get_by_role("button", name="Set alert").click()
    page.locator(".alert-list li").wait_for()
    found += trouble(page)
    person.go("/markets/BTC-USD")
    page.locator("#alerts details summary", has_text="New alert").click()
    found += trouble(page)
    assert not found, "\n".join(found)
