"""Price alerts as a test wants them: in each state, with the longest words, and many."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from marketdata import quote_store
from marketdata.models import Alert, Instrument
from marketdata.services.alert_firing import alert_fire
from marketdata.services.alerts import alert_create, alert_switch_off
from speedtrade.lib.money import floor_to
from speedtrade.testing.lives import price_of
from speedtrade.testing.market import quote

D = Decimal
NOTE = "Buy the ones that the watchlist is there for"
LONG_NOTE = f"{'Long' * 10} and then some more words up to the last"
#: direction, level as a part of the last price, repeat, note
EACH = (
    ("above", "1.6", "every", ""),
    ("below", "0.5", "once", NOTE),
    ("above", "1.1", "once", "Sell half."),
    ("below", "0.9", "every", ""),
    ("above", "2", "once", ""),
)


def alerts_each(user: Any, stock: Instrument, now: datetime) -> list[int]:
    """Two wait, one has fired, one waits for the way back, one is off; their ids."""
    last = price_of(stock)
    known = quote_store.quote_get(stock.symbol)
    if known is None:
        known = quote(stock.symbol, f"{last - stock.price_tick:f}", f"{last:f}", now=now)
        quote_store.quotes_put([known])
    made = [
        alert_create(
            user=user,
            symbol=stock.symbol,
            direction=direction,
            price=floor_to(last * D(part), stock.price_tick),
            repeat=repeat,
            note=note,
            now=now,
        )
        for direction, part, repeat, note in EACH
    ]
    for alert, part in ((made[2], "1.11"), (made[3], "0.89")):
        price = floor_to(last * D(part), stock.price_tick)
        past = replace(known, last=price, as_of=alert.seen_at + timedelta(seconds=1))
        alert_fire(alert_id=alert.pk, quote=past, now=now - timedelta(minutes=3))
    alert_switch_off(user=user, alert_id=made[4].pk)
    return [alert.pk for alert in made]


def alert_long(user: Any, instrument: Instrument, now: datetime) -> None:
    """One with a note of the longest words, on whatever price the instrument has."""
    alert_create(
        user=user,
        symbol=instrument.symbol,
        direction="above",
        price=floor_to(price_of(instrument) * 2, instrument.price_tick),
        repeat="every",
        note=LONG_NOTE,
        now=now,
    )


def alerts_many(user: Any, instruments: Sequence[Instrument], now: datetime) -> None:
    """As many as there may be, one a symbol."""
    Alert.objects.bulk_create(
        Alert(
            user=user,
            instrument=instrument,
            direction="above",
            price=price_of(instrument) * 3,
            repeat="once",
            seen_at=now,
            created_at=now,
        )
        for instrument in instruments[: settings.ALERTS_LIMIT]
    )
