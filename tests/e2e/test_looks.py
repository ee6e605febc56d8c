"""No page sticks out sideways or breaks a rule of access, empty or full, light or dark."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.e2e.conftest import Person
from tests.e2e.test_trading import confirm

People = Callable[..., Person]
PUBLIC = (
    "/",
    "/login",
    "/register",
    "/problems/market-closed",
    "/about/licences",
    "/learn",
    "/learn/order",
    "/learn/terms",
    "/offline",
    "/status",
)
PRIVATE = (
    "/dashboard",
    "/markets",
    "/search?q=am",
    "/markets/AAPL",
    "/markets/BTC-USD/ticket?amount=1",
    "/portfolio",
    "/orders",
    "/orders?status=all",
    "/activity",
    "/transfers",
    "/settings",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [(390, "dark"), (1280, "light"), (320, "light")]


def trouble(page: Page, *, rules: bool) -> list[str]:
    """What is wrong with the page as it stands, in words."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    wide: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    found = [f"{page.url}: {wide} px too wide"] if wide > 0 else []
    if not rules:
        return found
    # As tall as the page: what the bar at the bottom happens to cover is no small target.
    window = page.viewport_size or {"width": 390, "height": 844}
    height: int = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": window["width"], "height": height})
    told: Any = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}}).response
    page.set_viewport_size(window)
    for broken in told["violations"]:
        nodes = "; ".join(node["html"][:160] for node in broken["nodes"][:3])
        found.append(f"{page.url}: {broken['id']}: {broken['help']}: {nodes}")
    return found


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_fits_its_window_and_keeps_the_rules_of_access(
    people: People, width: int, scheme: Any
) -> None:
    person = people(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    )
    rules = width != 320  # the narrowest window only asks whether all of it fits
    found = []
    for path in PUBLIC:
        found += trouble(person.go(path), rules=rules)
    person.register()
    for path in ("/dashboard", "/portfolio", "/orders"):  # empty
        found += trouble(person.go(path), rules=rules)
    page = person.go("/markets/AAPL/ticket?amount=2")
    page.get_by_role("button", name="Review order").last.click()
    page.locator(".sentence").wait_for()
    found += trouble(page, rules=rules)
    confirm(page, "buy", live=True)
    page.get_by_text("Why this price?").first.click()
    found += trouble(page, rules=rules)
    for path in PRIVATE:
        found += trouble(person.go(path), rules=rules)
    assert not found, "\n".join(found)
