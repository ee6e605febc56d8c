"""The shell around every page: palette, keys, calm prices, an app that is away."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE, Person

People = Callable[..., Person]


@pytest.fixture
def person(people: People) -> Person:
    return people(reduced_motion="reduce").register()


def spoken(page: Page) -> Any:
    return page.locator("#sr")


def test_the_palette_goes_to_a_symbol_by_keyboard_alone(person: Person) -> None:
    page = person.page
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Search a symbol, a name or a page")
    expect(box).to_be_focused()
    expect(page.get_by_role("option", name="Portfolio")).to_be_visible()
    page.keyboard.type("micros")
    expect(page.get_by_role("option")).to_have_count(1)
    expect(page.locator("#palette [data-sr]")).to_have_text("1 result")
    option = page.get_by_role("option", name=re.compile("MSFT"))
    expect(option).to_have_attribute("aria-selected", "true")
    expect(box).to_have_attribute("aria-activedescendant", option.get_attribute("id") or "none")
    page.keyboard.press("Enter")
    page.wait_for_url("**/markets/MSFT")


def test_enter_after_fast_typing_looks_for_what_was_typed(person: Person) -> None:
    page = person.page
    page.keyboard.press("/")
    chosen = page.locator("#palette [aria-selected=true]")
    expect(chosen).to_have_count(1)
    page.route("**/search?as=options*", lambda route: None)  # on its way, for ever
    page.keyboard.type("tsla")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=tsla")


def test_an_answer_to_other_words_chooses_nothing(person: Person) -> None:
    """Somebody types while the answer to the empty box arrives, and presses Enter at once."""
    page = person.page
    page.evaluate(
        """() => {
          const box = document.getElementById("palette-q");
          const list = document.getElementById("palette-list");
          list.addEventListener("htmx:beforeSwap", () => {
            box.value = "tsla";
            box.dispatchEvent(new Event("input", { bubbles: true }));
          }, { once: true });
          list.addEventListener("htmx:afterSwap", () => {
            const options = { key: "Enter", bubbles: true, cancelable: true };
            window.form = box.dispatchEvent(new KeyboardEvent("keydown", options));
          }, { once: true });
        }"""
    )
    page.keyboard.press("/")
    expect(page.get_by_role("option", name=re.compile("TSLA"))).to_have_attribute(
        "aria-selected", "true"
    )
    assert page.evaluate("window.form"), "Enter was the form's, which leads to /search"
    page.keyboard.press("Enter")
    page.wait_for_url("**/markets/TSLA")


def test_the_palette_opens_with_control_k_goes_to_pages_and_closes_with_escape(
    person: Person,
) -> None:
    page = person.page
    page.keyboard.press("Control+k")
    page.keyboard.type("ord")
    expect(page.get_by_role("option", name="Orders")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.get_by_role("link", name="Search").locator("visible=true").click()
    page.keyboard.type("zzzz")
    expect(page.get_by_text("Nothing found for “zzzz”")).to_be_visible()


def test_g_and_a_letter_goes_and_j_and_k_walk_the_rows(person: Person) -> None:
    page = person.page
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/markets")
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") != first
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.textContent") == first
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_a_letter_alone_goes_nowhere_however_young_the_page_is(person: Person) -> None:
    taken = person.page.evaluate(
        """() => {
          performance.now = () => 300;
          const options = { bubbles: true, cancelable: true };
          const made = (key) => new KeyboardEvent("keydown", { key, ...options });
          return [..."dpowmal"].filter((key) => !document.body.dispatchEvent(made(key)));
        }"""
    )
    assert taken == []


def test_no_key_works_while_somebody_types_or_when_they_are_switched_off(person: Person) -> None:
    page = person.go("/search")
    page.get_by_role("searchbox").fill("")
    page.keyboard.type("gd?")
    expect(page.get_by_role("searchbox")).to_have_value("gd?")
    assert page.url.partition("?")[0].endswith("/search")
    page.evaluate("document.documentElement.dataset.keys = 'off'")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()


def test_live_prices_are_paused_and_resumed(person: Person) -> None:
    page = person.go("/markets/BTC-USD")
    hero = page.locator("[data-hero]")
    first = hero.text_content() or ""
    expect(hero).not_to_have_text(first, timeout=PATIENCE)
    page.get_by_role("button", name="Pause live prices").first.click()
    expect(spoken(page)).to_have_text("Live prices paused")
    told = page.evaluate(
        """() => new Promise((done) => {
          const hero = document.querySelector("[data-hero]"), before = hero.textContent;
          let quotes = 0;
          const socket = new WebSocket(`ws://${location.host}/ws`);
          socket.onopen = () => socket.send(JSON.stringify(
            { action: "subscribe", symbols: ["BTC/USD"] }));
          socket.onmessage = ({ data }) => {
            quotes += JSON.parse(data).type === "quote";
            if (quotes > 5) { socket.close(); done(before === hero.textContent); }
          };
        })"""
    )
    assert told, "the number moved although it was paused"
    page.reload()
    page.get_by_role("button", name="Resume live prices").first.click()
    still = hero.text_content() or ""
    expect(hero).not_to_have_text(still, timeout=PATIENCE)


def test_the_price_is_read_aloud_on_request(person: Person) -> None:
    page = person.go("/markets/AAPL")
    button = page.get_by_role("button", name="Announce price")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(spoken(page)).to_have_text(re.compile(r"^AAPL(, not live, last)? \$[\d,.]+$"))
    button.click()
    expect(spoken(page)).to_have_text("No more announcements")


def test_the_title_of_a_symbol_carries_its_price(person: Person) -> None:
    page = person.go("/markets/AAPL")
    expect(page).to_have_title(re.compile(r"^[\d,.]+ [▲▼]?[\d.]+% AAPL "), timeout=PATIENCE)


def test_an_app_that_is_away_says_so_and_has_kept_nothing_of_an_account(people: People) -> None:
    person = people(service_workers="allow").register()
    person.expect_errors("ERR_INTERNET_DISCONNECTED", "WebSocket")
    page = person.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    person.go("/portfolio")
    kept = page.evaluate(
        """async () => {
          const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
          const requests = (await Promise.all(caches_.map((cache) => cache.keys()))).flat();
          return requests.map(({ url }) => new URL(url).pathname);
        }"""
    )
    assert "/offline" in kept
    assert [path for path in kept if path != "/offline" and not path.startswith("/static/")] == []
    person.context.set_offline(True)
    page.goto(f"{person.product.url}/dashboard")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    person.context.set_offline(False)


def test_the_manifest_is_complete_enough_to_be_installed(person: Person) -> None:
    page = person.page
    client = person.context.new_cdp_session(page)
    told = client.send("Page.getAppManifest")
    assert told["errors"] == []
    wrong = client.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [one["errorId"] for one in wrong if one["errorId"] != "in-incognito"] == []
