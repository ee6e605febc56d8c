"""A watchlist by mouse, by keyboard, and by the rules of access."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Person
from tests.e2e.test_matrix import trouble

People = Callable[..., Person]


def order(page: Page) -> list[str]:
    return page.locator(".watch tbody .quiet").all_text_contents()


def menu(page: Page, symbol: str) -> None:
    page.locator("summary", has_text=f"Actions for {symbol}").click()


def test_rows_are_moved_by_the_grip_and_by_buttons_and_it_is_said(people: People) -> None:
    person = people().register()
    page = person.go("/watchlists")
    first = order(page)
    grips = page.locator("[data-grip]")
    box = page.locator("[data-item]").nth(2).bounding_box()
    assert box
    grips.first.hover()
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] - 4, steps=5)
    expect(page.locator(".drop-after")).to_have_count(1)
    page.mouse.up()
    expect(page.locator("#sr")).to_have_text(f"{first[0]} is now number 3.")
    moved = [first[1], first[2], first[0], *first[3:]]
    assert order(page) == moved

    menu(page, moved[0])
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Move down")
    page.keyboard.press("Enter")
    expect(page.locator("#sr")).to_have_text(f"{moved[0]} is now number 2.")
    expect(page.locator(":focus")).to_have_text("Move down")
    expect(page.locator(".htmx-settling")).to_have_count(0)  # until then the form is a plain one
    page.keyboard.press("Enter")
    expect(page.locator("#sr")).to_have_text(f"{moved[0]} is now number 3.")
    page.keyboard.press("Escape")
    expect(page.locator("summary:focus")).to_have_count(1)
    page.reload()
    assert order(page) == [moved[1], moved[2], moved[0], *moved[3:]]


def test_a_second_list_is_filled_by_search_and_by_the_star(people: People) -> None:
    person = people().register()
    person.go("/watchlists/new")
    page = person.page
    page.get_by_label("Name", exact=True).fill("🚀 Moonshots")
    page.get_by_role("button", name="Make the list").click()
    expect(page.get_by_text("Nothing on this list yet")).to_be_visible()
    page.get_by_label("Add a symbol").press_sequentially("tsla")
    page.get_by_role("button", name="Add TSLA").click()
    expect(page.locator("#sr")).to_have_text("TSLA is on 🚀 Moonshots.")
    expect(page.get_by_text("On the list")).to_be_visible()
    assert order(page) == ["TSLA"]
    mine = page.url
    person.go("/markets/AAPL")
    page.locator("summary.star").click()
    with page.expect_response(re.compile("/watchlist/choose")):
        page.get_by_label("🚀 Moonshots").check()
    page.goto(mine)
    assert order(page) == ["TSLA", "AAPL"]
    menu(page, "TSLA")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#list-head")).to_be_focused()
    assert order(page) == ["AAPL"]


def test_the_pages_of_watchlists_fit_and_keep_the_rules_of_access(people: People) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce").register()
    page = person.go("/watchlists")
    mine = page.url.removeprefix(person.product.url)
    found = trouble(page)
    for path in ("/find?q=am", "/edit", "/delete", "/import", "?sort=-price"):
        found += trouble(person.go(f"{mine}{path}"))
    found += trouble(person.go("/watchlists/new"))
    page.get_by_label("Name", exact=True).fill("A second list with a name longer than a phone")
    page.get_by_role("button", name="Make the list").click()
    page.get_by_text("Nothing on this list yet").wait_for()
    found += trouble(page)
    found += trouble(person.go("/markets/AAPL"))
    found += trouble(person.go("/markets?sort=-price"))
    found += trouble(person.go(mine))
    assert not found, "\n".join(found)
