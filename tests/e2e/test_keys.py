"""A key is made on the page, copied, used by a program, and revoked."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable

from playwright.sync_api import expect

from speedtrade.testing.world import World
from tests.e2e.conftest import PASSWORD, Person
from tests.e2e.test_matrix import trouble

People = Callable[..., Person]


def ask(person: Person, path: str, key: str) -> tuple[int, str]:
    """What the API answers to a program with this key: status, and the code of a problem."""
    request = urllib.request.Request(  # noqa: S310 - of the product on this machine
        f"{person.product.url}/api/v1/{path}", headers={"Authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["code"]


def make(person: Person, name: str) -> str:
    """The key that the page shows."""
    page = person.go("/settings/developers")
    page.get_by_role("link", name="New key").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Make the key").click()
    return str(page.get_by_label("API key", exact=True).inner_text()).strip()


def test_a_key_is_made_copied_used_and_revoked(people: People) -> None:
    person = people(permissions=["clipboard-read", "clipboard-write"]).register()
    key = make(person, "Robot")
    page = person.page
    found = trouble(page)
    page.get_by_role("button", name="Copy the key").click()
    page.wait_for_function(
        "key => navigator.clipboard.readText().then((text) => text === key)", arg=key
    )
    assert ask(person, "portfolio", key) == (200, "")
    assert ask(person, "auth/me", key) == (403, "key_not_allowed")
    page.get_by_role("link", name="I have it").click()
    expect(page.get_by_text(f"{key[:12]}…")).to_be_visible()
    assert key not in page.content()
    row = page.locator("#api-calls tbody tr").first
    expect(row).to_contain_text("/api/v1/auth/me")
    found += trouble(page)
    page.get_by_role("button", name="Revoke Robot").click()
    page.get_by_text("Robot is revoked").first.wait_for()
    assert ask(person, "portfolio", key) == (401, "invalid_key")
    page.get_by_role("link", name="Refresh").click()
    expect(row).to_contain_text("invalid_key")
    assert not found, found


def test_without_javascript_a_key_is_made_and_revoked(people: People) -> None:
    person = people(java_script_enabled=False).register()
    key = make(person, "Plain")
    assert ask(person, "accounts", key) == (200, "")
    person.go("/settings/developers").get_by_role("button", name="Revoke all keys").click()
    assert ask(person, "accounts", key) == (401, "invalid_key")


def test_the_foot_of_a_page_has_its_call_to_copy(people: People, world: World) -> None:
    person = people(permissions=["clipboard-read", "clipboard-write"]).register()
    page = person.go("/orders?status=all")
    page.get_by_text("API call for this page").click()
    page.get_by_role("button", name="Copy “These orders”").click()
    page.wait_for_function(
        "() => navigator.clipboard.readText().then((text) => text.includes('orders?status=all'))"
    )
    found = trouble(page)
    for path in ("/settings/developers/new", "/problems"):
        found += trouble(person.go(path))
    person.become(world, "mixed")
    found += trouble(person.go("/settings/developers"))
    assert not found, found
