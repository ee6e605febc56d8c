"""What came or went at a broker without an order: reports say of it what these books know."""

import csv
from datetime import timedelta
from decimal import Decimal

import pytest

from portfolio.holdings import lots_held, lots_open
from portfolio.models import EntryKind
from portfolio.reports import TaxYear, tax_year
from portfolio.statement_files import taxes_csv
from portfolio.statements import realized_of
from portfolio.tests.ledger import Ledger
from portfolio.tests.test_adjustments import event, fee, shift
from portfolio.tests.test_pages import text
from speedtrade.testing.cast import page_client

D = Decimal


@pytest.fixture
def brought(ledger: Ledger) -> Ledger:
    """4 at 10 were there before, 2 at 30 were bought here; two weeks on 5 were sold at 50."""
    shift(ledger, "4", "40")
    ledger.wait(60)
    ledger.fill("buy", "2", "30", "0.5")
    ledger.wait(14 * 86_400)
    ledger.fill("sell", "5", "50", "0.25")
    return ledger


def report(ledger: Ledger) -> TaxYear:
    return tax_year(ledger.account, ledger.now.year, ledger.now)


def test_nobody_knows_since_when_a_lot_was_held_that_was_there_before(brought: Ledger):
    sold = report(brought).sold
    assert [(row.piece.qty, row.term) for row in sold] == [(D(4), ""), (D(1), "Short")]
    totals = report(brought).totals
    assert [(one.term, one.count, one.gain) for one in totals] == [
        ("Short term", 1, D(20)),
        ("Long term", 0, D(0)),
        ("Before these books", 1, D(160)),
        ("All", 2, D(180)),
    ]
    lines = list(csv.DictReader(taxes_csv(report(brought))))
    assert [(line["date acquired"], line["term"], line["gain"]) for line in lines] == [
        ("", "", "160.00"),
        ("11/18/2026", "short", "20.00"),
    ]


def test_the_pages_say_so(brought: Ledger):
    web = page_client(brought.user)
    said = text(web.get("/taxes"))
    assert "4 AAPL Before these books to Dec 2" in said and "Not known" in said
    shift(brought, "3", "30", "more")
    said = text(web.get(f"/portfolio/lots/{brought.position().pk}"))
    assert said.count("Before these books") == 1 and "Short, 14 days" in said
    held = lots_held(lots_open(brought.position()), brought.now)
    assert [(one.days, one.term) for one in held] == [(14, "short"), (0, "")]


def test_units_that_left_use_up_lots_and_are_no_sale(brought: Ledger):
    before = report(brought)
    brought.wait(60)
    brought.fill("buy", "2", "60")
    brought.wait(60)
    shift(brought, "-2", key="away")  # one bought at 30, one at 60
    assert report(brought) == before
    brought.wait(60)
    brought.fill("sell", "1", "70")
    assert [row.piece.gain for row in report(brought).sold[2:]] == [D(10)]
    assert report(brought).totals[-1].gain == brought.position().realized_pl


def test_units_that_a_broker_took_as_its_fee_are_a_line_without_proceeds(brought: Ledger):
    brought.wait(60)
    assert fee(brought, "1")
    piece = report(brought).sold[-1].piece
    assert (piece.proceeds, piece.cost) == (0, D(30))
    assert report(brought).totals[-1].gain == brought.position().realized_pl


def test_fees_that_a_broker_charged_beside_the_trades_were_paid(brought: Ledger):
    assert report(brought).fees == realized_of(brought.account).fees == D("0.75")
    event(brought, EntryKind.FEE, "-2", "E1")
    event(brought, EntryKind.FEE, "0.5", "E2")  # one that was given back
    event(brought, EntryKind.DIVIDEND, "7", "E3")
    assert report(brought).fees == realized_of(brought.account).fees == D("2.25")
    brought.clock.move_to(brought.now + timedelta(days=365))
    event(brought, EntryKind.FEE, "-3", "E4")
    assert report(brought).fees == D(3)
    assert realized_of(brought.account).fees == D("5.25")
