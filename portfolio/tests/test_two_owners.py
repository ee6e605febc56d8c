"""Two people with the same things: fills of one touch no lot, position or figure of the other."""

from decimal import Decimal as D
from typing import Any

import pytest
from django.db import transaction

from portfolio.models import Lot
from portfolio.services.adjustments import cost_of
from portfolio.tests.ledger import Ledger
from speedtrade.testing.cast import account_of


@pytest.fixture
def theirs(ledger: Ledger, charlie: Any) -> Ledger:
    """Another's books, whose fills have the same references as ours."""
    return Ledger(charlie, account_of(charlie), ledger.clock)


@pytest.fixture
def both(ledger: Ledger, theirs: Ledger) -> tuple[Ledger, Ledger]:
    """(ours, theirs): each 3 of AAPL and 2 of MSFT, in two lots of AAPL; theirs came first."""
    for books, price in ((theirs, "50"), (ledger, "100")):
        for symbol, qty in (("MSFT", "2"), ("AAPL", "1"), ("AAPL", "2")):
            books.fill("buy", qty, price, symbol=symbol)
            books.wait(1)
    return ledger, theirs


def lots(books: Ledger) -> list[tuple[Any, ...]]:
    found = Lot.objects.filter(position__brokerage_account=books.account).order_by("id")
    return list(found.values_list("position_id", "reference", "qty", "remaining", "cost"))


def figures(books: Ledger) -> list[Any]:
    rows = (books.position(symbol) for symbol in ("AAPL", "MSFT"))
    return [books.cash, *((row.qty, row.cost_basis, row.realized_pl) for row in rows)]


def test_a_sale_takes_lots_of_its_own_position_alone(both: tuple[Ledger, Ledger]):
    ours, theirs = both
    assert lots(ours)[0][1:] == ("T000001", 2, 2, 200) and lots(theirs)[0][1] == "T000001"
    before, cash = (lots(theirs), figures(theirs)), ours.cash
    ours.fill("sell", "1.5", "120")
    assert [row[3] for row in lots(ours)] == [2, 0, D("1.5")]
    assert figures(ours) == [cash + 180, (D("1.5"), 150, 30), (2, 200, 0)]
    assert (lots(theirs), figures(theirs)) == before
    assert ours.differences() == []


def test_all_of_a_position_goes_and_nothing_of_the_other(both: tuple[Ledger, Ledger]):
    ours, theirs = both
    before = (lots(theirs), figures(theirs))
    ours.fill("sell", "3", "120")
    assert [row[3] for row in lots(ours)] == [2, 0, 0]
    assert (lots(theirs), figures(theirs)) == before
    assert ours.differences() == []


def test_a_fill_that_comes_late_makes_its_own_position_anew(both: tuple[Ledger, Ledger]):
    ours, theirs = both
    ours.fill("sell", "1", "120")
    newest, before = ours.position().last_fill_reference, (lots(theirs), figures(theirs))
    early = ours.now.replace(hour=1)
    ours.fill("buy", "1", "10", executed_at=early)
    position = ours.position()
    assert (position.qty, position.cost_basis, position.realized_pl) == (3, 300, 110)
    assert (position.opened_at, position.last_fill_reference) == (early, newest)
    assert (lots(theirs), figures(theirs)) == before
    assert ours.differences() == []


def test_the_cost_is_that_of_the_own_units(both: tuple[Ledger, Ledger]):
    ours, theirs = both
    for books, cost in ((ours, 100), (theirs, 50)):
        with transaction.atomic():
            assert cost_of(books.account, books.instrument("AAPL"), D(1), books.now) == cost
    ours.fill("sell", "3", "120")
    with transaction.atomic():
        assert cost_of(ours.account, ours.instrument("MSFT"), D(2), ours.now) == 200


def test_the_oldest_lot_goes_first_whatever_it_is_called(ledger: Ledger):
    ledger.fill("buy", "1", "10", reference="Z")
    ledger.wait(1)
    ledger.fill("buy", "1", "20", reference="A")
    ledger.fill("sell", "1", "30")
    assert ledger.position().realized_pl == 20
    assert ledger.differences() == []
