"""Bars: what a price did in a span of time, and how small bars make large ones.

Alignment: the bars of a session start at its open and follow each other without a gap. A market
that never closes has the UTC day as its session, so its bars sit on round UTC times; an exchange
that opens at 9:30 has hour bars at 9:30, 10:30 … and a shorter one at the end of the day.
The daily bar starts at the session's open, whatever the session's length.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

# Name of a timeframe -> its length in seconds.
TIMEFRAMES: Final[dict[str, int]] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1D": 86400}


class Bar(NamedTuple):  # and no dataclass: a chart has hundreds, and each costs eight times as much
    """One bar: start (UTC), open, high, low, close in quote currency, volume in units."""

    t: datetime
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the field's name in every bar on the wire
    c: Decimal
    v: Decimal


def bar_to_wire(bar: Bar) -> str:
    """The bar as JSON; `t` is when it begins, numbers are exact strings."""
    t, o, h, low, c, v = bar
    begins = t.astimezone(UTC).isoformat()[:19]
    return f'{{"t":"{begins}Z","o":"{o:f}","h":"{h:f}","l":"{low:f}","c":"{c:f}","v":"{v:f}"}}'


def bar_start(t: datetime, timeframe: str, session_open: datetime) -> datetime:
    """Return the start of the `timeframe` bar that holds `t`, counted from the session's open.

    Raises ValueError for an unknown timeframe.
    """
    step = timedelta(seconds=timeframe_seconds(timeframe))
    return session_open + (t - session_open) // step * step


def timeframe_seconds(timeframe: str) -> int:
    """Return the length of a timeframe; ValueError for a name that is not in TIMEFRAMES."""
    seconds = TIMEFRAMES.get(timeframe)
    if seconds is None:
        raise ValueError(f"unknown timeframe {timeframe!r}")
    return seconds


def aggregate(bars_1m: Iterable[Bar], timeframe: str, session_open: datetime) -> list[Bar]:
    """Fold minute bars, oldest first, into bars of `timeframe`.

    The bars must belong to the session that opened at `session_open`, or, where sessions are
    UTC days that touch, to any run of days. Minutes without a bar leave no hole. Raises
    ValueError for an unknown timeframe or bars out of order.
    """
    timeframe_seconds(timeframe)
    result: list[Bar] = []
    previous: datetime | None = None
    for bar in bars_1m:
        if previous is not None and bar.t <= previous:
            raise ValueError("minute bars must be oldest first, one a minute")
        previous = bar.t
        start = bar_start(bar.t, timeframe, session_open)
        if result and result[-1].t == start:
            result[-1] = _join(result[-1], bar)
        else:
            result.append(Bar(start, bar.o, bar.h, bar.l, bar.c, bar.v))
    return result


def fold(bar: Bar | None, price: Decimal, volume_delta: Decimal, t: datetime) -> Bar:
    """Return `bar` after one more trade; without a bar, a new one that starts at `t`."""
    if bar is None:
        return Bar(t, price, price, price, price, volume_delta)
    return Bar(bar.t, bar.o, max(bar.h, price), min(bar.l, price), price, bar.v + volume_delta)


def _join(left: Bar, right: Bar) -> Bar:
    return Bar(
        left.t, left.o, max(left.h, right.h), min(left.l, right.l), right.c, left.v + right.v
    )
