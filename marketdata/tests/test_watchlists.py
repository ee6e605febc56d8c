"""A person's list of symbols."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from marketdata.models import Watchlist, WatchlistItem
from marketdata.selectors import UnknownSymbol, watchlist_instruments, watchlist_items
from marketdata.services.watchlists import (
    Imported,
    watchlist_add,
    watchlist_create,
    watchlist_delete,
    watchlist_ensure_default,
    watchlist_import,
    watchlist_item_move,
    watchlist_item_remove,
    watchlist_move,
    watchlist_remove,
    watchlist_rename,
    watchlists_choose,
)
from marketdata.tests.factories import make_instrument
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.testing.races import race

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
LETTERS = ("AA", "BB", "CC", "DD", "EE")


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


def test_who_deleted_every_list_gets_one_with_the_starred_symbol_alone(user, settings):
    for symbol in (*settings.WATCHLIST_DEFAULT[:3], "TSLA"):
        make_instrument(symbol)
    first = watchlist_ensure_default(user=user, now=NOW)
    watchlist_delete(user=user, watchlist_id=first.pk)
    watchlist_add(user=user, symbol="TSLA", now=NOW)
    assert symbols(user) == ["TSLA"]


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


# ── several lists ───────────────────────────────────────────────────────────
@pytest.fixture
def tech(user):
    """A list of five."""
    made = watchlist_create(user=user, name="Tech", now=NOW)
    for symbol in LETTERS:
        make_instrument(symbol)
        watchlist_add(user=user, symbol=symbol, now=NOW, watchlist_id=made.pk)
    return made


def rows(chosen):
    return [(item.position, item.instrument.symbol) for item in watchlist_items(chosen)]


def dense(text):
    return list(enumerate(text.split()))


def names(user):
    return [
        (row.position, row.name) for row in Watchlist.objects.filter(user=user).order_by("position")
    ]


def test_lists_stand_in_the_order_they_were_made_and_close_ranks(user):
    made = [watchlist_create(user=user, name=name, now=NOW) for name in ("One", "Two", "🚀 Three")]
    assert names(user) == [(0, "One"), (1, "Two"), (2, "🚀 Three")]
    watchlist_move(user=user, watchlist_id=made[2].pk, position=0)
    assert names(user) == [(0, "🚀 Three"), (1, "One"), (2, "Two")]
    watchlist_move(user=user, watchlist_id=made[2].pk, position=99)
    assert names(user) == [(0, "One"), (1, "Two"), (2, "🚀 Three")]
    assert watchlist_delete(user=user, watchlist_id=made[0].pk) == "One"
    assert names(user) == [(0, "Two"), (1, "🚀 Three")]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b", "Tech", " Tech  "])
def test_a_name_is_written_short_and_not_taken(user, tech, name):
    for act in (
        lambda: watchlist_create(user=user, name=name, now=NOW),
        lambda: watchlist_rename(
            user=user, watchlist_id=watchlist_create(user=user, name="Other", now=NOW).pk, name=name
        ),
    ):
        with pytest.raises(InvalidInput) as refused:
            act()
        assert refused.value.errors[0].field == "name"


def test_a_list_may_keep_its_own_name_and_share_it_with_somebody_elses(user, tech):
    bob = User.objects.create_user("bob", "bob@example.com", "pw")
    assert watchlist_rename(user=user, watchlist_id=tech.pk, name="Tech").name == "Tech"
    assert watchlist_rename(user=user, watchlist_id=tech.pk, name=" 🦄  Tech ").name == "🦄 Tech"
    assert watchlist_create(user=bob, name="🦄 Tech", now=NOW).position == 0


def test_there_are_only_so_many_lists(user, settings):
    settings.WATCHLISTS_LIMIT = 1
    watchlist_create(user=user, name="One", now=NOW)
    with pytest.raises(Conflict):
        watchlist_create(user=user, name="Two", now=NOW)


@pytest.mark.parametrize(
    ("symbol", "position", "after"),
    [
        ("AA", 0, "AA BB CC DD EE"),
        ("AA", 4, "BB CC DD EE AA"),
        ("EE", 0, "EE AA BB CC DD"),
        ("BB", 3, "AA CC DD BB EE"),
        ("DD", 99, "AA BB CC EE DD"),
        ("CC", -5, "CC AA BB DD EE"),
    ],
)
def test_a_row_moves_to_a_place_and_the_others_close_ranks(user, tech, symbol, position, after):
    item = tech.items.get(instrument__symbol=symbol)
    watchlist_item_move(user=user, watchlist_id=tech.pk, item_id=item.pk, position=position)
    assert rows(tech) == dense(after)


def test_a_row_that_goes_leaves_no_gap(user, tech):
    item = tech.items.get(instrument__symbol="BB")
    assert watchlist_item_remove(user=user, watchlist_id=tech.pk, item_id=item.pk).symbol == "BB"
    assert watchlist_remove(user=user, symbol="AA", watchlist_id=tech.pk) is True
    assert rows(tech) == dense("CC DD EE")
    with pytest.raises(NotFound):
        watchlist_item_remove(user=user, watchlist_id=tech.pk, item_id=item.pk)


def test_the_database_refuses_two_rows_in_one_place(user, tech):
    first, second = tech.items.order_by("position")[:2]
    with pytest.raises(IntegrityError), transaction.atomic():
        WatchlistItem.objects.filter(pk=second.pk).update(position=first.position)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_nobody_touches_the_list_of_somebody_else(user, tech):
    bob = User.objects.create_user("bob", "bob@example.com", "pw")
    mine = watchlist_create(user=bob, name="Mine", now=NOW)
    item = tech.items.first()
    for act in (
        lambda: watchlist_rename(user=bob, watchlist_id=tech.pk, name="Stolen"),
        lambda: watchlist_delete(user=bob, watchlist_id=tech.pk),
        lambda: watchlist_move(user=bob, watchlist_id=tech.pk, position=0),
        lambda: watchlist_add(user=bob, symbol="AA", now=NOW, watchlist_id=tech.pk),
        lambda: watchlist_remove(user=bob, symbol="AA", watchlist_id=tech.pk),
        lambda: watchlist_item_remove(user=bob, watchlist_id=tech.pk, item_id=item.pk),
        lambda: watchlist_item_remove(user=bob, watchlist_id=mine.pk, item_id=item.pk),
        lambda: watchlist_item_move(user=bob, watchlist_id=tech.pk, item_id=item.pk, position=1),
        lambda: watchlist_item_move(user=bob, watchlist_id=mine.pk, item_id=item.pk, position=1),
        lambda: watchlist_import(user=bob, watchlist_id=tech.pk, text="AA"),
        lambda: watchlists_choose(user=bob, symbol="AA", chosen={tech.pk, mine.pk}),
    ):
        with pytest.raises(NotFound):
            act()
    assert (
        rows(tech) == dense("AA BB CC DD EE") and rows(mine) == [] and names(user)[0][1] == "Tech"
    )


def test_a_text_is_imported_in_its_order_and_what_is_unknown_is_named(user, tech):
    for symbol in ("FF", "SOL/USD"):
        make_instrument(symbol)
    text = "ff, nope\nBB;SOL-USD\r\nFF\n\nnever"
    done = watchlist_import(user=user, watchlist_id=tech.pk, text=text)
    assert done == Imported(added=2, known=3, unknown=["nope", "never"])
    assert rows(tech) == dense("AA BB CC DD EE FF SOL/USD")


def test_an_import_that_does_not_fit_adds_nothing(user, tech, settings):
    settings.WATCHLIST_LIMIT = 6
    for symbol in ("FF", "GG"):
        make_instrument(symbol)
    with pytest.raises(Conflict, match="would have 7 symbols"):
        watchlist_import(user=user, watchlist_id=tech.pk, text="FF GG")
    assert rows(tech) == dense("AA BB CC DD EE")
    settings.WATCHLIST_IMPORT_LIMIT = 3
    with pytest.raises(InvalidInput):
        watchlist_import(user=user, watchlist_id=tech.pk, text="AA BB CC DD")


def test_a_symbol_stands_on_the_lists_that_were_chosen_or_nothing_changes(user, tech, settings):
    other = watchlist_create(user=user, name="Other", now=NOW)
    watchlists_choose(user=user, symbol="BB", chosen={other.pk})
    assert rows(tech) == dense("AA CC DD EE") and rows(other) == dense("BB")
    settings.WATCHLIST_LIMIT = 4
    with pytest.raises(Conflict, match="Tech"):
        watchlists_choose(user=user, symbol="BB", chosen={tech.pk})
    assert rows(other) == dense("BB")


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_rows_that_are_moved_at_the_same_time_all_keep_a_place_of_their_own(user, tech):
    items = watchlist_items(tech)

    def mover(item, position):
        return lambda: watchlist_item_move(
            user=user, watchlist_id=tech.pk, item_id=item.pk, position=position
        )

    for _ in range(5):
        race([mover(item, place) for item, place in zip(items, (4, 3, 0, 1, 2), strict=True)])
        places = [position for position, _ in rows(tech)]
        assert places == [0, 1, 2, 3, 4]


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_lists_that_are_made_at_the_same_time_stay_within_the_limit(user, settings):
    settings.WATCHLISTS_LIMIT = 3

    def maker(number):
        def make():
            try:
                return watchlist_create(user=user, name=f"List {number}", now=NOW).position
            except Conflict:
                return None

        return make

    made = race([maker(number) for number in range(6)])
    assert sorted(place for place in made if place is not None) == [0, 1, 2]


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_stars_that_are_pressed_at_once_without_a_list_meet_in_one(user):
    for symbol in LETTERS:
        make_instrument(symbol)
    race([lambda at=symbol: watchlist_add(user=user, symbol=at, now=NOW) for symbol in LETTERS])
    assert sorted(symbols(user)) == [*LETTERS]
    assert Watchlist.objects.filter(user=user).count() == 1
