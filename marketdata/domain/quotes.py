"""A quote: what a symbol costs now. Its shape, its gate and its form on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple

# A quote may run ahead of our clock by this much; more is a broken clock or a lie.
MAX_CLOCK_SKEW: Final = timedelta(seconds=2)
# No honest quote moves by more than this factor from one to the next.
MAX_JUMP: Final = 10
# What the database columns can carry: NUMERIC(20,10) and NUMERIC(28,10).
MIN_PRICE: Final = Decimal(10) ** -10
MAX_PRICE: Final = Decimal(10) ** 10
MAX_SIZE: Final = Decimal(10) ** 18
MAX_LEVELS: Final = 50
MAX_SEQ: Final = 2**63 - 1
MAX_NAME_LENGTH: Final = 32

_PERCENT_STEP: Final = Decimal("0.0001")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,10})?")
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z"
)
_PRICES: Final = ("bid", "ask", "last", "prev_close", "open", "day_high", "day_low")
_SIZES: Final = ("bid_size", "ask_size", "volume")


@dataclass(frozen=True, slots=True)
class Level:
    """One price of the order book and the size on show at it."""

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of one symbol at `as_of` (UTC): prices in quote currency, sizes in units.

    `bids` run from the best price down, `asks` from the best price up; both may be empty.
    `seq` grows with each quote of one symbol from one source. `volume`, `open`, `day_high` and
    `day_low` belong to the session of `as_of`; `prev_close` to the session before it. The derived
    values hold for a quote that passed `check_quote`.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    last: Decimal
    prev_close: Decimal
    open: Decimal
    day_high: Decimal
    day_low: Decimal
    volume: Decimal
    as_of: datetime
    seq: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    source: str

    @property
    def change(self) -> Decimal:
        """How far the last price is from the previous close."""
        return self.last - self.prev_close

    @property
    def change_pct(self) -> Decimal:
        """The change in per cent of the previous close, four decimals, halves to even."""
        change = (self.last - self.prev_close) * 100 / self.prev_close
        return change.quantize(_PERCENT_STEP, ROUND_HALF_EVEN)

    @property
    def mid(self) -> Decimal:
        """The middle between bid and ask, exact."""
        return (self.bid + self.ask) / 2

    def age(self, now: datetime) -> timedelta:
        """How old the quote is; negative when its clock runs ahead of ours."""
        return now - self.as_of

    def is_stale(self, now: datetime, limit: timedelta) -> bool:
        """Say whether the quote is older than `limit`."""
        return now - self.as_of > limit


class LastPrice(NamedTuple):
    """What the worth of a position needs of a quote."""

    last: Decimal
    prev_close: Decimal
    as_of: datetime


def check_quote(new: Quote, previous: Quote | None, now: datetime) -> str | None:
    """Return why `new` must not pass, or None when it may.

    Codes: NOT_FINITE, NOT_POSITIVE, NEGATIVE_SIZE, OUT_OF_RANGE, CROSSED, BAD_LEVELS, BAD_TIME,
    FROM_FUTURE, WRONG_SYMBOL, OLDER, JUMP. `previous` is the last quote that passed, if any.
    Never raises on a quote whose fields have the declared types.
    """
    prices = [getattr(new, name) for name in _PRICES]
    sizes = [getattr(new, name) for name in _SIZES]
    for level in (*new.bids, *new.asks):
        prices.append(level.price)
        sizes.append(level.size)
    return (
        _check_numbers(prices, sizes)
        or _check_sides(new)
        or _check_time(new, now)
        or (_check_succession(new, previous) if previous is not None else None)
    )


def quote_to_wire(quote: Quote, *, depth: bool = True) -> dict[str, Any]:
    """Return the JSON form: numbers as plain strings, `as_of` as RFC 3339 with milliseconds.

    `change` and `change_pct` go along for readers that only show them. With `depth`, `bids` and
    `asks` are lists of [price, size]; without, both keys are absent.
    """
    wire: dict[str, Any] = {
        "symbol": quote.symbol,
        "bid": format(quote.bid, "f"),
        "ask": format(quote.ask, "f"),
        "bid_size": format(quote.bid_size, "f"),
        "ask_size": format(quote.ask_size, "f"),
        "last": format(quote.last, "f"),
        "prev_close": format(quote.prev_close, "f"),
        "change": format(quote.change, "f"),
        "change_pct": format(quote.change_pct, "f"),
        "open": format(quote.open, "f"),
        "day_high": format(quote.day_high, "f"),
        "day_low": format(quote.day_low, "f"),
        "volume": format(quote.volume, "f"),
        "as_of": moment_to_wire(quote.as_of),
        "seq": quote.seq,
        "source": quote.source,
    }
    if depth:
        wire["bids"] = _levels_to_wire(quote.bids)
        wire["asks"] = _levels_to_wire(quote.asks)
    return wire


def quote_from_wire(wire: object) -> Quote:
    """Parse what `quote_to_wire` wrote; strict, as a stranger may have written it.

    Raises ValueError, and nothing else, for anything that is missing, of the wrong type, not a
    plain decimal number or out of range. Keys that are not part of a quote are ignored. A parsed
    quote is well formed, not yet believable: that is for `check_quote`.
    """
    if not isinstance(wire, Mapping):
        raise ValueError("a quote must be an object")
    numbers = {name: _number(wire, name) for name in (*_PRICES, *_SIZES)}
    return Quote(
        symbol=_name(wire, "symbol"),
        as_of=moment_from_wire(wire.get("as_of")),
        seq=_sequence(wire),
        bids=_levels(wire, "bids"),
        asks=_levels(wire, "asks"),
        source=_name(wire, "source"),
        **numbers,
    )


def last_price_from_wire(wire: object) -> LastPrice:
    """These three of a quote, as strictly as `quote_from_wire` and for a quarter of its time."""
    if not isinstance(wire, Mapping):
        raise ValueError("a quote must be an object")
    return LastPrice(
        _number(wire, "last"), _number(wire, "prev_close"), moment_from_wire(wire.get("as_of"))
    )


def moment_to_wire(moment: datetime) -> str:
    """Return an aware moment as RFC 3339 in UTC, cut to milliseconds: 2026-01-05T14:30:00.250Z."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def moment_from_wire(value: object) -> datetime:
    """Parse an RFC 3339 moment in UTC; ValueError for anything else."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("as_of must be an RFC 3339 time in UTC")
    return datetime.fromisoformat(value)


def _check_numbers(prices: list[Decimal], sizes: list[Decimal]) -> str | None:
    # Finite first: comparing a signalling NaN raises.
    if not all(number.is_finite() for number in (*prices, *sizes)):
        return "NOT_FINITE"
    if not all(price > 0 for price in prices):
        return "NOT_POSITIVE"
    if not all(size >= 0 for size in sizes):
        return "NEGATIVE_SIZE"
    if min(prices) < MIN_PRICE or max(prices) >= MAX_PRICE or max(sizes) >= MAX_SIZE:
        return "OUT_OF_RANGE"
    return None


def _check_sides(new: Quote) -> str | None:
    if new.bid > new.ask:
        return "CROSSED"
    bids = [level.price for level in new.bids]
    asks = [level.price for level in new.asks]
    falling = all(left > right for left, right in pairwise(bids))
    rising = all(left < right for left, right in pairwise(asks))
    best = (not bids or bids[0] == new.bid) and (not asks or asks[0] == new.ask)
    return None if falling and rising and best else "BAD_LEVELS"


def _check_time(new: Quote, now: datetime) -> str | None:
    if new.as_of.tzinfo is None:
        return "BAD_TIME"
    return "FROM_FUTURE" if new.as_of - now > MAX_CLOCK_SKEW else None


def _check_succession(new: Quote, previous: Quote) -> str | None:
    if new.symbol != previous.symbol:
        return "WRONG_SYMBOL"
    if new.as_of < previous.as_of:
        return "OLDER"
    if new.last > previous.last * MAX_JUMP or new.last * MAX_JUMP < previous.last:
        return "JUMP"
    return None


def _levels_to_wire(levels: Iterable[Level]) -> list[list[str]]:
    return [[format(level.price, "f"), format(level.size, "f")] for level in levels]


def _decimal(value: object, name: str) -> Decimal:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise ValueError(f"{name} must be a plain decimal number in a string")
    return Decimal(value)


def _number(wire: Mapping[Any, Any], name: str) -> Decimal:
    return _decimal(wire.get(name), name)


def _name(wire: Mapping[Any, Any], name: str) -> str:
    value = wire.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_LENGTH:
        raise ValueError(f"{name} must be a string of 1 to {MAX_NAME_LENGTH} characters")
    return value


def _sequence(wire: Mapping[Any, Any]) -> int:
    value = wire.get("seq")
    # bool is an int to Python, never to us.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SEQ:
        raise ValueError("seq must be a whole number from 0 up")
    return value


def _levels(wire: Mapping[Any, Any], name: str) -> tuple[Level, ...]:
    rows = wire.get(name, [])
    if not isinstance(rows, list) or len(rows) > MAX_LEVELS:
        raise ValueError(f"{name} must be a list of at most {MAX_LEVELS} levels")
    levels = []
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != 2:
            raise ValueError(f"a level of {name} must be [price, size]")
        levels.append(Level(_decimal(row[0], name), _decimal(row[1], name)))
    return tuple(levels)
