"""Lines that are computed from bars, for looking at: floats, rounded to text at the end.

No order, limit or amount is ever made from one of these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final

from talipp.indicators import BB, EMA, MACD, RSI, SMA, VWAP
from talipp.ohlcv import OHLCV

from marketdata.domain.bars import Bar

#: Name -> what it is called. The order is that of the list on the page.
INDICATORS: Final[dict[str, str]] = {
    "sma20": "SMA 20",
    "ema50": "EMA 50",
    "bb20": "Bollinger bands 20, 2",
    "vwap": "VWAP of the day",
    "rsi14": "RSI 14",
    "macd": "MACD 12, 26, 9",
}
#: Those that have a scale of their own, and so a pane below the price.
BELOW: Final = frozenset({"rsi14", "macd"})
DIGITS: Final = 12  # significant ones: more than a screen has pixels

Line = list[str | None]
Lines = dict[str, Line]


def indicators_of(
    bars: Sequence[Bar],
    names: Iterable[str],
    *,
    day_of: Callable[[datetime], date],
    lead: Sequence[Bar] = (),
) -> dict[str, Lines]:
    """Name -> line -> its values as text, one for each bar, None while it warms up.

    `day_of` names the session of a moment, with which VWAP begins anew; `lead` are the bars of
    the first session that came before `bars`. Raises KeyError for a name not in INDICATORS.
    """
    closes = [float(bar.c) for bar in bars]
    return {
        name: _vwap([*lead, *bars], day_of, len(lead)) if name == "vwap" else _COMPUTE[name](closes)
        for name in names
    }


def _one(values: Iterable[float | None]) -> Lines:
    return {"value": [_text(value) for value in values]}


def _many(rows: Iterable[Any], parts: Mapping[str, str]) -> Lines:
    """Each part of a compound value as a line: our word for it -> talipp's."""
    known = list(rows)
    return {
        word: [None if row is None else _text(getattr(row, part)) for row in known]
        for word, part in parts.items()
    }


def _text(value: float | None) -> str | None:
    """Plain decimal text, never 1e-05."""
    if value is None:
        return None
    text = f"{value:.{DIGITS}g}"
    return text if "e" not in text else f"{float(text):.18f}".rstrip("0").rstrip(".")


def _vwap(bars: Sequence[Bar], day_of: Callable[[datetime], date], before: int) -> Lines:
    """Money by units since the open of each bar's session, without the first `before` values."""
    values: list[float | None] = []
    for _, session in groupby(bars, key=lambda bar: day_of(bar.t)):
        rows = [OHLCV(*map(float, (b.o, b.h, b.l, b.c, b.v))) for b in session]
        values.extend(VWAP(rows))
    return _one(values[before:])


_COMPUTE: Final[dict[str, Callable[[list[float]], Lines]]] = {
    "sma20": lambda closes: _one(SMA(20, closes)),
    "ema50": lambda closes: _one(EMA(50, closes)),
    "bb20": lambda closes: _many(
        BB(20, 2.0, closes), {"upper": "ub", "middle": "cb", "lower": "lb"}
    ),
    "rsi14": lambda closes: _one(RSI(14, closes)),
    "macd": lambda closes: _many(
        MACD(12, 26, 9, closes), {"macd": "macd", "signal": "signal", "histogram": "histogram"}
    ),
}
