"""How an account did over a period: return, drawdown, beside the market, and what risk it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.models import BrokerageAccount
from marketdata import selectors as market
from marketdata.domain.bars import TIMEFRAMES
from marketdata.domain.calendar import CLOSES, NEW_YORK
from marketdata.hours import market_hours
from marketdata.models import AssetType
from portfolio.domain import returns
from portfolio.domain.pnl import EquityPoint, PositionValue, Summary, equity_change
from speedtrade.lib.errors import NotFound, Unavailable
from speedtrade.lib.formats import money_text, pct_text
from speedtrade.lib.money import percent

#: period -> its name on the button, and the words beside its change
PERIOD_WORDS = {
    "1D": ("1D", "past day"),
    "1W": ("1W", "past week"),
    "1M": ("1M", "past month"),
    "3M": ("3M", "past 3 months"),
    "YTD": ("YTD", "this year"),
    "1Y": ("1Y", "past year"),
    "ALL": ("All", "since the start"),
}
#: The shortest bars that still cover a span; BARS_LIMIT of them are there.
_SPANS = (("5m", timedelta(days=2)), ("15m", timedelta(days=8)), ("1h", timedelta(days=35)))
DAYS_A_YEAR, SESSIONS_A_YEAR = 365, 252


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What one dollar in the market became, at the moments of the account's curve."""

    symbol: str
    change_pct: Decimal
    ahead_pct: Decimal  # the account's return less the market's, in points
    index: list[Decimal]


@dataclass(frozen=True, slots=True)
class Performance:
    """An account over a period; percentages in percent, dates of the deepest fall."""

    period: str
    words: str
    change: Decimal
    change_pct: Decimal
    twr_pct: Decimal
    index: list[Decimal]
    below: list[Decimal]
    fall_pct: Decimal
    fall_from: datetime
    fall_to: datetime
    benchmark: Benchmark | None


def performance_of(
    points: Sequence[EquityPoint], period: str, now: datetime, benchmark: str = ""
) -> Performance:
    """The figures of a curve of at least one point, and of the benchmark where it has prices."""
    index = returns.time_weighted(points)
    fall = returns.max_drawdown(index)
    change, change_pct = equity_change(points)
    return Performance(
        period=period,
        words=PERIOD_WORDS[period][1],
        change=change,
        change_pct=change_pct,
        twr_pct=_gain(index),
        index=index,
        below=returns.drawdowns(index),
        fall_pct=percent(fall.depth, returns.ONE),
        fall_from=points[fall.peak].at,
        fall_to=points[fall.trough].at,
        benchmark=_benchmark(benchmark, points, _gain(index), now) if benchmark else None,
    )


def _gain(index: Sequence[Decimal]) -> Decimal:
    return percent(index[-1] - returns.ONE, returns.ONE)


def _benchmark(
    symbol: str, points: Sequence[EquityPoint], own: Decimal, now: datetime
) -> Benchmark | None:
    """The market at the points' moments, or None where nobody knows its prices."""
    moments = [point.at for point in points]
    span = now - moments[0]
    timeframe = next((name for name, longest in _SPANS if span <= longest), "1D")
    step = timedelta(seconds=TIMEFRAMES[timeframe])
    try:
        instrument = market.instrument_get(symbol)
        bars = market.bars(
            instrument, timeframe, now=now, start=moments[0] - step, limit=settings.BARS_LIMIT
        )
    except (NotFound, Unavailable):
        return None
    if not bars:
        return None
    # A bar says its close only when it has ended; before the first end stands the first open.
    known = [(bars[0].t, bars[0].o), *((min(bar.t + step, now), bar.c) for bar in bars)]
    places = returns.nearest([moment for moment, _ in known], moments)
    index = returns.growth(returns.simple_returns([known[place][1] for place in places]))
    return Benchmark(symbol, _gain(index), own - _gain(index), index)


# ── risk ─────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Risk:
    """How much it moves (a year, in percent), how much with the market, how much hangs on one."""

    volatility_pct: Decimal | None
    beta: Decimal | None
    days: int
    biggest: PositionValue | None
    benchmark: str
    days_needed: int = returns.DAYS_TO_KNOW


def risk_of(*, account: BrokerageAccount, summary: Summary, now: datetime) -> Risk:
    """From the daily returns of the last RISK_WINDOW, on days on which the market traded."""
    always = market_hours().never_closes(AssetType.STOCK)
    own = _daily_equity(account, now, always=always)
    prices = _daily_prices(now, always=always) if len(own) > returns.DAYS_TO_KNOW else {}
    days = sorted(own.keys() & prices.keys()) if prices else sorted(own)
    kept = [own[day] for day in days]
    mine = [returns.step_return(*pair) for pair in pairwise(kept)]
    theirs = returns.simple_returns([prices[day] for day in days]) if prices else []
    swing = returns.volatility(mine, DAYS_A_YEAR if always else SESSIONS_A_YEAR)
    return Risk(
        volatility_pct=None if swing is None else percent(swing, returns.ONE),
        beta=returns.beta(mine, theirs) if theirs else None,
        days=len(mine),
        biggest=max(summary.positions, key=lambda row: row.market_value, default=None),
        benchmark=settings.BENCHMARK,
    )


def _daily_equity(
    account: BrokerageAccount, now: datetime, *, always: bool
) -> dict[date, EquityPoint]:
    """Day -> the last snapshot of it, up to the close where the market has one."""
    zone, until = ("UTC", "24:00") if always else (NEW_YORK.key, CLOSES.isoformat())
    since = now - settings.RISK_WINDOW
    names: dict[str, Any] = {"account": account.pk, "since": since, "zone": zone, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(_DAILY, names)
        rows = cursor.fetchall()
    return {day: EquityPoint(at, equity, paid_in) for day, at, equity, paid_in in rows}


_DAILY = """
    SELECT DISTINCT ON (day) (at AT TIME ZONE %(zone)s)::date AS day,
           at, cash + positions_value, net_deposits
    FROM portfolio_equitysnapshot
    WHERE brokerage_account_id = %(account)s AND at >= %(since)s
      AND (at AT TIME ZONE %(zone)s)::time <= %(until)s::time
    ORDER BY day, at DESC
"""


def _daily_prices(now: datetime, *, always: bool) -> dict[date, Decimal]:
    """Day -> the close of the benchmark; {} where nobody knows it."""
    zone = now.tzinfo if always else NEW_YORK
    try:
        instrument = market.instrument_get(settings.BENCHMARK)
        bars = market.bars(
            instrument, "1D", now=now, start=now - settings.RISK_WINDOW, limit=settings.BARS_LIMIT
        )
    except (NotFound, Unavailable):
        return {}
    return {bar.t.astimezone(zone).date(): bar.c for bar in bars}


# ── in words ─────────────────────────────────────────────────────────────────
def curve_words(points: Sequence[EquityPoint], period: str) -> str:
    """The curve in one sentence: what the chart shows, in words."""
    change, change_pct = equity_change(points)
    words = PERIOD_WORDS[period][1]
    span = words if words.startswith(("this", "since")) else f"in the {words}"
    values = [point.equity for point in points]
    if len(points) == 1:
        return f"The curve begins now; the portfolio stands at {money_text(values[-1])}."
    if not change:
        return f"No gain and no loss {span}; the portfolio stands at {money_text(values[-1])}."
    moved = "Gained" if change > 0 else "Lost"
    return (
        f"{moved} {money_text(abs(change))} ({pct_text(abs(change_pct))}) {span}; from "
        f"{money_text(values[0])} to {money_text(values[-1])}, "
        f"low {money_text(min(values))}, high {money_text(max(values))}."
    )
