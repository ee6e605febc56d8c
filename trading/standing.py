"""Whether orders are taken, as an open page keeps asking: it is told that something has changed,
never what, and fetches what holds now."""

import math
from datetime import datetime
from typing import Any

from accounts.models import BrokerageAccount
from marketdata.hours import market_hours
from marketdata.models import AssetType, Instrument
from marketdata.selectors import market_clock
from trading.desks import desk_of, shut_words
from trading.models import TradingHalt
from trading.selectors.facts import blind_words, halt_open, switches_now

TAKEN = "Orders are taken."
OPENED = "The market has opened."
CLOSED = "The market has closed: an order waits until it opens."
_OPEN, _SHUT = "open", "shut"


def standing_of(
    halt: TradingHalt | None,
    account: BrokerageAccount | None,
    instrument: Instrument | None,
    now: datetime,
) -> str:
    """A mark of what decides it: the kill switch, the account, the symbol of the page, if any,
    and whether its market trades; without a symbol that is the one of stocks."""
    trades = market_hours().is_open(_kind(instrument), now)
    parts = [str(halt.pk) if halt else "", "", "", _OPEN if trades else _SHUT]
    if account is not None:
        parts[1] = account.status + ("-stopped" if account.stopped_at else "")
        parts[1] += "-blind" if blind_words(account, now) else ""
    if instrument is not None and instrument.halted_at is not None:
        parts[2] = str(instrument.halted_at.timestamp())
    return "~".join(parts)


def market_turns_in(instrument: Instrument | None, now: datetime) -> int | None:
    """Seconds until the market of the page opens or closes, up; None where it never does."""
    hours, kind = market_hours(), _kind(instrument)
    trades = hours.is_open(kind, now)
    turn = hours.next_close(kind, now) if trades else hours.next_open(kind, now)
    if hours.is_open(kind, turn) == trades:
        return None
    return math.ceil((turn - now).total_seconds())


def _kind(instrument: Instrument | None) -> str:
    return instrument.asset_type if instrument is not None else AssetType.STOCK


def _turned(mark: str, seen: str) -> str:
    """The market's turn in words, where that is all that is new since what was `seen`."""
    (before, _, was), (rest, _, trades) = seen.rpartition("~"), mark.rpartition("~")
    if before != rest or was == trades:
        return ""
    return OPENED if trades == _OPEN else CLOSED


def standing_context(
    account: BrokerageAccount,
    instrument: Instrument | None,
    *,
    seen: str,
    places: list[str],
    now: datetime,
) -> dict[str, Any] | None:
    """What the `places` (ids) of a page show of it, and `words` for those who cannot see them.

    None where nothing is new since what was `seen`.
    """
    halt = halt_open()
    mark = standing_of(halt, account, instrument, now)
    if mark == seen:
        return None
    desk = desk_of(account=account, instrument=instrument, now=now) if instrument else None
    halted = halt.reason if halt else ""
    words = desk.blocked if desk else shut_words(switches_now(account, now, halted=halted))
    return {
        "trading_halt": halt,
        "shown": account,
        "desk": desk,
        "stocks": market_clock(now)[AssetType.STOCK],
        "places": places,
        "words": words or _turned(mark, seen) or TAKEN,
    }
