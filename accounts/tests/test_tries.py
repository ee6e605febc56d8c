"""Whom wrong passwords and codes shut out, limit by limit; the doors that count them have tests."""

from typing import Any

import pytest

from accounts.models import User
from accounts.services import tries
from accounts.services.tries import (
    ANYWHERE,
    CODES,
    KNOWN,
    PASSWORDS,
    TOO_MANY,
    TOO_MANY_ANYWHERE,
    TOO_MANY_CODES,
    code_count,
    codes_excuse,
    password_count,
    passwords_excuse,
)
from speedtrade.lib.ratelimit import RateLimited

HERE, THERE = "203.0.113.1", "203.0.113.2"
PLACE, EVERYWHERE = 2, 6  # tries that a place has, and all addresses together


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    settings.RATE_WRONG_PASSWORD = f"{PLACE}/hour"
    settings.WRONG_PASSWORD_ANYWHERE = EVERYWHERE // PLACE


def passwords(place: str, user: User | None, name: str = "") -> tuple[int, str, str]:
    """So many tries the place has left, and what limit says then what."""
    return used_up(lambda: password_count(user, name, place))


def codes(place: str, user: User) -> tuple[int, str, str]:
    return used_up(lambda: code_count(user, place))


def used_up(count: Any) -> tuple[int, str, str]:
    for done in range(50):
        try:
            count()
        except RateLimited as error:
            assert error.retry_after
            return done, error.limit, error.detail
    raise AssertionError("no limit was reached")


def test_a_place_shuts_out_itself(alice: User) -> None:
    assert passwords(HERE, alice) == (PLACE, PASSWORDS, TOO_MANY)
    assert passwords(THERE, alice) == (PLACE, PASSWORDS, TOO_MANY)


def test_many_addresses_shut_out_all_of_them_and_no_browser_of_the_user(
    alice: User, charlie: User
) -> None:
    addresses = [f"198.51.100.{n}" for n in range(EVERYWHERE)]
    for address in addresses:
        password_count(alice, "", address)
    assert passwords(HERE, alice) == (0, ANYWHERE, TOO_MANY_ANYWHERE)
    assert passwords(HERE, charlie)[0] == PLACE
    assert passwords(KNOWN, alice) == (PLACE, PASSWORDS, TOO_MANY)


def test_the_browsers_of_the_user_use_up_nothing_of_the_addresses(alice: User) -> None:
    assert passwords(KNOWN, alice)[0] == PLACE
    for n in range(EVERYWHERE):
        password_count(alice, "", f"198.51.100.{n}")


def test_what_a_place_refuses_uses_up_nothing_that_all_have(alice: User) -> None:
    for _ in range(3):
        passwords(HERE, alice)
    for n in range(EVERYWHERE - PLACE):
        password_count(alice, "", f"198.51.100.{n}")


def test_the_right_password_excuses_its_place_and_all_addresses(alice: User) -> None:
    for n in range(EVERYWHERE - PLACE):
        password_count(alice, "", f"198.51.100.{n}")
    assert passwords(HERE, alice)[0] == PLACE
    assert passwords(KNOWN, alice)[0] == PLACE
    passwords_excuse(alice, HERE)
    assert passwords(HERE, alice) == (PLACE, PASSWORDS, TOO_MANY)
    assert passwords(THERE, alice)[0] == PLACE, "what all had used up is forgotten, too"
    assert passwords(KNOWN, alice)[0] == 0


def test_a_browser_of_the_user_excuses_itself_alone(alice: User) -> None:
    for n in range(EVERYWHERE):
        password_count(alice, "", f"198.51.100.{n}")
    assert passwords(KNOWN, alice)[0] == PLACE
    passwords_excuse(alice, KNOWN)
    assert passwords(KNOWN, alice)[0] == PLACE
    assert passwords(HERE, alice) == (0, ANYWHERE, TOO_MANY_ANYWHERE)


def test_names_that_nobody_has_count_each_for_itself_however_they_are_written() -> None:
    assert passwords(HERE, None, "nobody")[0] == PLACE
    assert passwords(HERE, None, "  NoBody ")[0] == 0
    assert passwords(HERE, None, "somebody")[0] == PLACE


def test_a_new_password_begins_anew(alice: User) -> None:
    assert passwords(HERE, alice)[0] == PLACE
    alice.set_password("another-horse-8-battery")
    assert passwords(HERE, alice)[0] == PLACE


def test_all_addresses_have_the_codes_of_one_place(alice: User, charlie: User) -> None:
    code_count(alice, HERE)
    assert codes(THERE, alice) == (PLACE - 1, CODES, TOO_MANY_CODES)
    assert codes(KNOWN, alice) == (PLACE, CODES, TOO_MANY_CODES)
    assert codes(HERE, charlie)[0] == PLACE


@pytest.mark.parametrize(("place", "other"), [(HERE, KNOWN), (KNOWN, HERE)])
def test_the_right_code_excuses_the_codes_and_passwords_of_where_it_came_from(
    alice: User, place: str, other: str
) -> None:
    for one in (place, other):
        codes(one, alice)
        passwords(one, alice)
    codes_excuse(alice, place)
    assert (codes(place, alice)[0], passwords(place, alice)[0]) == (PLACE, PLACE)
    assert (codes(other, alice)[0], passwords(other, alice)[0]) == (0, 0)


def test_the_right_password_excuses_no_code(alice: User) -> None:
    codes(HERE, alice)
    passwords_excuse(alice, HERE)
    assert codes(HERE, alice)[0] == 0


@pytest.mark.parametrize(
    ("limit", "place", "word"),
    [
        (PASSWORDS, HERE, tries.ADDRESS),
        (PASSWORDS, KNOWN, tries.BROWSERS),
        (ANYWHERE, HERE, tries.STRANGERS),
        (CODES, HERE, tries.STRANGE_CODES),
        (CODES, KNOWN, tries.KNOWN_CODES),
    ],
)
def test_the_audit_has_a_word_for_each(limit: str, place: str, word: str) -> None:
    error = RateLimited()
    error.limit = limit
    assert tries.limit_name(error, place) == word
