"""A page whose line to the server fails, in a real browser: what it says, and what it fetches."""

import pytest
from playwright.sync_api import Locator, Page, expect

from speedtrade.testing.fake_pages import ORIGIN, QUOTE, Server, heard, opened
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.e2e
NOTICE = 8_000  # milliseconds: three seconds after a loss the page says so, and it may be busy
COUNT = """{
  window.resynced = 0;
  addEventListener("st:resync", () => { window.resynced += 1; }, true);
}"""
PORTFOLIO = {"cash_balance": "9.5", "day_pl": "1.25", "day_pl_pct": "0.50"}
ONLINE = "window.dispatchEvent(new Event('online'))"
LOOKED_AT = "document.dispatchEvent(new Event('visibilitychange'))"
#: Every socket that the page makes stands in window.made.
MADE = """{
  const Real = window.WebSocket;
  window.made = [];
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      window.made.push(this);
    }
  };
}"""
LOST_AND_HEARD = """() => {
  let told = 0;
  document.body.addEventListener("st:order", () => { told += 1; });
  const order = () => new MessageEvent("message", { data: '{"type":"order","order":{}}' });
  window.made[0].dispatchEvent(order());
  window.dispatchEvent(new Event("offline"));
  window.made[0].dispatchEvent(order());
  return told;
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
    page.evaluate("document.querySelector('[data-retry]').click()")  # it may be back by itself
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


@pytest.mark.parametrize("what", [ONLINE, LOOKED_AT])
def test_a_line_that_may_be_dead_is_asked_and_given_up_without_an_answer(
    page: Page, server: Server, what: str
) -> None:
    page.clock.install()
    opened(page, server)
    server.deaf = True
    page.evaluate(what)
    heard(page, server, lambda message: message["action"] == "ping")
    page.clock.run_for(4_000)
    connected(page, server, 2)
    expect(page.locator("#live-dot")).to_have_class("on")


def test_a_line_that_lives_is_kept(page: Page, server: Server) -> None:
    page.clock.install()
    opened(page, server)
    page.evaluate(ONLINE)
    heard(page, server, lambda message: message["action"] == "ping")
    page.clock.run_for(4_000)
    assert len(server.sockets) == 1


def test_a_network_that_is_gone_is_said_at_once(page: Page, server: Server) -> None:
    """The dead socket tells nothing of it: it stays open for all that the page can see."""
    opened(page, server)
    server.cut = True
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    assert page.evaluate("document.getElementById('live-dot').className") == "off"
    expect(page.locator("#connection")).to_contain_text("Live prices paused", timeout=NOTICE)
    expect(page.locator("#row")).to_have_attribute("data-stale", "")


def test_what_a_lost_line_still_says_is_not_heard(page: Page, server: Server) -> None:
    page.add_init_script(MADE)
    opened(page, server)
    assert page.evaluate(LOST_AND_HEARD) == 1


def test_every_number_is_grey_after_a_loss_and_live_when_it_is_written_again(
    page: Page, server: Server
) -> None:
    opened(page, server)
    server.cut = True
    server.hang_up()
    bar = page.locator("#connection")
    expect(bar).to_contain_text("Live prices paused", timeout=NOTICE)
    marked = page.locator("[data-stale]")
    expect(marked).to_have_count(4)  # the row, the number that stands alone, two of the account
    mended(page, server, bar)
    server.say(type="quote", quotes=[QUOTE])
    server.say(type="portfolio", portfolio=PORTFOLIO)
    expect(marked).to_have_count(0)
