"""A person's alerts. Who sets one locks the user, so that the limit holds; the feed fires them."""

import unicodedata
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from marketdata.alert_selectors import alert_get
from marketdata.alert_signal import alerts_changed
from marketdata.alert_words import wrong_side_text
from marketdata.domain.alerts import AlertDirection, AlertRepeat, AlertState, is_back
from marketdata.domain.quotes import MAX_PRICE, Quote
from marketdata.models import Alert, Instrument
from marketdata.models.alerts import NOTE_MAX
from marketdata.selectors import instrument_get, quote_of
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.formats import price_text
from speedtrade.lib.money import on_grid


@transaction.atomic
def alert_create(
    *,
    user: Any,
    symbol: str,
    direction: str,
    price: Decimal,
    repeat: str = AlertRepeat.ONCE,
    note: str = "",
    now: datetime,
) -> Alert:
    """Set an alert on a symbol in any spelling.

    Raises UnknownSymbol, InvalidInput (the field that is wrong), Conflict (too many alerts) and
    Unavailable while there is no price to compare with.
    """
    instrument = instrument_get(symbol)
    if direction not in list(AlertDirection):
        raise InvalidInput.field("direction", f"Choose one of {', '.join(AlertDirection)}.")
    if repeat not in list(AlertRepeat):
        raise InvalidInput.field("repeat", f"Choose one of {', '.join(AlertRepeat)}.")
    words = _note(note)
    _check_level(instrument, price)
    quote = quote_of(instrument)
    _check_side(instrument, direction, price, quote)
    get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)
    mine = Alert.objects.filter(user=user)
    if mine.filter(instrument=instrument, direction=direction, price=price).exists():
        raise InvalidInput.field("price", "You have this alert already.", "taken")
    if mine.count() >= settings.ALERTS_LIMIT:
        raise Conflict(f"You can keep {settings.ALERTS_LIMIT} alerts. Delete one first.")
    alert = Alert.objects.create(
        user=user,
        instrument=instrument,
        direction=direction,
        price=price,
        repeat=repeat,
        note=words,
        seen_at=quote.as_of,
        created_at=now,
    )
    alerts_changed()
    return alert


@transaction.atomic
def alert_delete(*, user: Any, alert_id: int) -> Alert:
    """Delete an alert; what it said stays in the log. Raises NotFound."""
    alert = _locked(user, alert_id)
    # By its key: `delete` of the instance would take its key away.
    Alert.objects.filter(pk=alert.pk).delete()
    alerts_changed()
    return alert


@transaction.atomic
def alert_rearm(*, user: Any, alert_id: int) -> Alert:
    """Let an alert that fired or was switched off wait again; one that waits stays as it is.

    Raises NotFound, InvalidInput where the price is beyond its level, Unavailable without a price.
    """
    alert = _locked(user, alert_id)
    if alert.state == AlertState.WAITING:
        return alert
    quote = quote_of(alert.instrument)
    _check_side(alert.instrument, alert.direction, alert.price, quote)
    alert.state = AlertState.WAITING.value
    # Never back in time: an old quote that comes late must not fire it again.
    alert.seen_at = max(alert.seen_at, quote.as_of)
    alert.save(update_fields=["state", "seen_at"])
    alerts_changed()
    return alert


@transaction.atomic
def alert_switch_off(*, user: Any, alert_id: int) -> Alert:
    """Keep an alert without waiting for its price. Raises NotFound."""
    alert = _locked(user, alert_id)
    if alert.state != AlertState.OFF:
        alert.state = AlertState.OFF.value
        alert.save(update_fields=["state"])
        alerts_changed()
    return alert


@transaction.atomic
def alerts_switch_off(*, user: Any) -> int:
    """Switch off all that a user has, for one who goes; how many."""
    count = (
        Alert.objects.filter(user=user).exclude(state=AlertState.OFF).update(state=AlertState.OFF)
    )
    alerts_changed()
    return count


def _locked(user: Any, alert_id: int) -> Alert:
    """The user's alert, locked until the end of the transaction; NotFound for anybody else's."""
    rows = Alert.objects.select_related("instrument").select_for_update(of=("self",), no_key=True)
    return alert_get(user, alert_id, rows)


def _check_level(instrument: Instrument, price: Decimal) -> None:
    if not 0 < price < MAX_PRICE:
        raise InvalidInput.field("price", "Write a price above zero.")
    if not on_grid(price, instrument.price_tick):
        tick = price_text(instrument.price_tick, instrument.price_tick)
        raise InvalidInput.field("price", f"{instrument.symbol} moves in steps of {tick}.")


def _check_side(instrument: Instrument, direction: str, price: Decimal, quote: Quote) -> None:
    """The price must have a way to go, or the alert would say what everybody sees already."""
    if not is_back(direction, price, quote.last):
        raise InvalidInput.field(
            "price", wrong_side_text(instrument, direction, quote.last), "wrong_side"
        )


def _note(text: str) -> str:
    written = " ".join(text.split())
    if len(written) > NOTE_MAX:
        raise InvalidInput.field("note", f"Write at most {NOTE_MAX} characters.")
    if any(unicodedata.category(letter) == "Cc" for letter in written):
        raise InvalidInput.field("note", "The note has a character that cannot be shown.")
    return written
