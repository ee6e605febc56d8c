"""Alerts in words: the same on pages, in the API and in what a browser says."""

from decimal import Decimal
from typing import Final

from marketdata.domain.alerts import AlertDirection, AlertRepeat, AlertState
from marketdata.models import Alert, Instrument
from speedtrade.lib.formats import price_text

DIRECTION_WORDS: Final = {AlertDirection.ABOVE: "rises above", AlertDirection.BELOW: "falls below"}
FIRED_WORDS: Final = {AlertDirection.ABOVE: "rose above", AlertDirection.BELOW: "fell below"}
REPEAT_WORDS: Final = {AlertRepeat.ONCE: "once", AlertRepeat.EVERY: "every time"}


def alert_text(alert: Alert) -> str:
    """'AAPL rises above $190.00', or once it has fired, what it says."""
    if alert.state == AlertState.FIRED and alert.fired_price is not None:
        return fired_text(
            alert.instrument, alert.direction, alert.price, alert.fired_price, alert.note
        )
    return condition_text(alert.instrument, alert.direction, alert.price)


def condition_text(instrument: Instrument, direction: str, level: Decimal) -> str:
    """'AAPL rises above $190.00'."""
    words = DIRECTION_WORDS[AlertDirection(direction)]
    return f"{_name(instrument)} {words} {price_text(level, instrument.price_tick)}"


def fired_text(
    instrument: Instrument, direction: str, level: Decimal, price: Decimal, note: str = ""
) -> str:
    """'AAPL rose above $190.00, now $190.12', and the note of its owner."""
    tick = instrument.price_tick
    text = (
        f"{_name(instrument)} {FIRED_WORDS[AlertDirection(direction)]} "
        f"{price_text(level, tick)}, now {price_text(price, tick)}"
    )
    return f"{text}. {note}" if note else text


def wrong_side_text(instrument: Instrument, direction: str, last: Decimal) -> str:
    """'AAPL is at $231.00 already; “rises above” needs a higher price.'"""
    which = "a higher" if direction == AlertDirection.ABOVE else "a lower"
    words = DIRECTION_WORDS[AlertDirection(direction)]
    at = price_text(last, instrument.price_tick)
    return f"{instrument.symbol} is at {at} already; “{words}” needs {which} price."


def _name(instrument: Instrument) -> str:
    """BTC for BTC/USD, as people say it."""
    return instrument.symbol.split("/")[0]
