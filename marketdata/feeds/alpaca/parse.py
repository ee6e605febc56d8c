"""Alpaca's words for quotes, trades, bars and assets, read into ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from marketdata.domain.bars import Bar, aggregate
from marketdata.domain.calendar import NEW_YORK, MarketHours, Session, session_on
from marketdata.domain.quotes import Level
from marketdata.feeds.base import Listing
from marketdata.feeds.newest import Day, Newest
from marketdata.feeds.numbers import exact_step, moment_of, price_of, size_of

HOURS: Final = MarketHours("nyse")
TICK: Final = Decimal("0.01")
FRACTION: Final = Decimal("0.000000001")  # of a share that is fractionable
FRACTION_LEAST: Final = Decimal(1)  # dollars of such an order
#: Conditions of trades that say nothing about the price now: late, averaged, priced elsewhere.
OFF_MARKET: Final = frozenset("BCHMNPQRVWZ479")
_SYMBOL: Final = re.compile(r"[A-Z]{1,6}(\.[A-Z]{1,3})?")


def take_quote(newest: Newest, symbol: str, raw: Any, now: datetime) -> bool:
    """Put a quote of the stream or of a snapshot in; whether it was one."""
    at = moment_of(raw.get("t")) if isinstance(raw, dict) else None
    if at is None:
        return False
    newest.sides(symbol, _side(raw, "bp", "bs"), _side(raw, "ap", "as"), at, now)
    return True


def take_trade(
    newest: Newest, symbol: str, raw: Any, now: datetime, *, counted: bool = False
) -> bool:
    """Put a trade in; whether it was one that makes a price. `counted`: the day has its size."""
    if not isinstance(raw, dict):
        return False
    at, price = moment_of(raw.get("t")), price_of(raw.get("p"))
    if at is None or price is None or OFF_MARKET.intersection(_words(raw.get("c"))):
        return False
    adds = not counted and HOURS.is_open("stock", at)
    newest.trade(symbol, price, size_of(raw.get("s")) if adds else Decimal(0), at, now)
    return True


def take_snapshot(newest: Newest, symbol: str, raw: Any, now: datetime) -> None:
    """Put in what a snapshot has; parts that make no sense are left out."""
    if not isinstance(raw, dict):
        return
    day = _day(raw.get("dailyBar"), raw.get("prevDailyBar"), now)
    if day is not None:
        newest.day(symbol, day)
    take_trade(newest, symbol, raw.get("latestTrade"), now, counted=True)
    take_quote(newest, symbol, raw.get("latestQuote"), now)


def bars_of(rows: Iterable[Any], timeframe: str) -> list[Bar]:
    """Bars of sessions, oldest first, at the places where ours begin.

    For 1h the rows must be quarters of an hour: Alpaca's hours begin on the hour, a session's at
    its open. Trades before and after the session are no part of ours.
    """
    read: dict[datetime, Bar] = {}
    for row in rows:
        bar = _bar(row)
        session = None if bar is None else session_on(bar.t.astimezone(NEW_YORK).date())
        if bar is None or session is None:
            continue
        if timeframe == "1D":
            read[session.open] = Bar(session.open, bar.o, bar.h, bar.l, bar.c, bar.v)
        elif session.open <= bar.t < session.close:
            read[bar.t] = bar
    bars = [read[t] for t in sorted(read)]
    return _hours(bars) if timeframe == "1h" else bars


def listing_of(raw: Any) -> Listing | None:
    """The instrument in an asset; None for what is not traded, or is no share of a US exchange."""
    if not isinstance(raw, dict):
        return None
    symbol, exchange = raw.get("symbol"), raw.get("exchange")
    wanted = raw.get("class") == "us_equity" and raw.get("status") == "active"
    if not wanted or raw.get("tradable") is not True or exchange == "OTC":
        return None
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        return None
    fractionable = raw.get("fractionable") is True
    step = exact_step(FRACTION, TICK) if fractionable else Decimal(1)
    return Listing(
        symbol=symbol,
        name=str(raw.get("name") or ""),
        asset_type="stock",
        exchange=str(exchange or "")[:20],
        price_tick=TICK,
        qty_step=step,
        min_qty=max(step, size_of(raw.get("min_order_size"))),
        min_notional=FRACTION_LEAST if fractionable else Decimal(0),
        fractionable=fractionable,
        shortable=raw.get("shortable") is True,
    )


def _side(raw: dict[str, Any], price: str, size: str) -> Level | None:
    """One side of a quote; None where nobody offers (Alpaca says 0) or the number is none."""
    value = price_of(raw.get(price))
    return None if value is None else Level(value, size_of(raw.get(size)))


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _day(newest: Any, before: Any, now: datetime) -> Day | None:
    """The day of the session at `now`, or of the last one.

    The newest daily bar is that of an earlier session until a stock trades, be it for days.
    """
    bar, previous = _bar(newest), _bar(before)
    known = bar or previous
    if known is None:
        return None
    session = HOURS.session_for("stock", now)
    if bar is None or bar.t.astimezone(NEW_YORK).date() < session.day:
        return Day(known.c, None, None, None, Decimal(0), known.c)
    return Day(bar.o if previous is None else previous.c, bar.o, bar.h, bar.l, bar.v, bar.c)


def _bar(raw: Any) -> Bar | None:
    """A bar whose numbers agree with each other."""
    if not isinstance(raw, dict):
        return None
    at = moment_of(raw.get("t"))
    o, h, low, c = (price_of(raw.get(name)) for name in "ohlc")
    if at is None or o is None or h is None or low is None or c is None:
        return None
    return Bar(at, o, max(o, h, low, c), min(o, h, low, c), c, size_of(raw.get("v")))


def _hours(quarters: list[Bar]) -> list[Bar]:
    hours: list[Bar] = []
    for session, rows in _by_session(quarters):
        hours.extend(aggregate(rows, "1h", session.open))
    return hours


def _by_session(bars: list[Bar]) -> list[tuple[Session, list[Bar]]]:
    days: dict[Session, list[Bar]] = {}
    for bar in bars:
        session = session_on(bar.t.astimezone(NEW_YORK).date())
        if session is not None:
            days.setdefault(session, []).append(bar)
    return list(days.items())
