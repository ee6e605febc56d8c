"""Small bars make large ones, ticks make bars."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.bars import TIMEFRAMES, Bar, aggregate, bar_start, fold

OPEN = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

prices = st.integers(1, 10**6).map(lambda ticks: Decimal(ticks) / 100)
volumes = st.integers(0, 10**9).map(Decimal)


@st.composite
def minute_bars(draw):
    count = draw(st.integers(1, 90))
    bars = []
    for n in range(count):
        o, c, *others = draw(st.lists(prices, min_size=4, max_size=4))
        everything = (o, c, *others)
        bars.append(Bar(OPEN + n * MINUTE, o, max(everything), min(everything), c, draw(volumes)))
    return bars


@given(minute_bars(), st.sampled_from(sorted(TIMEFRAMES)))
def test_a_large_bar_says_the_same_as_its_minutes(minutes, timeframe):
    bars = aggregate(minutes, timeframe, OPEN)
    step = timedelta(seconds=TIMEFRAMES[timeframe])
    assert sum(bar.v for bar in bars) == sum(bar.v for bar in minutes)
    for bar in bars:
        inside = [m for m in minutes if bar.t <= m.t < bar.t + step]
        assert (bar.t - OPEN) % step == timedelta(0)
        assert bar == Bar(
            bar.t,
            inside[0].o,
            max(m.h for m in inside),
            min(m.l for m in inside),
            inside[-1].c,
            sum(m.v for m in inside),
        )


@given(minute_bars())
def test_hours_made_of_quarters_are_hours_made_of_minutes(minutes):
    quarters = aggregate(minutes, "15m", OPEN)
    assert aggregate(quarters, "1h", OPEN) == aggregate(minutes, "1h", OPEN)


@given(st.lists(st.tuples(prices, volumes), min_size=1))
def test_folded_ticks_are_a_bar(ticks):
    bar = None
    for price, volume in ticks:
        bar = fold(bar, price, volume, OPEN)
    seen = [price for price, _ in ticks]
    total = sum(volume for _, volume in ticks)
    assert bar == Bar(OPEN, seen[0], max(seen), min(seen), seen[-1], total)


def test_hour_bars_start_at_the_open_and_not_at_the_full_hour():
    assert bar_start(OPEN + 61 * MINUTE, "1h", OPEN) == OPEN + timedelta(hours=1)
    assert bar_start(OPEN + 59 * MINUTE, "1h", OPEN) == OPEN


def test_an_unknown_timeframe_is_refused():
    with pytest.raises(ValueError, match="7m"):
        aggregate([], "7m", OPEN)


def test_minutes_out_of_order_are_refused():
    one = Decimal(1)
    bar = Bar(OPEN, one, one, one, one, one)
    with pytest.raises(ValueError, match="oldest first"):
        aggregate([bar, bar], "5m", OPEN)
