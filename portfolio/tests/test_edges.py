"""The edges of the plain figures: first and last months, days that are too few, empty books."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from portfolio.domain.gains import history
from portfolio.domain.lots import SoldTooMuch, apply, replay
from portfolio.domain.months import NEW_YORK, Month, month_parse, year_bounds
from portfolio.domain.returns import (
    DAYS_TO_KNOW,
    Drawdown,
    beta,
    covariance,
    drawdowns,
    max_drawdown,
    nearest,
    simple_returns,
    volatility,
)
from portfolio.tests.test_lots import fill
from portfolio.tests.test_pnl import held, only, value
from speedtrade.testing.market import NOON

D = Decimal
DAYS = [D(n % 7) / 100 for n in range(DAYS_TO_KNOW)]


@pytest.mark.parametrize(
    "text, month",
    [
        ("2026-01", Month(2026, 1)),
        ("2026-12", Month(2026, 12)),
        ("0001-02", Month(1, 2)),
        ("9998-12", Month(9998, 12)),
        ("2026-00", None),
        ("2026-13", None),
        ("0000-05", None),
        ("9999-01", None),
        ("2026-1", None),
        ("x2026-01", None),
    ],
)
def test_a_month_is_read_as_it_is_written(text: str, month: Month | None):
    assert month_parse(text) == month


def test_a_year_begins_and_ends_at_midnight_in_new_york():
    begins, ends = year_bounds(2026)
    assert begins == datetime(2026, 1, 1, tzinfo=NEW_YORK)
    assert ends == datetime(2027, 1, 1, tzinfo=NEW_YORK)


def test_as_many_days_as_it_takes_are_enough():
    assert volatility(DAYS, 252) is not None
    assert volatility(DAYS[1:], 252) is None
    assert beta(DAYS, DAYS) == 1
    assert beta(DAYS[1:], DAYS[1:]) is None


def test_a_covariance_is_taken_around_both_means():
    """By hand: means 2 and 20, products 10, 0 and 10, over two."""
    assert covariance([D(1), D(2), D(3)], [D(10), D(20), D(30)]) == 10
    with pytest.raises(ValueError):
        covariance([D(1), D(2), D(3)], [D(1), D(2)])


def test_an_index_that_was_never_above_nothing_has_no_drawdown():
    assert drawdowns([D(0), D(0)]) == [D(0), D(0)]
    assert drawdowns([D("0.5"), D("0.25")]) == [D(0), D("0.5")]
    assert max_drawdown([D(1), D(1)]) == Drawdown(D(0), 0, 0)


def test_the_high_of_a_drawdown_may_be_the_place_before_its_low():
    assert max_drawdown([D(1), D(2), D(1)]) == Drawdown(D("0.5"), 1, 2)


def test_a_price_of_less_than_a_dollar_has_returns_too():
    assert simple_returns([D("0.5"), D("1.0")]) == [D(1)]
    assert simple_returns([D(0), D(1)]) == [D(0)]


def test_moments_after_the_last_time_have_the_last_place():
    times = [NOON, NOON + timedelta(days=1), NOON + timedelta(days=2)]
    moments = [NOON - timedelta(days=1), NOON, times[1], times[2], NOON + timedelta(days=9)]
    assert nearest(times, moments) == [0, 0, 1, 2, 2]


def test_a_lot_keeps_when_and_how_much_was_bought():
    bought = fill(1, "buy", "10", "1.00")
    (lot,) = replay([bought, fill(2, "sell", "4", "2.00")]).lots
    assert (lot.opened_at, lot.qty, lot.remaining) == (bought.executed_at, D(10), D(6))


def test_a_fill_that_was_worth_nothing_to_the_last_digit_is_a_fill():
    from dataclasses import replace

    tiny = replace(fill(1, "buy", "0.1", "1.00"), notional=D(0))
    assert apply(replay([]), tiny).qty == D("0.1")


def test_a_sale_of_too_much_says_by_how_much():
    fills = [fill(1, "buy", "1", "1.00"), fill(2, "sell", "3", "1.00")]
    for walk in (replay, history):
        with pytest.raises(SoldTooMuch, match="2 more were sold than were held"):
            walk(fills)


def test_a_piece_says_when_it_was_bought_and_sold():
    bought, sold = fill(1, "buy", "2", "1.00"), fill(2, "sell", "1", "3.00")
    (piece,) = history([bought, sold]).pieces
    assert (piece.acquired_at, piece.sold_at) == (bought.executed_at, sold.executed_at)


def test_a_summary_names_its_account_and_what_it_was_made_of():
    summary = value(held(), cash="500", paid_in="1200", AAPL=("133.33", "90"))
    assert (summary.account_id, summary.currency, summary.as_of) == (7, "USD", NOON)
    assert (summary.positions_value, summary.net_deposits) == (D("1333.30"), D(1200))
    position = only(summary)
    assert position.held.symbol == "AAPL"
    assert position.current_price == D("133.33")
    assert str(position.share_pct) == "72.73"
    assert only(value(held())).current_price is None
