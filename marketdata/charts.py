"""What the page of a symbol says in words and numbers: ranges, the day, the year, the book."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings

from marketdata import selectors
from marketdata.bar_store import BarRun
from marketdata.domain.bars import Bar
from marketdata.domain.indicators import INDICATORS, Lines, indicators_of
from marketdata.domain.quotes import Quote
from marketdata.domain.ranges import RANGES, range_start
from marketdata.hours import market_hours
from marketdata.models import Instrument
from speedtrade.lib.errors import InvalidInput, Unavailable
from speedtrade.lib.formats import pct_text, price_text
from speedtrade.lib.money import percent

YEAR: Final = timedelta(days=365)
VOLUME_DAYS: Final = 30  # of the average volume: whole days, so not today's

_years: dict[str, tuple[float, "Year"]] = {}
_YEARS_LIMIT: Final = 5_000


@dataclass(frozen=True, slots=True)
class Year:
    """What the daily bars of a year say; None before the first one."""

    high: Decimal | None
    low: Decimal | None
    average_volume: Decimal | None


def range_bars(instrument: Instrument, name: str, *, now: datetime) -> BarRun:
    """The bars of a range, oldest first; raises InvalidInput for a name that is not in RANGES."""
    return selectors.bars(instrument, **range_asked(instrument, name, now=now), now=now)


def range_asked(instrument: Instrument, name: str, *, now: datetime) -> dict[str, Any]:
    """{timeframe, start, limit} of a range; raises InvalidInput as `range_bars`."""
    if name not in RANGES:
        raise InvalidInput.field("range", f"Choose one of {', '.join(RANGES)}.")
    opened = market_hours().session_for(instrument.asset_type, now).open
    return {
        "timeframe": RANGES[name].timeframe,
        "start": range_start(name, now, opened),
        "limit": settings.BARS_LIMIT,
    }


def year_of(instrument: Instrument, *, now: datetime) -> Year:
    """The year's high, low and average volume, at most settings.YEAR_CACHE old."""
    clock = time.monotonic()
    kept = _years.get(instrument.symbol)
    if kept is not None and clock < kept[0]:
        return kept[1]
    try:
        days = selectors.bars(instrument, "1D", now=now, start=now - YEAR, limit=366)
    except Unavailable:  # no feed prices it any more: its page still has the rest to show
        days = BarRun()
    year = _year(days)
    if days.loading:
        return year
    if len(_years) >= _YEARS_LIMIT:
        _years.clear()
    _years[instrument.symbol] = (clock + settings.YEAR_CACHE.total_seconds(), year)
    return year


def _year(days: Sequence[Bar]) -> Year:
    volumes = [bar.v for bar in days[-VOLUME_DAYS - 1 : -1]]
    return Year(
        high=max((bar.h for bar in days), default=None),
        low=min((bar.l for bar in days), default=None),
        average_volume=(sum(volumes, Decimal(0)) / len(volumes)).quantize(Decimal(1))
        if volumes
        else None,
    )


def figures_of(instrument: Instrument, quote: Quote | None, *, now: datetime) -> dict[str, Any]:
    """The spread, and the year with what today has added to it."""
    year = year_of(instrument, now=now)
    if quote is None:
        return {"year": year, "spread": None, "spread_pct": None}
    spread = quote.ask - quote.bid
    return {
        "year": Year(
            high=max(quote.day_high, year.high or quote.day_high),
            low=min(quote.day_low, year.low or quote.day_low),
            average_volume=year.average_volume,
        ),
        "spread": spread,
        "spread_pct": percent(spread, quote.ask) if quote.ask else None,
    }


def summary_of(instrument: Instrument, quote: Quote | None, words: str) -> str:
    """The day in one sentence, "today" in `words`; `chart.js` says the other ranges so too."""
    if quote is None:
        return f"There is no price of {instrument.symbol} yet."
    tick = instrument.price_tick
    moved = {1: "rose", -1: "fell", 0: "did not move"}[(quote.change > 0) - (quote.change < 0)]
    by = f" {pct_text(abs(quote.change_pct))}" if quote.change else ""
    return (
        f"{instrument.symbol} {moved}{by} {words}, from "
        f"{price_text(quote.prev_close, tick)} to {price_text(quote.last, tick)}; "
        f"low {price_text(quote.day_low, tick)}, high {price_text(quote.day_high, tick)}."
    )


def book_of(quote: Quote | None) -> dict[str, list[dict[str, Any]]]:
    """Both sides of the book, best price first; `share` is of the largest size."""
    if quote is None:
        return {"bids": [], "asks": []}
    largest = max((level.size for level in (*quote.bids, *quote.asks)), default=None)
    return {
        side: [
            {"price": x.price, "size": x.size, "share": percent(x.size, largest or x.size)}
            for x in rows[: settings.BOOK_LEVELS]
        ]
        for side, rows in (("bids", quote.bids), ("asks", quote.asks))
    }


def indicator_lines(
    instrument: Instrument, timeframe: str, rows: Sequence[Bar], names: Sequence[str], now: datetime
) -> dict[str, Lines]:
    """The lines of `rows`, oldest first; a range may begin inside a session, VWAP does not."""
    hours, kind = market_hours(), instrument.asset_type
    lead: list[Bar] = []
    if "vwap" in names and rows and timeframe != "1D":
        opened, begins = hours.session_for(kind, rows[0].t).open, rows[0].t
        if opened < begins:
            end, limit = begins - timedelta(microseconds=1), settings.BARS_LIMIT
            lead = selectors.bars(
                instrument, timeframe, now=now, start=opened, end=end, limit=limit
            )
    return indicators_of(rows, names, day_of=lambda at: hours.session_for(kind, at).day, lead=lead)


def chosen_indicators(text: str) -> list[str]:
    """The names in `sma20,rsi14`; raises InvalidInput for one that we cannot draw."""
    names = list(dict.fromkeys(name for name in text.split(",") if name))
    if unknown := [name for name in names if name not in INDICATORS]:
        raise InvalidInput.field("indicators", f"There is no {unknown[0][:20]}.")
    return names
