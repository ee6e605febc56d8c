"""ccxt's unified words for tickers, books, candles and markets, read into ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from marketdata.domain.bars import Bar
from marketdata.domain.quotes import Level
from marketdata.feeds.base import Listing
from marketdata.feeds.newest import Day, Newest
from marketdata.feeds.numbers import (
    exact_step,
    moment_of,
    moment_of_millis,
    number_of,
    price_of,
    size_of,
)

#: A currency of a state is no coin, whatever an exchange trades it for.
STATE_MONEY: Final = frozenset({"AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "USD"})
#: ccxt's mode in which a precision is the step itself.
TICK_SIZE: Final = 4
_BASE: Final = re.compile(r"[A-Z0-9]{1,12}")


def take_ticker(newest: Newest, exchange: str, raw: Any, at: datetime) -> None:
    """Put a ticker in. `at` is when it was asked for: what it says was true then or later."""
    if not isinstance(raw, dict) or not isinstance(raw.get("symbol"), str):
        return
    prices = (price_of(raw.get("last")), _side(raw, "bid"), _side(raw, "ask"))
    if prices == (None, None, None):
        return  # no ticker at all, whatever it is
    day = _DAYS.get(exchange, _rolling_day)(raw)
    if day is not None:
        newest.day(raw["symbol"], day)
    _take_prices(newest, raw["symbol"], prices, at)


def take_live(newest: Newest, raw: Any, at: datetime) -> None:
    """Put a streamed ticker in, as it came at `at`; the day is left to polls, which know all."""
    if not isinstance(raw, dict) or not isinstance(raw.get("symbol"), str):
        return
    prices = (price_of(raw.get("last")), _side(raw, "bid"), _side(raw, "ask"))
    if prices[1] is not None or prices[2] is not None:
        _take_prices(newest, raw["symbol"], prices, at)


def _take_prices(
    newest: Newest,
    symbol: str,
    prices: tuple[Decimal | None, Level | None, Level | None],
    at: datetime,
) -> None:
    last, bid, ask = prices
    if last is not None:
        newest.trade(symbol, last, Decimal(0), at, at)
    newest.sides(symbol, bid, ask, at, at)


def stamp_of(raw: Any) -> datetime | None:
    """When a streamed ticker was true, where ccxt or the venue says so."""
    if not isinstance(raw, dict):
        return None
    info = _inner(raw, "info")
    return moment_of_millis(raw.get("timestamp")) or moment_of(info.get("timestamp"))


def take_book(newest: Newest, symbol: str, raw: Any, at: datetime, levels: int) -> None:
    """Put the best levels of a book in; one with a level that is none is left out whole."""
    if not isinstance(raw, dict):
        return
    sides = [_levels(raw.get(side), levels) for side in ("bids", "asks")]
    if sides[0] is not None and sides[1] is not None:
        newest.book(symbol, sides[0], sides[1], at, at)


def bars_of(rows: Iterable[Any]) -> list[Bar]:
    """The candles that make sense, each once, oldest first."""
    read: dict[datetime, Bar] = {}
    for row in rows:
        bar = _bar(row)
        if bar is not None:
            read[bar.t] = bar
    return [read[t] for t in sorted(read)]


def listing_of(raw: Any, exchange: str, currency: str, mode: int, name: str) -> Listing | None:
    """The instrument in a market; None for what is not traded now or is no coin for `currency`."""
    if not isinstance(raw, dict) or raw.get("spot") is not True or raw.get("active") is False:
        return None
    base, quote = raw.get("base"), raw.get("quote")
    if quote != currency or not isinstance(base, str) or base in STATE_MONEY:
        return None
    if not _BASE.fullmatch(base) or raw.get("symbol") != f"{base}/{quote}":
        return None
    precision, limits = _inner(raw, "precision"), _inner(raw, "limits")
    tick, step = _step(precision.get("price"), mode), _step(precision.get("amount"), mode)
    if tick is None or step is None:
        return None
    exact = exact_step(step, tick)
    return Listing(
        symbol=f"{base}/{quote}",
        name="" if name in ("", base) else name,
        asset_type="crypto",
        exchange=exchange[:20],
        price_tick=tick,
        qty_step=exact,
        min_qty=max(exact, size_of(_inner(limits, "amount").get("min"))),
        min_notional=size_of(_inner(limits, "cost").get("min")),
        fractionable=True,
        shortable=False,
    )


def _side(raw: Mapping[str, Any], side: str) -> Level | None:
    price = price_of(raw.get(side))
    return None if price is None else Level(price, size_of(raw.get(f"{side}Volume")))


def _levels(rows: Any, count: int) -> list[Level] | None:
    if not isinstance(rows, list):
        return None
    levels = []
    for row in rows[:count]:
        if not isinstance(row, list | tuple) or len(row) < 2 or price_of(row[0]) is None:
            return None
        levels.append(Level(price_of(row[0]) or Decimal(0), size_of(row[1])))
    return levels


def _rolling_day(raw: Mapping[str, Any]) -> Day | None:
    """Most exchanges sum up the last 24 hours and know no day."""
    opened = price_of(raw.get("open"))
    close = price_of(raw.get("previousClose")) or opened or price_of(raw.get("last"))
    if close is None:
        return None
    high, low = price_of(raw.get("high")), price_of(raw.get("low"))
    return Day(close, opened, high, low, size_of(raw.get("baseVolume")))


def _kraken_day(raw: Mapping[str, Any]) -> Day | None:
    """Kraken sums up the UTC day as well, as ours do; its open is where the day before ended."""
    info = _inner(raw, "info")
    opened = price_of(info.get("o"))
    if opened is None:
        return None
    high, low, volume = (_first(info.get(name)) for name in "hlv")
    return Day(opened, opened, price_of(high), price_of(low), size_of(volume))


_DAYS: Final[Mapping[str, Callable[[Mapping[str, Any]], Day | None]]] = {"kraken": _kraken_day}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _inner(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _step(value: Any, mode: int) -> Decimal | None:
    """The smallest step behind a precision of ccxt: the step itself, or a number of places."""
    number = number_of(value)
    if number is None:
        return None
    step = number if mode == TICK_SIZE else Decimal(10) ** -number
    # Finer than the columns carry: not for us.
    return step if step >= Decimal(10) ** -10 else None


def _bar(row: Any) -> Bar | None:
    if not isinstance(row, list | tuple) or len(row) < 6:
        return None
    at = moment_of_millis(row[0])
    o, h, low, c = (price_of(value) for value in row[1:5])
    if at is None or o is None or h is None or low is None or c is None:
        return None
    return Bar(at, o, max(o, h, low, c), min(o, h, low, c), c, size_of(row[5]))
