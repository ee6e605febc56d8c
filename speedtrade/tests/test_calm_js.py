"""Prices that are read aloud, or held still on request, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from speedtrade.testing.fake_pages import ORIGIN, QUOTE, Server, heard

pytestmark = pytest.mark.e2e
CALM = """{% load static django_htmx %}<!doctype html>
<html lang="en" data-paused="{{ paused }}"><head><title>Calm</title>
<meta name="htmx-config" content='{"includeIndicatorStyles":false}'>
{% htmx_script %}<script type="module" src="{% static 'js/calm.js' %}"></script>
<script type="module" src="{% static 'js/quotes.js' %}"></script>
<script type="module" src="{% static 'js/panel.js' %}"></script></head><body><div id="sr"></div>
<div data-panel="order book" hx-get="/book" hx-trigger="st:pulse from:body"></div>
<header data-row><p>{% live "AAPL" "107.00" tick="0.01" hero=True %}</p>
{% include "components/_price_tools.html" with symbol="AAPL" %}</header></body></html>"""
HOME = """{% load static %}<!doctype html><html lang="en" data-paused="off"><head>
<title>Home</title><link rel="stylesheet" href="{% static 'css/pages.css' %}">
<script defer src="{% static 'vendor/lightweight-charts/lightweight-charts.js' %}"></script>
<script type="module" src="{% static 'js/calm.js' %}"></script>
<script type="module" src="{% static 'js/quotes.js' %}"></script>
<script type="module" src="{% static 'js/portfolio-chart.js' %}"></script></head><body>
<p>{% live_money "portfolio_value" "100.00" hero=True %}</p>
<p data-period-change>{% change "0" "0" field="day_pl" %}
<span data-hero-when="Today">Today</span></p>
{% include "components/_price_tools.html" with symbol="AAPL" %}
{% include "components/_equity_chart.html" with src="/history" table="/table" period="1D" %}
<div id="sr"></div></body></html>"""
HISTORY = {
    "period": "1D",
    "points": [
        {"t": f"2026-01-05T15:0{n}:00Z", "equity": "100.00", "net_deposits": "0"} for n in range(3)
    ],
    "change": "0",
    "change_pct": "0",
    "summary": "Flat.",
}
PORTFOLIO = {
    "portfolio_value": "105.00",
    "day_pl": "5.00",
    "day_pl_pct": "5.00",
    "as_of": "2026-01-05T15:05:00Z",
}
#: One beat; how many requests it made at once.
BEAT = """() => {
  let sent = 0;
  const count = () => { sent += 1; };
  document.addEventListener("htmx:beforeSend", count);
  document.body.dispatchEvent(new CustomEvent("st:pulse"));
  document.removeEventListener("htmx:beforeSend", count);
  return sent;
}"""


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


def test_a_pause_holds_the_order_book_still(calm: Page) -> None:
    calm.get_by_role("button", name="Pause live prices").click()
    assert calm.evaluate(BEAT) == 0
    calm.get_by_role("button", name="Resume live prices").click()
    assert calm.evaluate(BEAT) == 1


def test_a_pause_holds_the_value_of_the_account_still(page: Page, server: Server) -> None:
    server.pages["/home"] = HOME
    server.context["periods"] = {"1D": ("1D", "today"), "1W": ("1W", "this week")}
    page.route("**/history?*", lambda route: route.fulfill(json=HISTORY))
    page.add_init_script(
        "window.told = 0; addEventListener('st:portfolio', () => { window.told += 1; }, true)"
    )
    page.goto(f"{ORIGIN}/home")
    expect(page.locator("[data-curve-words]")).to_have_text("Flat.")
    heard(page, server, lambda message: message["action"] == "subscribe")
    page.get_by_role("button", name="Pause live prices").click()
    changed = page.locator("[data-period-change] .num")
    before = changed.inner_text()
    server.say(type="portfolio", portfolio=PORTFOLIO)
    page.wait_for_function("window.told === 1")
    expect(changed).to_have_text(before)
    page.get_by_role("button", name="Resume live prices").click()
    expect(changed).to_have_text("+$5.00 (+5.00%)")
    expect(page.locator("[data-hero]")).to_have_text("$105.00")


def at_home(page: Page, server: Server) -> list[str]:
    """The dashboard's curve; the periods that it asked for, of which a test may refuse "1W"."""
    server.pages["/home"] = HOME
    server.context["periods"] = {"1D": ("1D", "today"), "1W": ("1W", "this week")}
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url[-2:])
        gain = {"1D": ("5.01", "5.01"), "1W": ("9000", "9")}[asked[-1]]
        made = {"period": asked[-1], "change": gain[0], "change_pct": gain[1]}
        route.fulfill(json=HISTORY | made | {"summary": f"Told of {asked[-1]}."})

    page.route("**/history?*", answer)
    page.goto(f"{ORIGIN}/home")
    expect(page.locator("[data-curve-words]")).to_have_text("Told of 1D.")
    heard(page, server, lambda message: message["action"] == "subscribe")
    return asked


def test_today_never_stands_beside_the_gain_of_another_period(page: Page, server: Server) -> None:
    at_home(page, server)
    gain, when = page.locator("[data-period-change] .num"), page.locator("[data-hero-when]")
    expect(gain).to_have_text("$0.00 (0.00%)")  # the server's own, of the day and not of the curve
    page.get_by_role("button", name="Pause live prices").click()
    page.click("[data-range='1W']")
    expect(gain).to_have_text("+$9,000.00 (+9.00%)")
    expect(when).to_have_text("This week")
    page.click("[data-range='1D']")
    expect(when).to_have_text("Today")
    expect(gain).to_have_text("+$5.01 (+5.01%)")


def test_a_period_that_cannot_be_fetched_leaves_the_one_that_is_shown(
    page: Page, server: Server
) -> None:
    at_home(page, server)
    gain, when = page.locator("[data-period-change] .num"), page.locator("[data-hero-when]")
    page.click("[data-range='1W']")
    expect(when).to_have_text("This week")
    page.route("**/history?period=1D", lambda route: route.abort())
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<template id=panel-error>"
        "<div><span data-text></span><button>Retry</button></div></template>')"
    )
    page.click("[data-range='1D']")
    expect(page.locator(".chart-message")).to_be_visible()
    server.say(type="portfolio", portfolio=PORTFOLIO | {"day_pl": "7.00", "day_pl_pct": "7.00"})
    expect(page.locator("[data-hero]")).to_have_js_property("value", "105.00")
    page.mouse.move(0, 0)  # the chart's crosshair is under it, and says another time
    expect(when).to_have_text("This week")
    expect(gain).to_have_text("+$5.00 (+5.00%)")  # from the week's start of 100 to 105


def test_a_day_that_is_told_before_the_curve_has_come_is_not_lost(
    page: Page, server: Server
) -> None:
    server.pages["/home"] = HOME
    server.context["periods"] = {"1D": ("1D", "today"), "1W": ("1W", "this week")}
    waiting: list[Route] = []
    page.route("**/history?*", lambda route: waiting.append(route))
    page.goto(f"{ORIGIN}/home")
    heard(page, server, lambda message: message["action"] == "subscribe")
    server.say(type="portfolio", portfolio=PORTFOLIO)
    expect(page.locator("[data-hero]")).to_have_text("$105.00")
    page.click("[data-range='1W']")
    page.wait_for_timeout(100)
    week = {"period": "1W", "change": "9000", "change_pct": "9"}
    waiting[-1].fulfill(json=HISTORY | week)
    gain = page.locator("[data-period-change] .num")
    expect(gain).to_have_text("+$9,000.00 (+9.00%)")
    page.get_by_role("button", name="Pause live prices").click()
    page.click("[data-range='1D']")
    page.wait_for_timeout(100)
    waiting[-1].fulfill(json=HISTORY)
    expect(gain).to_have_text("+$5.00 (+5.00%)")


#: 600 messages, one a second, after a curve of `span` seconds in `count` points.
GO_ON = """async ([count, span]) => {
  const { goOn, stepOf } = await import("/static/js/curve.js");
  const points = Array.from({ length: count }, (_, n) => (
    { time: n * span / (count - 1), text: "1" }));
  const step = stepOf(points);
  for (let n = 1; n <= 600; n += 1) goOn(points, { time: span + n, text: `${n}` }, step);
  const times = points.map(({ time }) => time);
  return [points.length, points.at(-1).text, times.every((one, n) => !n || one > times[n - 1])];
}"""


@pytest.mark.parametrize(
    ("count", "span", "most"),
    [(300, 365 * 86_400, 300), (300, 86_400, 303), (3, 120, 13), (2, 1, 12)],
)
def test_a_live_curve_grows_at_its_own_pace(
    page: Page, server: Server, count: int, span: int, most: int
) -> None:
    server.pages["/home"] = "<!doctype html><title>Empty</title>"
    page.goto(f"{ORIGIN}/home")
    length, newest, rises = page.evaluate(GO_ON, [count, span])
    assert count <= length <= most
    assert (newest, rises) == ("600", True)


def test_a_pause_lasts_until_the_setting_that_it_was_made_under_is_changed(
    calm: Page, server: Server
) -> None:
    paused, live = "Resume live prices", "Pause live prices"  # what the button offers then
    calm.get_by_role("button", name=live).click()
    calm.reload()
    expect(calm.get_by_role("button", name=paused)).to_be_visible()
    for setting, offered in (("on", paused), ("off", live)):
        server.context["paused"] = setting
        calm.reload()
        expect(calm.get_by_role("button", name=offered)).to_be_visible()


def test_a_resumed_page_stays_live_until_prices_are_to_be_paused_anew(
    calm: Page, server: Server
) -> None:
    paused, live = "Resume live prices", "Pause live prices"
    server.context["paused"] = "on"
    calm.reload()
    calm.get_by_role("button", name=paused).click()
    for setting, offered in (("on", live), ("off", live), ("on", paused)):
        server.context["paused"] = setting
        calm.reload()
        expect(calm.get_by_role("button", name=offered)).to_be_visible()
