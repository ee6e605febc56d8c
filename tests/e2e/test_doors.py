"""The doors and the help in a real browser: rules while one types, a lock, a word's "?"."""

from typing import Any

import pytest
from playwright.sync_api import expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PASSWORD


def test_registering_shows_each_rule_as_it_is_met(people: Any) -> None:
    person = people()
    page = person.go("/register")
    page.get_by_label("Name").fill("demo")
    page.get_by_label("E-mail").focus()  # the name is looked up when its field is left
    expect(page.get_by_text("This name is taken.")).to_be_visible()
    password = page.get_by_label("Password")
    password.press_sequentially("short")
    expect(page.locator(".rules li", has_text="At least 10")).to_contain_text("not met")
    password.fill(PASSWORD)
    expect(page.locator(".rules .met")).to_have_count(4)
    toggle = page.get_by_role("button", name="Show what is typed")
    toggle.click()
    expect(password).to_have_attribute("type", "text")
    toggle.click()
    expect(password).to_have_attribute("type", "password")


def test_a_wrong_log_in_puts_the_focus_on_the_reason_and_a_lock_counts_down(people: Any) -> None:
    person = people()
    person.expect_errors("422", "429")
    page = person.go("/login?next=/orders")
    for number in range(6):
        page.get_by_label("Name").fill(person.name)
        page.get_by_label("Password").fill("wrong")
        with page.expect_response("**/login"):
            page.get_by_role("button", name="Log in").click()
        expect(page.locator("[role=alert]")).to_be_focused()
        assert page.locator("[data-countdown]").count() == (number == 5)
    page.clock.install()
    page.reload()  # sends the form again: still locked, and now the clock is ours
    words = page.locator("[data-countdown]")
    expect(words).to_contain_text("5 minutes")
    page.clock.fast_forward("04:30")
    expect(words).to_contain_text("seconds")
    page.clock.fast_forward("01:00")
    expect(words).to_have_text("You can try again now.")


def test_a_word_explains_itself_and_closes_with_escape(people: Any, world: World) -> None:
    person = people().become(world, "desk")
    page = person.go("/styleguide")
    height = page.evaluate("document.documentElement.scrollHeight")
    page.get_by_role("button", name="What does Buying power mean?").click()
    shown = page.locator(":popover-open")
    expect(shown).to_contain_text("without what open orders hold")
    assert page.evaluate("document.documentElement.scrollHeight") == height
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    page.get_by_role("button", name="What does Buying power mean?").click()
    shown.get_by_role("link").click()
    page.wait_for_url("**/learn/ledger")


#: How far things are out of line that should be in line.
OFF = """() => {
  const box = (found) => document.querySelector(found).getBoundingClientRect();
  const middle = (found) => { // of its words: a box may be taller
    const words = document.createRange();
    words.selectNodeContents(document.querySelector(found));
    const { top, bottom } = words.getBoundingClientRect();
    return (top + bottom) / 2;
  };
  const foot = document.querySelector(".foot");
  foot.prepend(Object.assign(document.createElement("i"), { textContent: "|" }));
  const page = box(".landing");
  return {
    logo: box(".bar .logo").left - page.left,
    login: box(".bar .btn").right - page.right,
    foot: box(".foot > i").left - page.left,
    links: innerWidth < 480 ? 0 : middle(".foot > span") - middle(".foot > a"),
  };
}"""


@pytest.mark.parametrize("width", [390, 880, 1280, 1600])
def test_the_bar_of_a_stranger_and_the_foot_end_where_the_page_ends(
    people: Any, width: int
) -> None:
    page = people().go("/")
    page.set_viewport_size({"width": width, "height": 800})
    off = page.evaluate(OFF)
    assert {name for name, pixels in off.items() if abs(pixels) > 0.5} == set(), off


def test_nothing_of_it_needs_javascript(people: Any) -> None:
    person = people(java_script_enabled=False)
    person.expect_errors("422")
    page = person.go("/register")
    assert page.locator("[data-reveal]").is_hidden()
    page.get_by_role("button", name="Open account").click()
    expect(page.get_by_role("alert")).to_contain_text("Please correct this")
    person.register_on_the_page()
