"""What the buttons under a chart mean: which bars a range has, and how its length is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from marketdata.domain.calendar import NEW_YORK


@dataclass(frozen=True, slots=True)
class ChartRange:
    """One range: its bars, how far back it goes (None: see `range_start`), its words."""

    timeframe: str
    back: timedelta | None
    words: str  # "It rose 1.20% …"; the chart puts its first day after "since"


TODAY: Final = "1D"
#: In the order of the buttons. The last one has the newest bars that an answer may hold: of a stock
#: with a longer past not all, so the words name the day on which they begin.
RANGES: Final[dict[str, ChartRange]] = {
    TODAY: ChartRange("5m", None, "today"),
    "1W": ChartRange("15m", timedelta(days=7), "in a week"),
    "1M": ChartRange("1h", timedelta(days=30), "in a month"),
    "3M": ChartRange("1D", timedelta(days=91), "in three months"),
    "YTD": ChartRange("1D", None, "this year"),
    "1Y": ChartRange("1D", timedelta(days=365), "in a year"),
    "ALL": ChartRange("1D", None, "since"),
}


def day_words(now: datetime, closed_at: datetime | None) -> str:
    """'today', or 'on Wednesday' once a later day has begun than that of the last close."""
    closed = closed_at.astimezone(NEW_YORK) if closed_at else None
    if closed is None or closed.date() == now.astimezone(NEW_YORK).date():
        return RANGES[TODAY].words
    return f"on {closed:%A}"


def range_start(name: str, now: datetime, session_open: datetime) -> datetime | None:
    """Where a range begins: today's with its session, this year's with the year; None: nowhere.

    Raises KeyError for a name that is not in RANGES.
    """
    chosen = RANGES[name]
    if name == TODAY:
        return session_open
    if name == "YTD":
        return datetime(now.astimezone(NEW_YORK).year, 1, 1, tzinfo=UTC)
    return None if chosen.back is None else now - chosen.back
