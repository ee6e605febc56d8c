"""A person's list of symbols."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from marketdata.models import Instrument, Watchlist, WatchlistItem
from marketdata.selectors import instrument_get, watchlist_default
from speedtrade.lib.errors import Conflict

DEFAULT_NAME = "Watchlist"


@transaction.atomic
def watchlist_ensure_default(*, user: Any, now: datetime) -> Watchlist:
    """The user's first list; made, with a few symbols people know, where there is none."""
    chosen = watchlist_default(user)
    if chosen is not None:
        return chosen
    # Twins of a first visit meet at the unique name, and the later one finds the list.
    chosen, created = Watchlist.objects.get_or_create(
        user=user, name=DEFAULT_NAME, defaults={"created_at": now}
    )
    if created:
        known = Instrument.objects.in_bulk(settings.WATCHLIST_DEFAULT, field_name="symbol")
        WatchlistItem.objects.bulk_create(
            WatchlistItem(watchlist=chosen, instrument=known[symbol], position=position)
            for position, symbol in enumerate(settings.WATCHLIST_DEFAULT)
            if symbol in known
        )
    return chosen


@transaction.atomic
def watchlist_add(*, user: Any, symbol: str, now: datetime) -> WatchlistItem:
    """Put a symbol at the end of the user's first list; again is harmless.

    Raises UnknownSymbol, and Conflict when the list is full.
    """
    instrument = instrument_get(symbol)
    chosen = _locked(watchlist_ensure_default(user=user, now=now))
    there = chosen.items.filter(instrument_id=instrument.pk).first()
    if there is not None:
        return there
    if chosen.items.count() >= settings.WATCHLIST_LIMIT:
        raise Conflict(f"A watchlist holds at most {settings.WATCHLIST_LIMIT} symbols.")
    last = chosen.items.aggregate(last=Max("position"))["last"]
    return WatchlistItem.objects.create(
        watchlist=chosen, instrument=instrument, position=0 if last is None else last + 1
    )


@transaction.atomic
def watchlist_remove(*, user: Any, symbol: str) -> bool:
    """Take a symbol off the user's first list; whether it stood there. Raises UnknownSymbol."""
    instrument = instrument_get(symbol)
    chosen = watchlist_default(user)
    if chosen is None:
        return False
    deleted, _ = chosen.items.filter(instrument_id=instrument.pk).delete()
    return deleted > 0


def _locked(chosen: Watchlist) -> Watchlist:
    return Watchlist.objects.select_for_update(no_key=True).get(pk=chosen.pk)
