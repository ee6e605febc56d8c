"""What a page says, copies and asks in a real browser, on pages of the test's own."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from speedtrade.testing.fake_pages import ORIGIN, Server

pytestmark = pytest.mark.e2e
HEAD = """{% load static %}<!doctype html><html lang="en"><head><title>Words</title>
<script type="module" src="{% static 'js/ui.js' %}"></script>
<script type="module" src="{% static 'js/orders.js' %}"></script>
<script type="module" src="{% static 'js/passkey.js' %}"></script></head><body>
<ol id="toasts"></ol><div id="sr"></div><template id="toast-template"><li>
<svg><use href="/i.svg#info"></use></svg><span data-text></span></li></template><main>"""
KEY = f"""{HEAD}<dialog id="box"><button data-copy="st_secret">Copy the key</button></dialog>
<textarea id="paste"></textarea></main></body></html>"""
PASSKEY = f"""{HEAD}<form method="post" action="/add"><input type="hidden" name="credential">
<input type="hidden" name="csrfmiddlewaretoken" value="x">
<button type="button" hidden data-passkey="/make" data-make>Make the passkey</button>
<p data-passkey-said></p></form></main></body></html>"""
KNOWS_PASSKEYS = """window.PublicKeyCredential = {
  parseRequestOptionsFromJSON: (it) => it, parseCreationOptionsFromJSON: (it) => it }"""
FILLED = {"id": 7, "symbol": "SHIB/USD", "side": "buy", "status": "filled", "filled_qty": "1000000"}


# ── what an order came to ────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("average", "said"),
    [
        ("0.0000123456", "$0.00001235"),
        ("0.00001234", "$0.00001234"),
        ("0.0000120", "$0.0000120"),
        ("0.05", "$0.05"),
        ("0.5123", "$0.5123"),
        ("101.50", "$101.50"),
    ],
)
def test_a_fill_is_told_with_a_price_that_says_something(
    page: Page, server: Server, average: str, said: str
) -> None:
    server.pages["/words"] = f"{HEAD}</main></body></html>"
    page.goto(f"{ORIGIN}/words")
    page.evaluate(
        "(detail) => document.body.dispatchEvent(new CustomEvent('st:order', { detail }))",
        {**FILLED, "avg_fill_price": average},
    )
    expect(page.locator("#toasts [data-text]")).to_have_text(f"Bought 1,000,000 SHIB at {said}")


# ── copying without HTTPS ────────────────────────────────────────────────────
def test_a_key_is_copied_where_a_browser_has_no_clipboard(page: Page, server: Server) -> None:
    server.pages["/key"] = KEY
    page.goto(f"{ORIGIN}/key")
    assert page.evaluate("navigator.clipboard === undefined")
    page.evaluate("box.showModal()")
    button = page.get_by_role("button", name="Copy the key")
    button.click()
    expect(page.locator("#toasts [data-text]")).to_have_text("Copied")
    expect(button).to_be_focused()
    page.evaluate("box.close()")
    page.locator("#paste").press("Control+v")
    expect(page.locator("#paste")).to_have_value("st_secret")


def test_what_cannot_be_copied_says_so(page: Page, server: Server) -> None:
    server.pages["/key"] = KEY
    page.goto(f"{ORIGIN}/key")
    page.evaluate("document.execCommand = () => false; box.show()")
    page.get_by_role("button", name="Copy the key").click()
    expect(page.locator("#toasts [data-text]")).to_contain_text("copy it by hand")


# ── a passkey, later than a confirmation holds ───────────────────────────────
def test_a_passkey_that_must_be_confirmed_first_leads_to_where_it_is(
    page: Page, server: Server
) -> None:
    looked: list[str] = []

    def to_confirm(route: Route) -> None:
        route.fulfill(status=303, headers={"Location": "/confirm"})

    def again(route: Route) -> None:
        looked.append(route.request.method)
        if len(looked) > 1:  # as after the redirect of the server, which nothing here could follow
            route.fulfill(content_type="text/html", body="<h1>Confirm that it is you</h1>")
        else:
            server.answer(route)

    server.pages["/add"] = PASSKEY
    page.add_init_script(KNOWS_PASSKEYS)
    page.route("**/add", again)
    page.route("**/make", to_confirm)
    page.goto(f"{ORIGIN}/add")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    assert looked == ["GET", "GET"]


# ── how long ago ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("hours", "said"), [(30, "1 day ago"), (47, "1 day ago"), (49, "2 days ago")]
)
def test_an_age_names_no_day_of_the_calendar(
    page: Page, server: Server, hours: int, said: str
) -> None:
    at = datetime.now(UTC) - timedelta(hours=hours)
    age = f'<time data-age datetime="{at.isoformat()}">then</time>'
    server.pages["/words"] = f"{HEAD}{age}</main></body></html>"
    page.goto(f"{ORIGIN}/words")
    expect(page.locator("time")).to_have_text(said)
