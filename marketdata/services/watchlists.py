"""A person's lists of symbols.

Who changes which lists there are, or their order, locks the user; who changes the rows of a list
locks the list. Positions are numbered anew in every change, so they stay 0, 1, 2, … without gaps.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, transaction

from marketdata.models import Instrument, Watchlist, WatchlistItem
from marketdata.models.watchlists import NAME_MAX
from marketdata.selectors import (
    instrument_get,
    instruments_split,
    watchlist_default,
    watchlist_get,
    watchlist_items,
    watchlists_of,
)
from speedtrade.lib.errors import Conflict, FieldError, InvalidInput, NotFound

DEFAULT_NAME = "Watchlist"
Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a text with symbols: how many are new, and the words that name none."""

    added: int
    known: int
    unknown: list[str]


# ── the lists of a user ─────────────────────────────────────────────────────
@transaction.atomic
def watchlist_ensure_default(*, user: Any, now: datetime) -> Watchlist:
    """The first list of a new user, with a few symbols people know; the one there is, if any."""
    chosen, made = _first_list(user, now)
    if made:
        known, _ = instruments_split(settings.WATCHLIST_DEFAULT)
        _append(chosen, known)
    return chosen


def _first_list(user: Any, now: datetime) -> tuple[Watchlist, bool]:
    """(the user's first list, whether it is made here, empty)."""
    chosen = watchlist_default(user)
    if chosen is not None:
        return chosen, False
    _lock_lists(user)  # twins of a first visit meet here, and the later one finds the list
    chosen = watchlist_default(user)
    if chosen is not None:
        return chosen, False
    made = Watchlist.objects.create(user=user, name=DEFAULT_NAME, position=0, created_at=now)
    return made, True


@transaction.atomic
def watchlist_create(*, user: Any, name: str, now: datetime) -> Watchlist:
    """A new, empty list behind the others. Raises InvalidInput (its name), Conflict (too many)."""
    _lock_lists(user)
    written = _free_name(user, name)
    count = watchlists_of(user).count()
    if count >= settings.WATCHLISTS_LIMIT:
        raise Conflict(f"You can keep {settings.WATCHLISTS_LIMIT} watchlists. Delete one first.")
    return Watchlist.objects.create(user=user, name=written, position=count, created_at=now)


@transaction.atomic
def watchlist_rename(*, user: Any, watchlist_id: int, name: str) -> Watchlist:
    """Give a list another name. Raises NotFound, InvalidInput."""
    _lock_lists(user)
    chosen = watchlist_get(user, watchlist_id)
    chosen.name = _free_name(user, name, but=chosen)
    chosen.save(update_fields=["name"])
    return chosen


@transaction.atomic
def watchlist_delete(*, user: Any, watchlist_id: int) -> str:
    """Delete a list with its rows; its name. Raises NotFound."""
    _lock_lists(user)
    chosen = _locked(user, watchlist_id)  # nobody adds a row to a list that goes
    chosen.delete()
    _number(Watchlist, list(watchlists_of(user)))
    return chosen.name


@transaction.atomic
def watchlist_move(*, user: Any, watchlist_id: int, position: int) -> Watchlist:
    """Put a list at `position` among the user's lists, as far as there is one. Raises NotFound."""
    _lock_lists(user)
    chosen = watchlist_get(user, watchlist_id)
    return _move(Watchlist, list(watchlists_of(user)), chosen.pk, position)


# ── the rows of a list ──────────────────────────────────────────────────────
@transaction.atomic
def watchlist_add(
    *, user: Any, symbol: str, now: datetime, watchlist_id: int | None = None
) -> WatchlistItem:
    """Put a symbol at the end of a list, the user's first if none is named; again is harmless.

    Who has deleted all their lists gets one with this symbol alone. Raises UnknownSymbol,
    NotFound, and Conflict when the list is full.
    """
    instrument = instrument_get(symbol)
    if watchlist_id is None:
        watchlist_id = _first_list(user, now)[0].pk
    chosen = _locked(user, watchlist_id)
    _append(chosen, [instrument])
    return chosen.items.get(instrument_id=instrument.pk)


@transaction.atomic
def watchlist_remove(*, user: Any, symbol: str, watchlist_id: int | None = None) -> bool:
    """Take a symbol off a list, the user's first if none is named; whether it stood there.

    Raises UnknownSymbol, NotFound.
    """
    instrument = instrument_get(symbol)
    if watchlist_id is None:
        first = watchlist_default(user)
        if first is None:
            return False
        watchlist_id = first.pk
    return _drop(_locked(user, watchlist_id), instrument)


@transaction.atomic
def watchlist_item_remove(*, user: Any, watchlist_id: int, item_id: int) -> Instrument:
    """Take a row off a list. Raises NotFound."""
    chosen = _locked(user, watchlist_id)
    item = chosen.items.select_related("instrument").filter(pk=item_id).first()
    if item is None:
        raise NotFound("This row is not on the list any more.")
    _drop(chosen, item.instrument)
    return item.instrument


@transaction.atomic
def watchlist_item_move(
    *, user: Any, watchlist_id: int, item_id: int, position: int
) -> WatchlistItem:
    """Put a row at `position` of its list, as far as there is one. Raises NotFound."""
    chosen = _locked(user, watchlist_id)
    return _move(WatchlistItem, watchlist_items(chosen), item_id, position)


@transaction.atomic
def watchlists_choose(*, user: Any, symbol: str, chosen: Collection[int]) -> None:
    """Let a symbol stand on exactly these lists of the user: all of it, or nothing of it.

    Raises UnknownSymbol, NotFound for a list of somebody else, Conflict for a full list.
    """
    instrument = instrument_get(symbol)
    _lock_lists(user)  # first: a new order of the lists writes to several of them as well
    mine = list(Watchlist.objects.select_for_update(no_key=True).filter(user=user))
    if not set(chosen) <= {row.pk for row in mine}:
        raise NotFound("There is no such watchlist.")
    for row in mine:
        if row.pk in chosen:
            _append(row, [instrument])
        else:
            _drop(row, instrument)


@transaction.atomic
def watchlist_import(*, user: Any, watchlist_id: int, text: str) -> Imported:
    """Add every symbol that the text names, in its order; what stands there already stays.

    Words are parted by blanks, lines, commas or semicolons. Raises NotFound, InvalidInput for
    too long a text, and Conflict, having added nothing, when the list cannot take them all.
    """
    words = list(dict.fromkeys(re.split(r"[\s,;]+", text.strip())))
    if len(words) > settings.WATCHLIST_IMPORT_LIMIT:
        many = f"Import at most {settings.WATCHLIST_IMPORT_LIMIT} symbols at a time."
        raise InvalidInput.field("symbols", many)
    chosen = _locked(user, watchlist_id)
    known, unknown = instruments_split(word for word in words if word)
    return Imported(added=_append(chosen, known), known=len(known), unknown=unknown)


# ── what they share ─────────────────────────────────────────────────────────
def _lock_lists(user: Any) -> None:
    """Wait for whoever changes which lists this user has."""
    get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)


def _locked(user: Any, watchlist_id: int) -> Watchlist:
    """The user's list, locked until the end of the transaction; NotFound for anybody else's."""
    rows = Watchlist.objects.select_for_update(no_key=True)
    return watchlist_get(user, watchlist_id, rows)


def _free_name(user: Any, name: str, but: Watchlist | None = None) -> str:
    """The name as it is kept; InvalidInput where it is none, or taken."""
    written = " ".join(name.split())
    if not written or len(written) > NAME_MAX:
        raise InvalidInput.field("name", f"Write a name of 1 to {NAME_MAX} characters.")
    if any(unicodedata.category(letter) == "Cc" for letter in written):
        raise InvalidInput.field("name", "The name has a character that cannot be shown.")
    taken = watchlists_of(user).filter(name=written)
    if (taken.exclude(pk=but.pk) if but else taken).exists():
        raise InvalidInput.field("name", f"You have a watchlist “{written}” already.", "taken")
    return written


def _append(chosen: Watchlist, instruments: Sequence[Instrument]) -> int:
    """Put what is not there yet at the end of a locked list; how many. All of it, or Conflict."""
    there = set(chosen.items.values_list("instrument_id", flat=True))
    new = [instrument for instrument in instruments if instrument.pk not in there]
    if len(there) + len(new) > settings.WATCHLIST_LIMIT:
        words = (
            f"“{chosen.name}” would have {len(there) + len(new)} symbols; "
            f"a watchlist holds at most {settings.WATCHLIST_LIMIT}."
        )
        raise Conflict(words, errors=[FieldError("symbols", "full", words)])
    WatchlistItem.objects.bulk_create(
        WatchlistItem(watchlist=chosen, instrument=instrument, position=position)
        for position, instrument in enumerate(new, start=len(there))
    )
    return len(new)


def _drop(chosen: Watchlist, instrument: Instrument) -> bool:
    """Take an instrument off a locked list and close the gap; whether it stood there."""
    deleted, _ = chosen.items.filter(instrument_id=instrument.pk).delete()
    if deleted:
        _number(WatchlistItem, watchlist_items(chosen))
    return deleted > 0


def _move(model: type[Row], rows: list[Row], pk: int, position: int) -> Row:
    """Put one of the locked rows at `position`; NotFound where it is none of them."""
    moved = next((row for row in rows if row.pk == pk), None)
    if moved is None:
        raise NotFound("This row is not on the list any more.")
    rows.remove(moved)
    rows.insert(max(0, position), moved)
    _number(model, rows)
    return moved


def _number(model: type[Row], rows: Sequence[Row]) -> None:
    """Write 0, 1, 2, … where it is not so yet."""
    wrong = []
    for place, row in enumerate(rows):
        if row.position != place:  # type: ignore[attr-defined]
            row.position = place  # type: ignore[attr-defined]
            wrong.append(row)
    model._default_manager.bulk_update(wrong, ["position"])
