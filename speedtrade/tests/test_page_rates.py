"""The rates of pages: of one user, where a page costs much, told on the page of the error."""

import pytest
from django.urls import NoReverseMatch, get_resolver, reverse

from speedtrade.lib import ratelimit
from speedtrade.lib.page_rates import RATES
from speedtrade.testing.cast import account_of, page_client

PLACES = {"month": "2026-01", "year": 2026, "watchlist_id": 1, "account_id": 1, "symbol": "AAPL"}


def address(name: str) -> str:
    """Of a route, with whatever it takes."""
    for wanted in ([], ["month"], ["year"], ["watchlist_id"], ["account_id"], ["symbol"]):
        try:
            return reverse(name, kwargs={one: PLACES[one] for one in wanted})
        except NoReverseMatch:
            continue
    raise AssertionError(f"{name} is no route")


def test_each_route_that_has_a_rate_is_one_and_so_has_each_file():
    assert all(address(name) for name in RATES)
    named = {
        f"{space}:{name}"
        for space, (_, inner) in get_resolver().namespace_dict.items()
        for name in inner.reverse_dict
        if space not in ("api", "admin") and isinstance(name, str)
    }
    assert {name for name in named if "export" in name} <= set(RATES)


@pytest.mark.parametrize("name", RATES)
def test_beyond_its_rate_a_page_is_refused_in_words_and_only_to_who_asked(
    alice, charlie, settings, name
):
    setattr(settings, RATES[name].setting, "2/hour")
    browser, other = page_client(alice), page_client(charlie)
    asked = [browser.get(address(name)) for _ in range(3)]
    assert [one.status_code == 429 for one in asked] == [False, False, True]
    assert RATES[name].words in asked[2].content.decode()
    assert int(asked[2].headers["Retry-After"]) > 60
    assert other.get(address(name)).status_code != 429
    assert browser.get("/settings").status_code == 200  # what costs little is not counted
    fragment = browser.post(address(name), headers={"HX-Request": "true"})
    assert fragment.status_code == 429 and "st:toast" in fragment.headers["HX-Trigger"]


def test_a_stranger_is_sent_to_the_login_and_counts_for_nobody(client, settings):
    settings.RATE_PAGES_PER_USER = "1/hour"
    assert [client.get("/search").status_code for _ in range(3)] == [302] * 3


@pytest.mark.keep_redis
def test_without_redis_a_stricter_count_of_this_process_holds(alice, settings):
    settings.RATE_FILES_PER_USER, settings.REDIS_URL = "4/hour", "redis://127.0.0.1:1/0"
    ratelimit._shared.cache_clear()
    ratelimit._local.cache_clear()
    try:
        browser = page_client(alice)
        codes = [browser.get("/portfolio/export").status_code for _ in range(3)]
    finally:
        ratelimit._shared.cache_clear()
    assert codes == [200, 200, 429]


def test_an_account_can_always_be_stopped(alice, settings):
    """Only to let it go on has a rate; a stop changes nothing where one is on, nor the audit."""
    settings.RATE_RESUME_PER_USER = "1/hour"
    account, browser = account_of(alice), page_client(alice)
    for _ in range(3):
        assert browser.post(f"/settings/brokers/{account.pk}/stop").status_code == 303
    resume = f"/settings/brokers/{account.pk}/resume"
    assert [browser.post(resume).status_code for _ in range(2)] == [303, 429]


def test_addresses_cannot_be_tried_without_end(alice, charlie, settings):
    """Each that is refused says that somebody has an account by it."""
    settings.RATE_EMAIL_PER_USER = "3/hour"
    browser = page_client(alice)

    def tried(email: str) -> int:
        return browser.post("/settings/profile", {"email": email}).status_code

    assert [tried("no address"), tried(alice.email)] == [422, 302]  # which tell nothing
    assert [tried(charlie.email) for _ in range(3)] == [422] * 3
    assert [tried(charlie.email), tried("new@example.com")] == [429] * 2
    assert tried(alice.email) == 302
