"""The newest of everything a vendor said about each symbol, and the quote that follows from it.

A vendor's threads write, the publisher reads; one short lock for both. Nothing here waits.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata.domain.quotes import MAX_CLOCK_SKEW, Level, Quote

NOTHING: Final = Decimal(0)
#: Levels behind the best price are shown so long after the book came.
BOOK_STANDS: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Day:
    """What a session brought so far. `open` None: it has not begun.

    `close` is the last price that the vendor counts, of this session or of the one before it.
    """

    prev_close: Decimal
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: Decimal
    close: Decimal | None = None


@dataclass(slots=True)
class _Symbol:
    """The parts of a quote as they come in."""

    sides: tuple[Level | None, Level | None] = (None, None)
    sides_at: datetime | None = None
    last: Decimal | None = None
    last_at: datetime | None = None
    day: Day | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    book_at: datetime | None = None
    confirmed_at: datetime | None = None
    asked: bool = False
    seq: int = 0
    made: Quote | None = None  # of the parts as they are; None after a change


class Newest:
    """Symbol -> its newest parts. What is older than what is there already changes nothing.

    What claims to be from the future changes nothing either: it would shut out all that follows.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._symbols: dict[str, _Symbol] = {}

    def sides(
        self, symbol: str, bid: Level | None, ask: Level | None, at: datetime, now: datetime
    ) -> None:
        """The best of both sides; None for a side that nobody offers."""
        with self._lock:
            row = self._row(symbol)
            if _newer(at, row.sides_at, now):
                row.sides, row.sides_at, row.made = (bid, ask), at, None

    def trade(
        self, symbol: str, price: Decimal, size: Decimal, at: datetime, now: datetime
    ) -> None:
        """Somebody traded: the last price, and what it does to the day."""
        with self._lock:
            row = self._row(symbol)
            if not _newer(at, row.last_at, now):
                return
            row.last, row.last_at, row.made = price, at, None
            if row.day is not None and row.day.open is not None:
                row.day = replace(
                    row.day,
                    high=max(row.day.high or price, price),
                    low=min(row.day.low or price, price),
                    volume=row.day.volume + size,
                )

    def day(self, symbol: str, day: Day) -> None:
        """The session as the vendor sums it up; replaces what trades added since the last one."""
        with self._lock:
            row = self._row(symbol)
            row.day, row.made = day, None

    def book(
        self, symbol: str, bids: Sequence[Level], asks: Sequence[Level], at: datetime, now: datetime
    ) -> None:
        """Levels of the book, best first: both sides, and what stands behind them."""
        with self._lock:
            row = self._row(symbol)
            if not _newer(at, row.book_at, now):
                return
            row.bids, row.asks, row.book_at, row.made = tuple(bids), tuple(asks), at, None
            if bids and asks and _newer(at, row.sides_at, now):
                row.sides, row.sides_at = (bids[0], asks[0]), at

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """The quotes of these symbols, as far as enough is known of them."""
        with self._lock:
            made = [self._quote(symbol) for symbol in symbols]
        return [quote for quote in made if quote is not None]

    def confirm(self, symbols: Sequence[str], at: datetime, within: timedelta) -> None:
        """The vendor lives at `at` and said nothing newer: what it said stands, if recent."""
        with self._lock:
            for symbol in symbols:
                row = self._symbols.get(symbol)
                if row is None or row.sides_at is None or None in row.sides:
                    continue
                if row.sides_at < at <= row.sides_at + within and (
                    row.confirmed_at is None or row.confirmed_at < at
                ):
                    row.confirmed_at, row.made = at, None

    def has_day(self, symbol: str) -> bool:
        """Whether the vendor was asked for its day, and answered something."""
        with self._lock:
            row = self._symbols.get(symbol)
            return row is not None and (row.day is not None or row.asked)

    def asked(self, symbols: Sequence[str]) -> None:
        """The vendor was asked for the days of these, whatever it knows."""
        with self._lock:
            for symbol in symbols:
                self._row(symbol).asked = True

    def _row(self, symbol: str) -> _Symbol:
        return self._symbols.setdefault(symbol, _Symbol())

    def _quote(self, symbol: str) -> Quote | None:
        row = self._symbols.get(symbol)
        if row is None:
            return None
        if row.made is None:
            row.made = self._made(symbol, row)
        return row.made

    def _made(self, symbol: str, row: _Symbol) -> Quote | None:
        """The quote of a row; None without a price, or without a time."""
        bid, ask = row.sides
        if row.day is None:
            return None
        last = row.last or row.day.close
        if last is None and bid is not None and ask is not None:
            last = bid.price  # nothing traded yet: what somebody pays for certain
        if last is None:
            return None
        moments = [row.last_at]
        if bid is not None and ask is not None:
            moments += [row.sides_at, row.confirmed_at]
        else:
            # One side is empty, as at night. The last price with no size says so: nothing fills.
            bid = ask = Level(last, NOTHING)
        as_of = max((at for at in moments if at is not None), default=None)
        if as_of is None:
            return None
        row.seq = max(row.seq + 1, int(as_of.timestamp() * 1000))
        day = row.day
        return Quote(
            symbol=symbol,
            bid=bid.price,
            ask=ask.price,
            bid_size=bid.size,
            ask_size=ask.size,
            last=last,
            prev_close=day.prev_close,
            open=day.open or day.prev_close,
            day_high=max(day.high or last, last),
            day_low=min(day.low or last, last),
            volume=day.volume,
            as_of=as_of,
            seq=row.seq,
            bids=_levels(row, row.bids, bid, as_of),
            asks=_levels(row, row.asks, ask, as_of),
            source=self._source,
        )


def _levels(
    row: _Symbol, levels: tuple[Level, ...], best: Level, as_of: datetime
) -> tuple[Level, ...]:
    """The best price, and behind it what the last book has there, while that is recent."""
    if not best.size:
        return ()
    if row.book_at is None or as_of - row.book_at > BOOK_STANDS:
        return (best,)
    falling = levels is row.bids
    behind = (level for level in levels if (level.price < best.price) == falling)
    return (best, *(level for level in behind if level.price != best.price))


def _newer(at: datetime, than: datetime | None, now: datetime) -> bool:
    return at - now <= MAX_CLOCK_SKEW and (than is None or at >= than)
