"""Statements and tax years against the books, for random histories over many months."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from portfolio.domain.months import Month
from portfolio.models import EquitySnapshot, JournalEntry, Position
from portfolio.reports import months_of, statement_of, tax_year, years_of
from portfolio.tests.ledger import Ledger
from speedtrade.lib.errors import NotFound

D = Decimal
NOVEMBER, DECEMBER = Month(2026, 11), Month(2026, 12)


def live(ledger: Ledger, dice: random.Random, steps: int) -> None:
    """Deposits, withdrawals and fills in three symbols, a few days apart."""
    held = {"AAPL": 0, "MSFT": 0, "BTC/USD": 0}
    for _ in range(steps):
        ledger.wait(dice.randint(1, 12 * 86_400))
        symbol = dice.choice(list(held))
        fee, price = f"0.{dice.randint(0, 99_999_999):08d}", f"{dice.randint(1, 300_00)}.25"
        what = dice.random()
        if what < 0.15:
            ledger.deposit(f"{dice.randint(1, 500)}.{dice.randint(0, 99):02d}")
        elif what < 0.25:
            ledger.withdraw(f"{dice.randint(1, 50)}.{dice.randint(0, 99):02d}")
        elif held[symbol] and what < 0.6:
            steps_sold = dice.randint(1, held[symbol])
            held[symbol] -= steps_sold
            ledger.fill("sell", str(D(steps_sold) / 10**6), price, fee, symbol)
        elif ledger.cash > 2 * D(price):
            bought = dice.randint(1, 10**6)
            held[symbol] += bought
            ledger.fill("buy", str(D(bought) / 10**6), price, fee, symbol)


@pytest.mark.parametrize("seed", range(4))
def test_every_statement_adds_up_and_leads_to_the_next(ledger: Ledger, seed: int):
    live(ledger, random.Random(seed), 60)
    lines = months_of(ledger.account, ledger.now)[::-1]
    made = [statement_of(ledger.account, line.month, ledger.now) for line in lines]
    assert len(made) > 6 and made[0].opening == 0 and made[-1].closing == ledger.cash
    for one, line in zip(made, lines, strict=True):
        parts = (one.deposits, one.withdrawals, one.purchases, one.sales, one.fees, one.dividends)
        assert one.opening + sum(parts) == one.closing == line.closing
        entries = list(one.entries)
        assert len(entries) == line.bookings
        assert sum(entry.amount for entry in entries) == one.closing - one.opening == line.change
        if entries:
            assert one.cash_after(entries[-1]) == one.closing
    for one, following in pairwise(made):
        assert one.closing == following.opening
    positions = Position.objects.filter(brokerage_account=ledger.account)
    assert sum(one.realized for one in made) == sum(row.realized_pl for row in positions)
    assert {h.symbol: (h.qty, h.cost) for h in made[-1].holdings} == {
        row.instrument.symbol: (row.qty, row.cost_basis) for row in positions if row.qty
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_tax_years_are_the_realised_result_to_the_last_digit(ledger: Ledger, seed: int):
    live(ledger, random.Random(100 + seed), 90)
    years = years_of(ledger.account, ledger.now)
    reports = [tax_year(ledger.account, year, ledger.now) for year in years]
    assert len(reports) > 1
    positions = Position.objects.filter(brokerage_account=ledger.account)
    gains = sum(report.totals[2].gain for report in reports)
    assert gains == sum(row.realized_pl for row in positions)
    assert sum(report.fees for report in reports) == sum(row.fees for row in positions)
    for report in reports:
        short, long, both = report.totals
        assert short.gain + long.gain == both.gain and short.count + long.count == both.count
        assert all(row.piece.sold_at.year in {report.year, report.year + 1} for row in report.sold)


def test_a_month_ends_at_midnight_in_new_york(ledger: Ledger):
    ledger.clock.move_to(datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC))  # 30 November there
    ledger.deposit("1")
    ledger.wait(1)
    ledger.deposit("2")
    november = statement_of(ledger.account, NOVEMBER, ledger.now)
    december = statement_of(ledger.account, DECEMBER, ledger.now)
    assert (november.closing, november.ended) == (D(100_001), True)
    assert (december.deposits, december.ended) == (D(2), False)


def test_the_year_of_a_sale_is_that_of_new_york(ledger: Ledger):
    ledger.fill("buy", "2", "100")
    ledger.clock.move_to(datetime(2027, 1, 1, 4, 59, 59, tzinfo=UTC))
    ledger.fill("sell", "1", "110")
    ledger.wait(1)
    ledger.fill("sell", "1", "120")
    assert [row.piece.gain for row in tax_year(ledger.account, 2026, ledger.now).sold] == [D(10)]
    assert [row.piece.gain for row in tax_year(ledger.account, 2027, ledger.now).sold] == [D(20)]


def test_a_late_fill_counts_where_it_was_booked_and_changes_no_old_statement(ledger: Ledger):
    ledger.fill("buy", "2", "100")
    ledger.fill("sell", "1", "110")
    before = statement_of(ledger.account, NOVEMBER, ledger.now)
    happened = ledger.now - timedelta(days=3)
    ledger.clock.move_to(DECEMBER.start + timedelta(days=1))
    ledger.fill("buy", "1", "60", executed_at=happened)
    november = statement_of(ledger.account, NOVEMBER, ledger.now)
    december = statement_of(ledger.account, DECEMBER, ledger.now)
    assert november.realized == before.realized == D(10)
    assert november.holdings == before.holdings
    assert november.realized + december.realized == ledger.position().realized_pl == D(50)


def test_a_statement_shows_a_value_only_where_one_was_written_down(ledger: Ledger):
    assert statement_of(ledger.account, NOVEMBER, ledger.now).snapshot is None
    for days, value in ((1, "5"), (2, "7"), (30, "9")):
        EquitySnapshot.objects.create(
            brokerage_account=ledger.account,
            at=ledger.now + timedelta(days=days),
            cash=D(1),
            positions_value=D(value),
            net_deposits=D(1),
        )
    snapshot = statement_of(ledger.account, NOVEMBER, ledger.now).snapshot
    assert snapshot is not None and snapshot.positions_value == D(7)


@pytest.mark.parametrize("month", [None, Month(2026, 10), Month(2026, 12)])
def test_there_is_no_statement_before_the_opening_and_after_today(ledger: Ledger, month: Any):
    with pytest.raises(NotFound):
        statement_of(ledger.account, month, ledger.now)
    for year in (0, 2025, 2027, 10**9):
        with pytest.raises(NotFound):
            tax_year(ledger.account, year, ledger.now)


def test_a_report_is_of_one_account_only(ledger: Ledger, charlie: Any):
    from speedtrade.testing.cast import account_of

    other = Ledger(charlie, account_of(charlie), ledger.clock)
    ledger.fill("buy", "2", "100")
    ledger.fill("sell", "1", "110")
    assert tax_year(other.account, 2026, ledger.now).sold == ()
    made = statement_of(other.account, NOVEMBER, ledger.now)
    assert (made.closing, made.realized, made.holdings) == (D(100_000), D(0), ())
    assert JournalEntry.objects.filter(brokerage_account=ledger.account).count() == 3
