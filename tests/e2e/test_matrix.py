"""Every page in every state: nothing sticks out sideways, no rule of access is broken.

Two widths, light and dark, and the narrowest window for the overflow alone. To add a page, write a
line in PAGES: (who of `speedtrade.testing.states`, address). `{names}` are things of that user. The
states of a page stand in `speedtrade.testing.page_states`.

A page is loaded once and then resized and re-coloured. Rules about structure run on the whole page
once, what depends on the width again in `main`, what depends on colour in both themes.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from speedtrade.testing.page_states import VISITS, Visit
from speedtrade.testing.world import World
from tests.e2e.conftest import Person
from tests.e2e.levers import LEVERS
from tests.e2e.live import STICKING_OUT, fake_feed

People = Callable[..., Person]
PAGES = [
    ("nobody", "/"),
    ("nobody", "/login"),
    ("nobody", "/login/forgotten"),
    ("nobody", "/login/reset"),
    ("nobody", "/register"),
    ("nobody", "/problems"),
    ("nobody", "/problems/market-closed"),
    ("nobody", "/about/licences"),
    ("nobody", "/learn"),
    ("nobody", "/learn/order"),
    ("nobody", "/learn/terms"),
    ("nobody", "/offline"),
    ("nobody", "/status"),
    ("empty", "/dashboard"),
    ("empty", "/portfolio"),
    ("empty", "/orders"),
    ("empty", "/orders?status=all"),
    ("empty", "/activity"),
    ("empty", "/markets"),
    ("empty", "/search?q=am"),
    ("empty", "/search?q=nothingofthekind"),
    ("empty", "/alerts"),
    ("empty", "/settings"),
    ("empty", "/settings/brokers"),
    ("empty", "/transfers"),
    ("empty", "/nowhere"),
    ("broke", "/dashboard"),
    ("broke", "/portfolio"),
    ("broke", "/markets/AAPL"),
    ("mixed", "/dashboard"),
    ("mixed", "/portfolio"),
    ("mixed", "/orders"),
    ("mixed", "/orders?status=all"),
    ("mixed", "/orders?status=filled"),
    ("mixed", "/orders/cancel-all"),
    ("mixed", "/activity"),
    ("mixed", "/watchlists/{watchlist}"),
    ("mixed", "/watchlists/{watchlist}/edit"),
    ("mixed", "/watchlists/{watchlist}/delete"),
    ("mixed", "/watchlists/{watchlist}/import"),
    ("mixed", "/watchlists/new"),
    ("mixed", "/alerts"),
    ("mixed", "/alerts?symbol=AAPL"),
    ("mixed", "/markets/AAPL"),
    ("mixed", "/statements"),
    ("mixed", "/taxes"),
    ("mixed", "/settings/address/no-link"),
    ("mixed", "/settings/trading"),
    ("mixed", "/settings/appearance"),
    ("mixed", "/settings/notifications"),
    ("mixed", "/settings/security"),
    ("mixed", "/settings/security/app"),
    ("mixed", "/settings/security/confirm"),
    ("mixed", "/settings/security/passkey"),
    ("connected", "/settings/security"),
    ("mixed", "/settings/password"),
    ("mixed", "/settings/developers"),
    ("mixed", "/settings/developers/new"),
    ("empty", "/settings/developers"),
    ("mixed", "/settings/data"),
    ("mixed", "/markets/NVDA"),
    ("mixed", "/markets/ZOLD"),
    ("mixed", "/markets/ZOLD/ticket?amount=1"),
    ("mixed", "/markets/HYG"),
    ("mixed", "/markets/BTC-USD"),
    ("mixed", "/markets/BTC-USD/ticket?amount=1"),
    ("mixed", "/markets/AAPL/book"),
    ("mixed", "/orders/{filled}"),
    ("mixed", "/orders/{partial}"),
    ("mixed", "/orders/{part_canceled}"),
    ("mixed", "/orders/{rejected}"),
    ("mixed", "/orders/{expired}"),
    ("mixed", "/orders/{working}"),
    ("extremes", "/dashboard"),
    ("extremes", "/portfolio"),
    ("extremes", "/orders?status=all"),
    ("extremes", "/activity"),
    ("extremes", "/alerts"),
    ("extremes", "/markets/ZLONG"),
    ("extremes", "/markets/ZBIG"),
    ("extremes", "/markets/ZTINY-USD"),
    ("extremes", "/markets/ZTINY-USD/ticket?side=sell&share=100"),
    ("frozen", "/dashboard"),
    ("frozen", "/portfolio"),
    ("frozen", "/markets/AAPL"),
    ("frozen", "/transfers"),
    ("connected", "/settings/brokers"),
    ("connected", "/settings/brokers/connect"),
    ("connected", "/settings/brokers/connect?broker=alpaca"),
    ("connected", "/settings/brokers/connect?broker=ccxt"),
    ("connected", "/settings/brokers/{live}"),
    ("connected", "/settings/brokers/{connecting}"),
    ("connected", "/settings/brokers/{error}"),
    ("connected", "/dashboard"),
    ("connected", "/dashboard?account_id={live}"),
    ("connected", "/portfolio?account_id={error}"),
    ("connected", "/markets/AAPL?account_id={live}&amount=1"),
    ("connected", "/markets/AAPL/ticket?account_id={connecting}&amount=1"),
    ("connected", "/orders?account_id={live}"),
    ("connected", "/transfers?account_id={live}"),
    ("full", "/dashboard"),
    ("full", "/portfolio"),
    ("full", "/orders"),
    ("full", "/orders?status=all"),
    ("full", "/activity"),
    ("full", "/alerts"),
    ("full", "/statements"),
    ("full", "/taxes"),
    ("desk", "/styleguide"),
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ALL = {"type": "tag", "values": RULES}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
WIDTHS = (390, 1280)
NARROWEST = 320  # only asks whether all of it fits
AXE = Axe()
#: A colour on its way from one theme to the other is no colour to judge; what inherits it sets off
#: when it has arrived.
_SETTLED = """for (let turn = 0; turn < 30; turn += 1) {
  const finite = document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
  if (!finite.length) break;
  for (const one of finite) one.finish();
}"""
#: Rows of a list that are built alike are judged alike: two of each kind stay, for axe takes its
#: time with each.
_CUT = """for (const list of document.querySelectorAll("main :is(tbody, ul, ol, dl)")) {
  const built = (one) => [one.localName, one.getAttribute("class"), ...one.getAttributeNames()];
  const met = new Map();
  for (const row of [...list.children]) {
    const kind = [row, ...row.querySelectorAll("*")].map(built).join(";");
    met.set(kind, (met.get(kind) ?? 0) + 1);
    if (met.get(kind) > 2) row.remove();
  }
}"""
#: Errors that a row brings by itself: an address that leads nowhere.
EXPECTED = ("404",)


def too_wide(page: Page, width: int) -> list[str]:
    """What sticks out of a window of this width."""
    page.set_viewport_size({"width": width, "height": 844})
    over: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    if over <= 0:
        return []
    return [f"{page.url} at {width} px: {over} px too wide: {page.evaluate(STICKING_OUT)}"]


def stretched(page: Page, width: int) -> None:
    """As tall as the page: what the bar at the bottom happens to cover is no small target."""
    page.set_viewport_size({"width": width, "height": 844})
    height: int = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})


def broken(page: Page, where: str, rules: dict[str, Any], *, whole: bool) -> list[str]:
    """The rules of access that the page breaks as it stands, in words."""
    # Nothing of ours lies elsewhere and would have to be fetched; nobody reads a selector here.
    quick = {"preload": False, "selectors": False}
    asked = {"runOnly": rules, "resultTypes": ["violations"], **quick}
    told = page.evaluate(
        "async ([where, asked]) => (await axe.run(where ?? document, asked)).violations",
        [None if whole else "main", asked],
    )
    return [
        f"{page.url} {where}: {one['id']}: {one['help']}: "
        + "; ".join(node["html"][:160] for node in one["nodes"][:3])
        for one in told
    ]


def trouble(page: Page) -> list[str]:
    """What is wrong with a page that has just been loaded, in any size and theme."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.evaluate(AXE.axe_script)
    found = [one for width in (NARROWEST, *WIDTHS) for one in too_wide(page, width)]
    page.evaluate(_CUT)
    for width in WIDTHS:
        stretched(page, width)
        for theme, rules in (("light", ALL), ("dark", COLOURS)):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.evaluate(_SETTLED)
            whole = (width, theme) == (WIDTHS[0], "light")
            found += broken(page, f"({width} px, {theme})", rules, whole=whole)
    return found


@pytest.mark.parametrize(
    ("who", "paths"),
    [(who, [path for _, path in rows]) for who, rows in itertools.groupby(PAGES, lambda r: r[0])],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_page_fits_and_keeps_the_rules_of_access(
    people: People, world: World, who: str, paths: list[str]
) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    person.become(world, who).expect_errors(*EXPECTED)
    fake_feed(person.page)  # numbers that stand still are quicker to judge
    names = world[who]["orders"] if who in world else {}
    found = []
    for path in paths:
        person.page.set_viewport_size({"width": 390, "height": 844})
        found += trouble(person.go(path.format(**names)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("state", "visit"),
    [(state, visit) for state, visits in VISITS.items() for visit in visits],
    ids=lambda value: value if isinstance(value, str) else value.lever,
)
def test_every_state_is_met_and_keeps_them_too(
    people: People, world: World, product_folder: Path, state: str, visit: Visit
) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    person.become(world, visit.who)
    names = world[visit.who]["orders"] if visit.who in world else {}
    with LEVERS[visit.lever](person, product_folder):
        page = person.go(visit.address.format(**names))
        shown = page.locator(f"[data-state={state}]", has_text=visit.words)
        expect(shown.filter(visible=True).first).to_be_visible()
        # A state that is there already is on a page of PAGES.
        found = trouble(page) if visit.lever != "nothing" else []
    assert not found, "\n".join(found)


def test_the_review_of_an_order_keeps_them_too(people: People, world: World) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = person.become(world, "mixed").go("/markets/AAPL/ticket?order_type=market&amount=2")
    page.get_by_role("button", name="Review order").last.click()
    page.locator(".sentence").wait_for()
    found = trouble(page)
    assert not found, "\n".join(found)


def test_the_review_of_a_large_live_order_keeps_them_too(people: People, world: World) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    person.become(world, "wealthy").expect_errors("422")
    live = world["wealthy"]["orders"]["live"]
    # Said outright: a ticket begins with the type of the last order, and other tests trade here.
    query = f"account_id={live}&order_type=market&unit=dollars&amount=5000"
    page = person.go(f"/markets/AAPL/ticket?{query}")
    page.get_by_role("button", name="Review order").last.click()
    page.locator("[data-hold]").wait_for()
    found = trouble(page)
    page.locator("#id_word").fill("MSFT")
    page.get_by_role("button", name="Confirm").click()
    page.locator("#id_word_error").wait_for()
    found += trouble(page)
    assert not found, "\n".join(found)
