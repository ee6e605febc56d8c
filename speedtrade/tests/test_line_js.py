"""A page whose line to the server fails, in a real browser: what it says, and what it fetches."""

import pytest
from playwright.sync_api import Locator, Page, expect

from speedtrade.testing.fake_pages import ORIGIN, Server, opened
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.e2e
NOTICE = 8_000  # milliseconds: three seconds after a loss the page says so, and it may be busy
COUNT = """{
  window.resynced = 0;
  addEventListener("st:resync", () => { window.resynced += 1; }, true);
}"""


def away(page: Page, server: Server) -> Locator:
    """The bar of a page whose first connections all fail."""
    server.cut = True
    page.add_init_script(COUNT)
    page.goto(ORIGIN + "/")
    bar = page.locator("#connection")
    expect(bar).to_contain_text("Live prices paused", timeout=NOTICE)
    return bar


def mended(page: Page, server: Server, bar: Locator) -> None:
    server.cut = False
    page.get_by_role("button", name="Retry").click()
    expect(bar).to_contain_text("Live again")


def connected(page: Page, server: Server, times: int) -> None:
    """The page has made so many connections."""

    def ask() -> bool:
        page.evaluate("1")  # lets Playwright deliver
        return len(server.sockets) >= times

    wait_until(ask, NOTICE / 1_000, f"{times} connections")


def test_a_page_opened_while_the_server_restarts_comes_back_and_refetches(
    page: Page, server: Server
) -> None:
    bar = away(page, server)
    mended(page, server, bar)
    expect(bar).to_be_hidden()
    expect(page.locator("#live-dot")).to_have_class("on")
    assert page.evaluate("window.resynced") == 1


def test_a_first_connection_that_opens_refetches_nothing(page: Page, server: Server) -> None:
    page.add_init_script(COUNT)
    opened(page, server)
    assert page.evaluate("window.resynced") == 0


def test_live_again_does_not_outlive_the_connection_it_speaks_of(
    page: Page, server: Server
) -> None:
    bar = away(page, server)
    mended(page, server, bar)
    server.hang_up()
    connected(page, server, 2)
    expect(bar).to_be_hidden()
