"""One walk through the settings and the books, and what these pages look like."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.conftest import PASSWORD, Person
from tests.e2e.test_matrix import trouble
from tests.e2e.test_trading import confirm

People = Callable[..., Person]
SETTINGS = ("", "/trading", "/appearance", "/notifications", "/security", "/data")
BOOKS = ("/activity?kind=trades", "/activity?symbol=NONE", "/statements", "/taxes")


def test_a_look_shows_at_once_and_a_wrong_password_gets_the_focus(people: People) -> None:
    person = people(color_scheme="light").register()
    page = person.go("/settings")
    page.get_by_role("link", name="Appearance").click()
    html = page.locator("html")
    page.get_by_label("Dark").check()
    expect(html).to_have_attribute("data-theme", "dark")
    page.get_by_label("Blue up").check()
    expect(html).to_have_attribute("data-palette", "cb")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").first.wait_for()
    expect(html).to_have_attribute("data-theme", "dark")
    expect(page.get_by_label("Blue up")).to_be_checked()

    person.expect_errors("422")
    page.get_by_role("link", name="Security").click()
    page.get_by_label("Current password").fill("not-my-password")
    page.get_by_label("New password").fill(f"{PASSWORD}-2")
    page.get_by_role("button", name="Change password").click()
    summary = page.locator(".err-summary")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="Current password").click()
    expect(page.get_by_label("Current password")).to_be_focused()


def test_settings_and_books_of_a_new_user_fit_and_keep_the_rules_of_access(people: People) -> None:
    person = people(viewport={"width": 390, "height": 844}, reduced_motion="reduce").register()
    for side in ("buy", "sell"):
        page = person.go(f"/markets/BTC-USD/ticket?amount=0.01&side={side}")
        page.get_by_role("button", name="Review order").last.click()
        confirm(page, side, live=True)
    found = []
    for path in (*(f"/settings{section}" for section in SETTINGS), *BOOKS):
        found += trouble(person.go(path))
    page = person.go("/statements")
    page.locator("tbody a").first.click()
    found += trouble(page)
    assert not found, "\n".join(found)


def test_filters_of_the_activity_answer_without_a_new_page(people: People) -> None:
    person = people().register()
    page = person.go("/activity")
    page.get_by_label("Kind").select_option("trades")
    page.get_by_text("Nothing matches these filters").wait_for()
    page.wait_for_url("**/activity?*kind=trades*")
    page.get_by_role("link", name="Show everything").click()
    page.get_by_text("Opening paper cash").wait_for()
