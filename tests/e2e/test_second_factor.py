"""A second factor in a real browser: an app without JavaScript, a passkey with Chromium's own."""

from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from speedtrade.testing.cast import app_code
from tests.e2e.conftest import PASSWORD, Person
from tests.e2e.live import STICKING_OUT
from tests.e2e.test_matrix import ALL, stretched

AXE = Axe()
SIZES = ({"width": 390, "height": 844}, {"width": 1280, "height": 900})


def looks_right(page: Page) -> None:
    before = page.viewport_size
    stretched(page, before["width"])
    found = AXE.run(page, options={"runOnly": ALL}).response["violations"]
    page.set_viewport_size(before)
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate(STICKING_OUT) == []


def log_out(person: Person) -> Page:
    page = person.go("/settings")
    page.get_by_role("button", name="Log out").last.click()
    page.wait_for_url(person.product.url + "/")
    return page


def password(person: Person, path: str = "/login") -> Page:
    page = person.go(path)
    page.get_by_label("Name").fill(person.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/login/code**")
    return page


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
def test_an_app_is_set_up_and_its_recovery_code_logs_in_without_javascript(people: Any, size: Any):
    person = people(java_script_enabled=False, viewport=size).register()
    page = person.go("/settings/security")
    page.get_by_role("link", name="Set up an authenticator app").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator("#app-secret").inner_text()
    page.get_by_role("textbox", name="Code").fill(app_code(secret))
    page.get_by_role("button", name="Set it up").click()
    codes = page.locator("#recovery-codes").inner_text().strip().split("\n")
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes left.")).to_be_visible()
    log_out(person)
    page = password(person, "/login?next=/orders")
    page.get_by_role("textbox", name="Code").fill(codes[0])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/orders")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
def test_the_pages_of_a_second_factor_break_no_rule(people: Any, size: Any):
    person = people(viewport=size, reduced_motion="reduce").register()
    person.expect_errors("422")
    page = person.go("/settings/security/app")
    looks_right(page)
    secret = page.locator("#app-secret").inner_text()
    page.get_by_role("textbox", name="Code").fill(app_code(secret))
    page.get_by_role("button", name="Set it up").click()
    page.locator("#recovery-codes").wait_for()
    looks_right(page)
    person.go("/settings/security")
    looks_right(page)
    log_out(person)
    page = password(person)
    looks_right(page)
    page.get_by_role("textbox", name="Code").fill("000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("[role=alert]")).to_contain_text("This code is wrong")
    looks_right(page)


def with_authenticator(person: Person) -> None:
    """Chromium's virtual device; passkeys need a name of a host, which an address is not."""
    url = person.product.url.replace("127.0.0.1", "localhost")
    person.product, person.watch.host = (
        replace(person.product, url=url),
        url.removeprefix("http://"),
    )
    devices = person.context.new_cdp_session(person.page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_made_and_logs_in(people: Any):
    person = people()
    with_authenticator(person)
    person.register()
    page = person.go("/settings/security/passkey")
    page.get_by_label("Its name").fill("My phone")
    page.get_by_role("button", name="Make the passkey").click()
    page.locator("#recovery-codes").wait_for()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("My phone").first).to_be_visible()
    looks_right(page)
    log_out(person)
    page = password(person)
    looks_right(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/dashboard")
