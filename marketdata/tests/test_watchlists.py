"""A person's list of symbols."""

from datetime import UTC, datetime

import pytest

from accounts.models import User
from marketdata.models import Watchlist
from marketdata.selectors import UnknownSymbol, watchlist_instruments
from marketdata.services.watchlists import (
    watchlist_add,
    watchlist_ensure_default,
    watchlist_remove,
)
from marketdata.tests.factories import make_instrument
from speedtrade.lib.errors import Conflict

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def symbols(user):
    return [row.symbol for row in watchlist_instruments(user)]


def test_the_first_list_holds_symbols_that_people_know_and_is_made_once(user, settings):
    for symbol in settings.WATCHLIST_DEFAULT[:3]:
        make_instrument(symbol)
    first = watchlist_ensure_default(user=user, now=NOW)
    assert watchlist_ensure_default(user=user, now=NOW) == first
    assert symbols(user) == settings.WATCHLIST_DEFAULT[:3]


def test_without_a_list_there_is_nothing_to_show(user):
    make_instrument("AAPL")
    assert symbols(user) == []
    assert watchlist_remove(user=user, symbol="AAPL") is False


def test_symbols_are_added_at_the_end_once_and_removed(user):
    for symbol in ("TSLA", "SOL/USD"):
        make_instrument(symbol)
    for text in ("tsla", "SOL-USD", "TSLA"):
        watchlist_add(user=user, symbol=text, now=NOW)
    assert symbols(user) == ["TSLA", "SOL/USD"]
    assert watchlist_remove(user=user, symbol="TSLA") is True
    assert watchlist_remove(user=user, symbol="TSLA") is False
    assert symbols(user) == ["SOL/USD"]


def test_a_list_is_its_owners_alone(user):
    make_instrument("AAPL")
    bob = User.objects.create_user("bob", "bob@example.com", "pw")
    watchlist_add(user=user, symbol="AAPL", now=NOW)
    assert symbols(bob) == []
    assert watchlist_remove(user=bob, symbol="AAPL") is False
    assert symbols(user) == ["AAPL"]


def test_a_full_list_takes_no_more(user, settings):
    settings.WATCHLIST_LIMIT = 1
    for symbol in ("TSLA", "KO"):
        make_instrument(symbol)
    watchlist_add(user=user, symbol="TSLA", now=NOW)
    watchlist_add(user=user, symbol="TSLA", now=NOW)
    with pytest.raises(Conflict):
        watchlist_add(user=user, symbol="KO", now=NOW)


def test_an_unknown_symbol_changes_nothing(user):
    with pytest.raises(UnknownSymbol):
        watchlist_add(user=user, symbol="NOSUCH", now=NOW)
    assert not Watchlist.objects.exists()
