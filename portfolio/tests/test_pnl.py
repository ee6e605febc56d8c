"""What an account is worth, worked through by hand like the examples of a textbook."""

from decimal import Decimal
from typing import Any

import pytest

from portfolio.domain.pnl import (
    Book,
    EquityPoint,
    Held,
    PositionValue,
    PricePoint,
    Summary,
    equity_change,
    value_book,
)
from speedtrade.testing.market import NOON

D = Decimal


def held(symbol: str = "AAPL", qty: str = "10", cost: str = "1000", **today: Any) -> Held:
    """A position; `today` gives qty_today, cash_today, paid_today, and what differs otherwise."""
    figures = {
        "position_id": 1,
        "symbol": symbol,
        "name": symbol,
        "asset_type": "stock",
        "qty": D(qty),
        "cost_basis": D(cost),
        "realized_pl": D(0),
        "fees": D(0),
        "reserved": D(0),
        "qty_today": D(0),
        "cash_today": D(0),
        "opened_at": None,
    }
    figures |= {
        name: D(value) if isinstance(value, str) else value for name, value in today.items()
    }
    return Held(**figures)


def value(
    *positions: Held, cash: str = "0", paid_in: str = "1000", reserved: str = "0", **prices: Any
) -> Summary:
    """The summary at prices given as `AAPL=("last", "previous close")`."""
    points = {
        symbol: PricePoint(D(price[0]), D(price[1]), *price[2:]) for symbol, price in prices.items()
    }
    book = Book(7, "USD", D(cash), D(reserved), D(paid_in), positions)
    return value_book(book, points, NOON)


def only(summary: Summary) -> PositionValue:
    [position] = summary.positions
    return position


def test_an_account_of_cash_alone_has_won_nothing():
    summary = value(cash="100000", paid_in="100000")
    assert summary.portfolio_value == summary.buying_power == D(100_000)
    assert (summary.total_pl, summary.total_pl_pct, summary.day_pl, summary.day_pl_pct) == (0,) * 4
    assert summary.positions == ()
    assert not summary.stale


def test_shares_held_over_night_win_what_the_price_moved():
    """10 shares bought at 100, closed at 110, now 121."""
    summary = value(held(), paid_in="1000", AAPL=("121", "110"))
    position = only(summary)
    assert position.market_value == summary.portfolio_value == D(1210)
    assert (position.unrealized_pl, position.unrealized_pl_pct) == (D(210), D(21))
    assert (position.day_pl, position.day_pl_pct) == (D(110), D(10))
    assert position.at_close == D(1100), "what a page counts the next price against"
    assert (summary.total_pl, summary.total_pl_pct) == (D(210), D(21))
    assert (summary.day_pl, summary.day_pl_pct) == (D(110), D(10))


def test_shares_bought_today_are_compared_with_what_they_cost():
    """10 bought at 100 today; yesterday's close of 90 is no concern of theirs. Now 105."""
    position = only(
        value(held(qty_today="10", cash_today="-1000", paid_today="1000"), AAPL=("105", "90"))
    )
    assert (position.day_pl, position.day_pl_pct) == (D(50), D(5))


def test_some_held_and_some_bought_today():
    """10 held at a close of 100, 10 more at 104, now 110: 100 + 60 of 1000 + 1040."""
    position = only(
        value(
            held(qty="20", cost="1940", qty_today="10", cash_today="-1040", paid_today="1040"),
            AAPL=("110", "100"),
        )
    )
    assert position.day_pl == D(160)
    assert position.at_close is None, "its day has no single price that it begins with"
    assert position.day_pl_pct == D("7.8431")


def test_a_sale_out_of_yesterdays_shares_counts_as_won_today():
    """10 held at a close of 98; 9 sold at 120, the last is worth 120: 22 a share, 22.449 %.

    Measured against what is left of the position it would read -220 %.
    """
    position = only(
        value(held(qty="1", cost="90", qty_today="-9", cash_today="1080"), AAPL=("120", "98"))
    )
    assert position.day_pl == D(220)
    assert position.day_pl_pct == D("22.4490")


def test_a_round_trip_with_a_rest_is_measured_against_what_was_paid():
    """10 bought at 100, 9 sold at 110, the last at 110: 100 on 1000, not on what is left."""
    position = only(
        value(
            held(qty="1", cost="100", qty_today="1", cash_today="-10", paid_today="1000"),
            AAPL=("110", "95"),
        )
    )
    assert (position.day_pl, position.day_pl_pct) == (D(100), D(10))


def test_what_was_closed_today_still_counts_in_the_days_result():
    """10 held at a close of 100, all sold at 107. The row is gone from the list, the 70 are not."""
    summary = value(
        held(qty="0", cost="0", qty_today="-10", cash_today="1070"),
        cash="1070",
        paid_in="900",
        AAPL=("150", "100"),
    )
    assert summary.positions == ()
    assert summary.day_pl == D(70)
    assert summary.day_pl_pct == D(7)
    assert summary.total_pl == D(170)


def test_fees_of_today_lessen_the_days_result():
    position = only(
        value(
            held(
                "BTC/USD",
                "1",
                "50000",
                qty_today="1",
                cash_today="-50050",
                paid_today="50050",
                fees="50",
            ),
            **{"BTC/USD": ("50000", "49000")},
        )
    )
    assert position.unrealized_pl == 0
    assert position.day_pl == D(-50)
    assert position.day_pl_pct == D("-0.0999")


def test_a_deposit_is_no_profit_and_a_withdrawal_no_loss():
    before = value(held(), cash="500", paid_in="1500", AAPL=("110", "105"))
    after_deposit = value(held(), cash="5500", paid_in="6500", AAPL=("110", "105"))
    after_withdrawal = value(held(), cash="100", paid_in="1100", AAPL=("110", "105"))
    for summary in (before, after_deposit, after_withdrawal):
        assert summary.total_pl == D(100)
        assert summary.day_pl == D(50)


def test_a_profit_stays_a_profit_when_more_was_taken_out_than_paid_in():
    """1,000 in, 1,500 out, and 700 still there: 1,200 won. A share of -500 would be a loss."""
    summary = value(cash="700", paid_in="-500")
    assert summary.total_pl == D(1200)
    assert summary.total_pl_pct == 0


def test_reserved_cash_is_no_buying_power():
    summary = value(cash="1000", reserved="250.50")
    assert (summary.cash_balance, summary.buying_power, summary.reserved) == (
        D(1000),
        D("749.50"),
        D("250.50"),
    )


def test_a_position_without_a_price_counts_at_cost_and_says_so():
    summary = value(
        held(), held("MSFT", "1", "400"), cash="600", paid_in="2000", AAPL=("110", "110")
    )
    first, second = summary.positions
    assert (first.stale, second.stale, summary.stale) == (False, True, True)
    assert second.current_price is None
    assert (second.market_value, second.unrealized_pl, second.day_pl) == (D(400), 0, 0)
    assert summary.portfolio_value == D(2100)


def test_an_old_price_still_counts_and_is_marked():
    position = only(value(held(), AAPL=("110", "100", True)))
    assert position.stale
    assert position.market_value == D(1100)


def test_shares_of_the_whole_include_the_cash():
    summary = value(held(), cash="3000", AAPL=("100", "100"))
    assert only(summary).share_pct == D(25)


def test_the_average_price_is_cost_by_quantity():
    assert only(value(held(qty="3", cost="100"), AAPL=("1", "1"))).avg_price == D("33.33333333")


# ── over a period ────────────────────────────────────────────────────────────
def points(*pairs: tuple[str, str]) -> list[EquityPoint]:
    return [EquityPoint(NOON, D(equity), D(paid)) for equity, paid in pairs]


@pytest.mark.parametrize(
    "curve, change, pct",
    [
        ([], "0", "0"),
        ([("100", "100")], "0", "0"),
        ([("100", "100"), ("110", "100")], "10", "10"),
        ([("100", "100"), ("210", "200")], "10", "5"),  # 100 paid in meanwhile: 10 on 200
        ([("100", "100"), ("60", "50")], "10", "10"),  # 50 taken out meanwhile
        ([("0", "0"), ("100", "100")], "0", "0"),
    ],
)
def test_the_change_over_a_period_leaves_deposits_out(curve: Any, change: str, pct: str):
    assert equity_change(points(*curve)) == (D(change), D(pct))
