"""Return, drawdown, volatility and beta against figures worked out by hand and in textbooks."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import linear_regression, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.domain.pnl import EquityPoint
from portfolio.domain.returns import (
    DAYS_TO_KNOW,
    beta,
    drawdowns,
    growth,
    max_drawdown,
    nearest,
    simple_returns,
    step_return,
    time_weighted,
    volatility,
)

D = Decimal
START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def points(*rows: tuple[str, str]) -> list[EquityPoint]:
    """(equity, paid in so far), a day apart."""
    return [
        EquityPoint(START + timedelta(days=n), D(equity), D(paid))
        for n, (equity, paid) in enumerate(rows)
    ]


def pct(index: list[Decimal]) -> Decimal:
    return ((index[-1] - 1) * 100).quantize(D("0.0001"))


# ── time-weighted return ─────────────────────────────────────────────────────
def test_without_cash_flows_it_is_the_simple_return():
    assert pct(time_weighted(points(("1000", "1000"), ("1100", "1000"), ("990", "1000")))) == -1


def test_the_chain_goes_over_a_deposit():
    """1,000,000 grows to 1,162,484, then 100,000 come, then it stands at 1,192,328 (textbook)."""
    curve = points(("1000000", "1000000"), ("1162484", "1000000"), ("1192328", "1100000"))
    assert pct(time_weighted(curve)) == D("9.7885")  # 1.162484 x (1192328 / 1262484) - 1


def test_the_chain_goes_over_a_withdrawal():
    """1,000,000 grows to 1,162,484, then 100,000 go, then it stands at 1,192,328."""
    curve = points(("1000000", "1000000"), ("1162484", "1000000"), ("1062484", "900000"))
    assert pct(time_weighted(curve)) == D("16.2484")
    curve += [EquityPoint(START + timedelta(days=3), D("1192328"), D("900000"))]
    assert pct(time_weighted(curve)) == D("30.4549")  # 1.162484 x (1192328 / 1062484) - 1


def test_a_deposit_alone_is_no_return():
    assert time_weighted(points(("0", "0"), ("100000", "100000"))) == [1, 1]
    assert time_weighted(points(("500", "500"), ("1500", "1500"), ("200", "200"))) == [1, 1, 1]


def test_all_taken_out_and_put_in_again_keeps_what_was_earned():
    curve = points(("100", "100"), ("110", "100"), ("0", "-10"), ("0", "-10"), ("50", "40"))
    assert pct(time_weighted(curve)) == 10


def test_an_account_with_nothing_has_no_return():
    assert time_weighted(points(("0", "0"), ("0", "0"))) == [1, 1]
    assert time_weighted(points(("0", "0"))) == [1]


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=20), st.integers(1, 10**9))
def test_a_deposit_between_two_steps_never_changes_the_return(values: list[int], paid: int):
    plain = points(*((str(value), "0") for value in values))
    last = plain[-1]
    moment = last.at + timedelta(seconds=1)
    with_flow = [*plain, EquityPoint(moment, last.equity + paid, D(paid))]
    assert time_weighted(with_flow)[-1] == time_weighted(plain)[-1]


def test_a_step_is_a_factor_less_one():
    assert step_return(*points(("200", "0"), ("150", "0"))) == D("-0.25")


# ── drawdown ─────────────────────────────────────────────────────────────────
def test_the_deepest_fall_is_counted_from_the_high_before_it():
    """The usual example: 500, 750, 400, 600, 350, 800: from 750 to 350 is 53.33 %."""
    fall = max_drawdown([D(value) for value in (500, 750, 400, 600, 350, 800)])
    assert (fall.depth.quantize(D("0.0001")), fall.peak, fall.trough) == (D("0.5333"), 1, 4)


def test_what_only_rises_has_no_drawdown():
    assert max_drawdown([D(1), D(1), D(2)]).depth == 0
    assert drawdowns([D(1), D(2)]) == [0, 0]


def test_a_total_loss_is_a_drawdown_of_one():
    assert max_drawdown(growth([D("0.5"), D(-1)])).depth == 1


# ── risk ─────────────────────────────────────────────────────────────────────
MARKET = [D(n % 7 - 3) / 100 for n in range(40)]


def test_beta_of_the_market_to_itself_is_one_and_of_its_double_two():
    assert beta(MARKET, MARKET) == 1
    assert beta([2 * one for one in MARKET], MARKET) == 2
    assert beta([-one for one in MARKET], MARKET) == -1


def test_beta_is_the_slope_of_the_regression():
    mine = [one * D("0.7") + D(n % 3) / 1000 for n, one in enumerate(MARKET)]
    slope = linear_regression([float(x) for x in MARKET], [float(x) for x in mine]).slope
    assert float(beta(mine, MARKET) or 0) == pytest.approx(slope)


def test_volatility_is_the_deviation_of_the_sample_of_a_year():
    by_library = stdev(float(one) for one in MARKET) * 252**0.5
    assert float(volatility(MARKET, 252) or 0) == pytest.approx(by_library)
    assert volatility([D("0.01")] * 30, 252) == 0


def test_too_few_days_say_nothing_and_a_market_at_rest_has_no_beta():
    few = MARKET[: DAYS_TO_KNOW - 1]
    assert volatility(few, 252) is None and beta(few, few) is None
    assert beta(MARKET, [D(0)] * len(MARKET)) is None


def test_returns_go_from_price_to_price():
    assert simple_returns([D(100), D(110), D(99)]) == [D("0.1"), D("-0.1")]
    assert simple_returns([D(0), D(1)]) == [0] and simple_returns([D(1)]) == []


# ── days ─────────────────────────────────────────────────────────────────────
def test_the_last_known_price_counts_at_each_moment():
    hours = [START + timedelta(hours=n) for n in range(4)]
    moments = [START - timedelta(hours=1), hours[1], hours[2] + timedelta(minutes=5)]
    assert nearest(hours, moments) == [0, 1, 2]
