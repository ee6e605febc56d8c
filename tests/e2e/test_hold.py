"""A large live order: the button is held and let go, or the symbol is typed."""

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PATIENCE, Person

People = Callable[..., Person]
ORDER = re.compile(r"/orders/\d+$")
FULL = "Now let go."
SHORT = re.compile("too short: nothing was sent")
KEPT = "Not confirmed: nothing was sent."
FIRST = "Hold for a moment, then let go."
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
#: No two of these orders are alike: none is taken for the same one a second time.
AMOUNTS = (Decimal(5000) + n for n in count())


#: From here on, each time that the form of the button that is held leaves.
COUNTING = """() => {
  const placing = (form) => form === document.querySelector("[data-hold]")?.form;
  window.sent = 0;
  addEventListener("submit", ({ target }) => { sent += placing(target); }, true);
}"""


@pytest.fixture
def reviewing(people: People, world: World) -> Callable[..., Person]:
    """Somebody who looks at the review of a large order of a live account."""

    def look(**options: Any) -> Person:
        person = people(**options).become(world, "wealthy")
        live = world["wealthy"]["orders"]["live"]
        query = f"account_id={live}&order_type=market&unit=dollars&amount={next(AMOUNTS)}"
        page = person.go(f"/markets/AAPL/ticket?{query}")
        page.get_by_role("button", name="Review order").last.click()
        expect(page.locator("#id_word")).to_be_visible(timeout=PATIENCE)
        if options.get("java_script_enabled", True):
            page.evaluate(COUNTING)
        return person

    return look


def button(page: Page) -> Any:
    return page.get_by_role("button", name="Hold to place buy order")


def pressed(page: Page) -> None:
    """The mouse is down on the button and the bar is full."""
    button(page).hover()
    page.mouse.down()
    expect(page.locator("#hold-said")).to_have_text(FULL)


def nothing_sent(page: Page) -> None:
    """Not even on its way: an order that just leaves has led to no other address yet."""
    assert page.evaluate("() => sent") == 0
    expect(button(page)).to_be_visible()
    assert not ORDER.search(page.url)


def test_held_and_let_go_it_places_one_order(reviewing: Callable[..., Person]) -> None:
    page = reviewing().page
    pressed(page)
    nothing_sent(page)
    page.mouse.up()
    page.wait_for_url(ORDER)
    expect(page.locator("h1")).to_contain_text("AAPL")


def test_let_go_early_or_elsewhere_it_places_none(reviewing: Callable[..., Person]) -> None:
    page = reviewing().page
    button(page).click()
    for place in ("#hold-said", "#sr"):
        expect(page.locator(place)).to_have_text(SHORT)
    pressed(page)
    page.locator("#ticket-head").hover()
    page.mouse.up()
    expect(page.locator("#hold-said")).to_have_text(KEPT)
    nothing_sent(page)
    pressed(page)
    page.mouse.up()
    page.wait_for_url(ORDER)


@pytest.mark.parametrize("says", ["pointerup", "pointercancel"])
def test_another_finger_that_lets_go_ends_nothing(
    reviewing: Callable[..., Person], says: str
) -> None:
    page = reviewing().page
    pressed(page)
    other = f'new PointerEvent("{says}", {{ pointerId: 99, bubbles: true }})'
    button(page).evaluate(f"button => button.dispatchEvent({other})")
    page.keyboard.press("Enter")
    nothing_sent(page)
    expect(page.locator("#hold-said")).to_have_text(FULL)
    page.mouse.up()
    page.wait_for_url(ORDER)


def test_a_window_that_is_left_ends_it(reviewing: Callable[..., Person]) -> None:
    """As by another program's window; a browser that a test drives never loses it by itself."""
    page = reviewing().page
    pressed(page)
    page.evaluate("() => dispatchEvent(new Event('blur'))")
    expect(page.locator("#hold-said")).to_have_text(KEPT)
    page.mouse.up()
    nothing_sent(page)


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_holds_it_as_well(reviewing: Callable[..., Person], key: str) -> None:
    page = reviewing().page
    button(page).press(key)
    expect(page.locator("#hold-said")).to_have_text(SHORT)
    page.keyboard.down(key)
    page.keyboard.down(key)  # as a keyboard repeats it
    expect(page.locator("#hold-said")).to_have_text(FULL)
    nothing_sent(page)
    page.keyboard.up(key)
    page.wait_for_url(ORDER)


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_whose_button_loses_focus_ends_it(reviewing: Callable[..., Person], key: str) -> None:
    page = reviewing().page
    button(page).focus()
    page.keyboard.down(key)
    expect(page.locator("#hold-said")).to_have_text(FULL)
    page.locator("#id_word").focus()
    expect(page.locator("#hold-said")).to_have_text(KEPT)
    button(page).focus()
    page.keyboard.up(key)
    nothing_sent(page)


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_key_that_was_down_before_the_button_had_focus_holds_nothing(
    reviewing: Callable[..., Person], key: str
) -> None:
    """Of a long press elsewhere the button gets the repeats."""
    page = reviewing().page
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.down(key)
    button(page).focus()
    page.keyboard.down(key)
    expect(page.locator("#hold-said")).to_have_text(FIRST)
    page.keyboard.up(key)
    expect(page.locator("#hold-said")).to_have_text(FIRST)
    nothing_sent(page)


@pytest.mark.parametrize("keys", [["a"], ["Control", "Enter"], ["Alt", " "], ["Meta", "Enter"]])
def test_other_keys_hold_nothing(reviewing: Callable[..., Person], keys: list[str]) -> None:
    page = reviewing().page
    button(page).focus()
    for key in keys:
        page.keyboard.down(key)
    expect(page.locator("#hold-said")).to_have_text(re.compile(f"{FIRST}|{SHORT.pattern}"))
    for key in reversed(keys):
        page.keyboard.up(key)
    nothing_sent(page)


def test_a_click_that_is_no_press_says_how(reviewing: Callable[..., Person]) -> None:
    page = reviewing().page
    button(page).evaluate("button => button.click()")
    expect(page.locator("#hold-said")).to_have_text(SHORT)
    nothing_sent(page)


def finger_down(page: Page) -> Any:
    """A finger is on the button and the bar is full; what says what becomes of it."""
    box = button(page).bounding_box()
    assert box and box["width"] > 300 and box["height"] >= 44
    button(page).scroll_into_view_if_needed()
    box = button(page).bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    finger = page.context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    expect(page.locator("#hold-said")).to_have_text(FULL)
    return finger


def test_a_finger_holds_it_on_a_phone(reviewing: Callable[..., Person]) -> None:
    page = reviewing(**PHONE).page
    finger_down(page).send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_url(ORDER)


def test_a_finger_that_the_phone_takes_away_ends_it(reviewing: Callable[..., Person]) -> None:
    """As for a call that comes in, or a swipe from the edge."""
    page = reviewing(**PHONE).page
    finger_down(page).send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
    expect(page.locator("#hold-said")).to_have_text(KEPT)
    nothing_sent(page)


@pytest.mark.parametrize(
    ("motion", "easing"), [("reduce", "steps(3)"), ("no-preference", "linear")]
)
def test_the_bar_moves_in_steps_where_less_motion_is_asked_for(
    reviewing: Callable[..., Person], motion: str, easing: str
) -> None:
    page = reviewing(reduced_motion=motion).page
    pressed(page)
    running = "bar => bar.getAnimations().map((one) => one.effect.getTiming().easing)"
    assert page.locator("[data-hold-bar]").evaluate(running) == [easing]
    page.keyboard.press("Tab")
    expect(page.locator("#hold-said")).to_have_text(KEPT)
    assert page.locator("[data-hold-bar]").evaluate(running) == []


def test_the_symbol_is_typed_instead(reviewing: Callable[..., Person]) -> None:
    person = reviewing()
    person.expect_errors("422")
    page = person.page
    page.locator("#id_word").fill("MSFT")
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#id_word_error")).to_contain_text("Nothing was sent")
    expect(page.locator("#id_word")).to_be_focused()
    expect(page.locator("#id_word")).to_have_value("MSFT")
    page.locator("#id_word").fill("aapl")
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(ORDER)


def test_enter_on_the_review_leads_to_the_field_and_places_nothing(
    reviewing: Callable[..., Person],
) -> None:
    page = reviewing().page
    expect(page.locator("#ticket-head")).to_be_focused()
    page.evaluate("() => new Promise((done) => setTimeout(done, 450))")  # it has been read
    page.keyboard.press("Enter")
    expect(page.locator("#id_word")).to_be_focused()
    nothing_sent(page)


def test_a_question_is_ticked_before_it_is_held(reviewing: Callable[..., Person]) -> None:
    page = reviewing().page
    page.locator("[data-edit]").click()
    price = Decimal(page.locator(".price-beside").get_attribute("value") or "0")
    page.locator("#id_order_type").select_option("limit")
    page.locator("#id_limit_price").fill(f"{price * Decimal('1.15'):.2f}")
    page.get_by_role("button", name="Review order").last.click()
    pressed(page)
    page.mouse.up()
    expect(page.get_by_label("Yes, I mean it")).to_be_focused()
    nothing_sent(page)
    page.get_by_label("Yes, I mean it").check()
    pressed(page)
    page.mouse.up()
    page.wait_for_url(ORDER)


def test_without_scripts_the_symbol_is_typed(reviewing: Callable[..., Person]) -> None:
    person = reviewing(java_script_enabled=False)
    person.expect_errors("422")
    page = person.page
    expect(page.locator("[data-hold]")).to_be_hidden()
    word = page.get_by_label("Type AAPL to confirm")
    page.get_by_role("button", name="Confirm").click()
    expect(word).to_be_focused()  # the browser asks for it
    word.fill("A")
    word.press("Enter")
    expect(page.locator("#id_word_error")).to_contain_text("Type AAPL here.", use_inner_text=True)
    page.locator("#id_word").fill("AAPL")
    page.locator("#id_word").press("Enter")
    page.wait_for_url(ORDER)
