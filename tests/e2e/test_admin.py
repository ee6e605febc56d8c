"""The support desk in a real browser; `people` fails it on any violation of the policy."""

import re
from typing import Any

import pytest

from speedtrade.testing.world import World

LISTS = (
    "accounts/user",
    "accounts/auditevent",
    "marketdata/instrument",
    "portfolio/journalentry",
    "portfolio/position",
    "trading/order",
)


def desk(people: Any, world: World, **options: Any) -> Any:
    """Somebody of support at the desk, in a session that has shown a second factor."""
    person = people(reduced_motion="reduce", **options).become(world, "desk")
    person.go("/admin/")
    return person


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_desk_is_read_under_the_strict_policy_in_both_themes(
    people: Any, world: World, scheme: Any
):
    person = desk(people, world, color_scheme=scheme)
    page = person.page
    page.get_by_text("Kill switch").wait_for()
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(28, 28, 30)" if scheme == "dark" else "rgb(255, 255, 255)")
    for name in LISTS:
        person.go(f"/admin/{name}/")
        rows = page.locator("#result_list tbody tr th a")
        if rows.count():
            rows.first.click()
            page.wait_for_url("**/change/")
            assert page.get_by_role("link", name="History").is_visible()


def test_support_halts_and_resumes_a_symbol_with_a_reason(people: Any, world: World):
    person = desk(people, world)
    page = person.page
    person.expect_errors("422")
    person.go("/admin/marketdata/instrument/?q=KO")
    page.get_by_role("link", name="KO", exact=True).click()
    page.get_by_role("button", name="Halt symbol").click()
    page.get_by_label("Reason").fill("A drill.")
    page.get_by_role("button", name="Halt symbol").click()
    page.wait_for_url("**/change/")
    page.get_by_text(re.compile("KO: halted")).wait_for()
    page.get_by_role("button", name="Resume symbol").click()
    page.get_by_label("Reason").fill("The drill is over.")
    page.get_by_role("button", name="Resume symbol").click()
    page.get_by_text("KO: resumed.").wait_for()
    page.get_by_role("link", name="History").click()
    page.get_by_text("The drill is over.").wait_for()


def test_the_desk_works_without_javascript(people: Any, world: World):
    person = desk(people, world, java_script_enabled=False)
    page = person.page
    person.go("/admin/marketdata/instrument/?q=PEP")
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option(label="Halt symbol")
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Reason").fill("A drill.")
    page.get_by_role("button", name="Halt symbol").click()
    page.get_by_text("PEP: halted").wait_for()
    page.get_by_role("link", name="PEP", exact=True).click()
    page.get_by_role("button", name="Resume symbol").click()
    page.get_by_label("Reason").fill("The drill is over.")
    page.get_by_role("button", name="Resume symbol").click()
    page.get_by_text("PEP: resumed.").wait_for()


def test_the_demo_trader_does_not_come_in(people: Any):
    person = people()
    person.expect_errors("403")
    person.register().go("/admin/")
    assert person.page.get_by_text("You may not do this").is_visible()
