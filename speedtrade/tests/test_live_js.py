"""The live half of a page in a real browser, against a socket of the test's own.

Files come from static/ on disk and the page from a template: no server, no waiting for a market.
"""

import re

import pytest
from playwright.sync_api import Page, expect

from speedtrade.testing.fake_pages import LONG, ORIGIN, QUOTE, Server, heard, opened

pytestmark = pytest.mark.e2e


def test_what_is_on_screen_is_subscribed(page: Page, server: Server) -> None:
    opened(page, server)
    asked = [message for message in server.heard if message["action"] == "subscribe"]
    assert [symbol for message in asked for symbol in message["symbols"]] == ["AAPL"]
    assert any(message["portfolio"] for message in asked)


def test_a_quote_writes_every_number_that_hangs_on_it(page: Page, server: Server) -> None:
    opened(page, server)
    server.say(type="quote", quotes=[QUOTE])
    expect(page.locator('[data-f="last"]')).to_have_text("$101.50")
    expect(page.locator('[data-f="change"]')).to_have_text("▼down−$0.50 (−0.49%)")
    expect(page.locator('[data-f="change"]')).to_have_class("chg down")
    expect(page.locator('[data-f="value"]')).to_have_text("$507.50")
    expect(page.locator('[data-f="pl"]')).to_have_text("▲up+$17.50 (+3.57%)")


def test_a_stale_quote_greys_its_row_and_a_fresh_one_clears_it(page: Page, server: Server) -> None:
    opened(page, server)
    server.say(type="quote", quotes=[{**QUOTE, "stale": True}])
    expect(page.locator("#row")).to_have_attribute("data-stale", "")
    server.say(type="quote", quotes=[QUOTE])
    expect(page.locator("#row")).not_to_have_attribute("data-stale", "")


def classes_after_a_rise(page: Page, server: Server) -> list[str]:
    """Every class that the row wore while its price rose."""
    page.evaluate(
        "() => { window.seen = []; new MutationObserver(() => window.seen.push(row.className))"
        ".observe(row, { attributeFilter: ['class'] }); }"
    )
    for last in ("101.50", "101.60"):
        server.say(type="quote", quotes=[{**QUOTE, "last": last}])
        expect(page.locator('[data-f="last"]')).to_have_text(f"${last}")
    return list(page.evaluate("() => window.seen"))


def test_a_row_whose_price_rises_flashes(page: Page, server: Server) -> None:
    opened(page, server)
    assert "flash-up" in classes_after_a_rise(page, server)


def test_a_reader_who_asked_for_calm_is_spared_the_flash(page: Page, server: Server) -> None:
    page.emulate_media(reduced_motion="reduce")
    opened(page, server)
    assert classes_after_a_rise(page, server) == []


def test_what_happens_to_the_account_becomes_events_and_numbers(page: Page, server: Server) -> None:
    opened(page, server)
    page.evaluate(
        "() => { window.seen = []; for (const name of ['st:order', 'st:portfolio'])"
        " document.body.addEventListener(name, (e) => window.seen.push([name, e.detail])); }"
    )
    server.say(type="order", order={"id": 7, "status": "filled"})
    server.say(
        type="portfolio", portfolio={"cash_balance": "9.5", "day_pl": "1.25", "day_pl_pct": "0.50"}
    )
    expect(page.locator('[data-portfolio="cash_balance"]')).to_have_text("$9.50")
    expect(page.locator('[data-portfolio="day_pl"]')).to_have_text("▲up+$1.25 (+0.50%)")
    assert page.evaluate("() => window.seen[0]") == ["st:order", {"id": 7, "status": "filled"}]
    assert page.evaluate("() => window.seen[1][0]") == "st:portfolio"


def test_what_old_prices_decide_of_an_account_is_grey_except_at_a_close(
    page: Page, server: Server
) -> None:
    opened(page, server)
    cash, day = (page.locator(f'[data-portfolio="{name}"]') for name in ("cash_balance", "day_pl"))
    told = {"cash_balance": "9.5", "day_pl": "1.25", "day_pl_pct": "0.50"}
    server.say(type="portfolio", portfolio={**told, "stale": True})
    expect(day).to_have_attribute("data-stale", "")
    expect(cash).not_to_have_attribute("data-stale", "")
    server.say(type="portfolio", portfolio={**told, "stale": False})
    expect(day).not_to_have_attribute("data-stale", "")
    page.evaluate(
        "() => document.body.insertAdjacentHTML('beforeend',"
        " '<div id=standing data-market=shut></div>')"
    )
    server.say(type="portfolio", portfolio={**told, "cash_balance": "9.6", "stale": True})
    expect(cash).to_have_text("$9.60")
    expect(day).not_to_have_attribute("data-stale", "")


def test_after_a_break_the_page_comes_back_and_refetches(page: Page, server: Server) -> None:
    opened(page, server)
    page.evaluate(
        "() => { window.resynced = 0;"
        " document.body.addEventListener('st:resync', () => { window.resynced += 1; }); }"
    )
    server.heard.clear()
    server.hang_up()
    heard(page, server, lambda message: message.get("symbols") == ["AAPL"])
    assert len(server.sockets) == 2
    assert page.evaluate("() => window.resynced") == 1
    expect(page.locator("#connection")).to_be_hidden()


def test_a_long_break_is_said_and_greys_every_price(page: Page, server: Server) -> None:
    opened(page, server)
    page.unroute_all()
    page.route_web_socket("**/ws", lambda socket: socket.close(code=1011))
    server.hang_up()
    expect(page.locator("#connection")).to_contain_text("Live prices paused", timeout=8_000)
    expect(page.locator("#row")).to_have_attribute("data-stale", "")


def test_a_logged_out_page_says_so_and_stops_asking(page: Page, server: Server) -> None:
    opened(page, server)
    server.hang_up(code=4401)
    expect(page.locator("#connection")).to_contain_text("You are logged out")
    assert len(server.sockets) == 1


def test_a_session_that_ended_while_the_line_was_down_is_said_too(
    page: Page, server: Server
) -> None:
    """A handshake that fails tells a browser no code: the page asks where it would lead."""
    opened(page, server)
    page.unroute_all()
    page.route_web_socket("**/ws", lambda socket: socket.close(code=1011))
    page.route("**/*", lambda route: route.fulfill(status=302, headers={"Location": "/login"}))
    server.hang_up()
    expect(page.locator("#connection")).to_contain_text("You are logged out", timeout=8_000)


def test_nothing_breaks_the_policy_and_nothing_leaves_the_host(page: Page, server: Server) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    opened(page, server)
    server.say(type="quote", quotes=[QUOTE])
    expect(page.locator('[data-f="last"]')).to_have_text("$101.50")
    assert said == []
    assert [url for url in asked if not url.startswith(ORIGIN)] == []


MANY_COLOURS = """() => [...document.querySelectorAll(".chart canvas")].some((canvas) => {
  if (!canvas.width) return false;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(pixels.data.buffer)).size > 2;
})"""


def test_a_chart_is_drawn_over_the_hour_that_comes_twice(page: Page, server: Server) -> None:
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(ORIGIN + "/chart")
    page.click("[data-range='1M']")
    expect(page.locator(".chart")).not_to_have_attribute("aria-busy", "true")
    page.wait_for_function("() => document.querySelector('.chart canvas')")
    page.click("[data-style='candles']")
    expect(page.locator("[data-style='candles']")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(MANY_COLOURS)
    assert wrong == []
    assert server.asked == [
        "/markets/AAPL/bars?range=1D",
        "/markets/AAPL/bars?range=1M",
    ]
    expect(page.locator("#chart-summary")).to_have_text(
        "AAPL rose 11.00% in a month, from $100.00 to $111.00; low $99.00, high $108.00."
    )


# What a chart writes: [words, where they begin, where they end, how wide their canvas is]
WRITTEN = """{
  const real = CanvasRenderingContext2D.prototype.fillText;
  window.written = [];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...more) {
    const wide = this.measureText(text).width;
    const from = { center: x - wide / 2, right: x - wide }[this.textAlign] ?? x;
    window.written.push([text, from, from + wide, this.canvas.width]);
    return real.call(this, text, x, ...more);
  };
}"""


def written(page: Page, path: str, width: int) -> dict[str, list[float]]:
    """What a chart of many bars writes when it is drawn anew: words -> the rest of WRITTEN."""
    page.route(
        "**/markets/**", lambda route: route.fulfill(json={"timeframe": "15m", "bars": LONG})
    )
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(WRITTEN)
    page.goto(ORIGIN + path)
    page.wait_for_function(MANY_COLOURS)
    page.evaluate("written.length = 0")
    page.click("[data-style='candles']")
    page.wait_for_function("() => written.some(([text]) => text === 'Nov 20')")
    return {text: places for text, *places in page.evaluate("written")}


@pytest.mark.parametrize("width", [390, 1280])
def test_the_last_time_under_a_chart_is_whole(page: Page, server: Server, width: int) -> None:
    _, end, room = written(page, "/chart", width)["Nov 20"]
    assert end <= room


@pytest.mark.parametrize(("width", "cost"), [(390, "Avg"), (1280, "Avg cost, 5")])
def test_words_on_a_chart_stand_beside_its_last_price(
    page: Page, server: Server, width: int, cost: str
) -> None:
    found = written(page, "/held", width)
    assert found["B"][1] < found[cost][0], "the letter of the fill stands at the last bar"


def test_a_chart_of_a_closed_market_opens_with_the_first_live_quote(
    page: Page, server: Server
) -> None:
    page.goto(ORIGIN + "/closed")
    page.wait_for_function(MANY_COLOURS)
    frame = page.locator("[data-price-chart]")
    heard(page, server, lambda message: message["action"] == "subscribe")
    server.say(type="quote", quotes=[QUOTE | {"stale": True}])
    expect(page.locator("[data-hero]")).to_have_text("$101.50")
    expect(frame).to_have_attribute("data-closed", "")
    server.say(type="quote", quotes=[QUOTE])
    expect(frame).not_to_have_attribute("data-closed", "")


def test_the_crosshair_speaks_through_the_price_and_gives_it_back(
    page: Page, server: Server
) -> None:
    page.goto(ORIGIN + "/chart")
    page.wait_for_function("() => document.querySelector('.chart canvas')")
    box = page.locator(".chart").bounding_box()
    assert box is not None
    hero, when = page.locator("[data-hero]"), page.locator("[data-hero-when]")
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 3)
    expect(hero).to_have_text("$100.00")
    expect(when).to_have_text("Oct 31, 20:30 ET")
    server.say(type="quote", quotes=[QUOTE])
    expect(hero).to_have_text("$100.00")
    page.mouse.move(0, 0)
    expect(when).to_have_text("Today")


def test_the_price_that_comes_back_is_the_live_one_and_not_the_last_bar(
    page: Page, server: Server
) -> None:
    """A closed market's newest price is in no bar."""
    page.goto(ORIGIN + "/closed")
    page.wait_for_function(MANY_COLOURS)
    hero, chart = page.locator("[data-hero]"), page.locator(".chart")
    expect(hero).to_have_text("$107.00")
    heard(page, server, lambda message: message["action"] == "subscribe")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 3)
    expect(hero).to_have_text("$100.00")
    server.say(type="quote", quotes=[QUOTE | {"stale": True}])
    expect(hero).to_have_js_property("value", "101.50")
    expect(hero).to_have_text("$100.00")
    page.mouse.move(0, 0)
    expect(hero).to_have_text("$101.50")
    with page.expect_response("**/bars?range=1M"):
        page.click("[data-range='1M']")
    expect(chart).not_to_have_attribute("aria-busy", "true")
    expect(hero).to_have_text("$101.50")


def test_keys_move_the_crosshair_and_escape_returns_to_the_live_price(
    page: Page, server: Server
) -> None:
    page.goto(ORIGIN + "/chart")
    page.wait_for_function(MANY_COLOURS)
    page.locator(".plot").focus()
    hero, when = page.locator("[data-hero]"), page.locator("[data-hero-when]")
    page.keyboard.press("ArrowLeft")
    expect(hero).to_have_text("$110.00")
    page.keyboard.press("Home")
    expect(hero).to_have_text("$100.00")
    server.say(type="quote", quotes=[QUOTE])  # a tick moves the line, not the reader
    expect(hero).to_have_text("$100.00")
    page.keyboard.press("Escape")
    expect(when).to_have_text("Today")


def test_ranges_answer_to_arrows_and_numbers_unless_keys_are_off(
    page: Page, server: Server
) -> None:
    page.goto(ORIGIN + "/chart")
    page.locator("[data-range='1D']").press("ArrowRight")
    expect(page.locator("[data-range='1W']")).to_be_focused()
    expect(page.locator("[data-range='1W']")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("7")
    expect(page.locator("[data-range='ALL']")).to_have_attribute("aria-pressed", "true")
    page.evaluate("document.documentElement.dataset.keys = 'off'")
    page.keyboard.press("1")
    expect(page.locator("[data-range='ALL']")).to_have_attribute("aria-pressed", "true")


def test_indicators_are_asked_for_and_drawn_below(page: Page, server: Server) -> None:
    page.goto(ORIGIN + "/chart")
    page.get_by_role("button", name="Indicators").click()
    page.get_by_label("RSI 14").check()
    expect(page.locator(".chart")).to_have_class(re.compile("tall"))
    page.wait_for_function("() => document.querySelector('.chart').ariaBusy !== 'true'")
    assert server.asked[-1] == "/markets/AAPL/bars?range=1D&indicators=rsi14"
    page.wait_for_function("() => document.querySelectorAll('.plot tr').length > 3")


def test_each_range_waits_for_its_own_bars(page: Page, server: Server) -> None:
    """Ten answers without bars are patience enough with one range, and not with all of them."""
    coming = {"timeframe": "1h", "bars": [], "loading": True}
    page.clock.install()
    page.route("**/bars?*", lambda route: route.fulfill(json=coming))
    page.goto(ORIGIN + "/chart")
    for _ in range(12):
        page.clock.run_for(2_100)
        page.wait_for_timeout(50)  # an answer that does not come is no event
    with page.expect_response("**/bars?range=1W", timeout=5_000):
        page.click("[data-range='1W']")
    expect(page.locator(".chart-message")).to_have_text("Bars are on their way.")
    with page.expect_response("**/bars?range=1W", timeout=5_000):
        page.clock.run_for(2_100)


def test_a_chart_that_fails_says_so_and_tries_again(page: Page, server: Server) -> None:
    server.broken = True
    page.goto(ORIGIN + "/chart")
    expect(page.locator(".chart-message")).to_contain_text(
        "Couldn't load the chart. Request abc-123."
    )
    server.broken = False
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".chart-message")).to_have_count(0)
    page.wait_for_function(MANY_COLOURS)
