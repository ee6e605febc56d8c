"""Whether orders are taken, as an open page keeps asking: it is told that something has changed,
never what, and fetches what holds now."""

from datetime import datetime
from typing import Any

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from trading.desks import desk_of, shut_words
from trading.models import TradingHalt
from trading.selectors.facts import blind_words, halt_open, switches_now

TAKEN = "Orders are taken."


def standing_of(
    halt: TradingHalt | None,
    account: BrokerageAccount | None,
    instrument: Instrument | None,
    now: datetime,
) -> str:
    """A mark of what decides it: the kill switch, the account, the symbol of the page, if any."""
    parts = [str(halt.pk) if halt else "", "", ""]
    if account is not None:
        parts[1] = account.status + ("-stopped" if account.stopped_at else "")
        parts[1] += "-blind" if blind_words(account, now) else ""
    if instrument is not None and instrument.halted_at is not None:
        parts[2] = str(instrument.halted_at.timestamp())
    return "~".join(parts)


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
    if standing_of(halt, account, instrument, now) == seen:
        return None
    desk = desk_of(account=account, instrument=instrument, now=now) if instrument else None
    halted = halt.reason if halt else ""
    words = desk.blocked if desk else shut_words(switches_now(account, now, halted=halted))
    return {
        "trading_halt": halt,
        "shown": account,
        "desk": desk,
        "places": places,
        "words": words or TAKEN,
    }
