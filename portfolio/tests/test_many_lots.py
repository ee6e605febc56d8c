"""A position of many lots: a fill reads the lots that it takes, and leaves the others alone."""

from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection

from portfolio.models import Lot
from portfolio.services import fills
from portfolio.tests.ledger import Ledger

AT_ONCE, MANY = 4, 12


@pytest.fixture
def many(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Lots of one unit each; the first cost 100, each later one a dollar more."""
    monkeypatch.setattr(fills, "LOTS_AT_ONCE", AT_ONCE)
    for number in range(MANY):
        ledger.fill("buy", "1", str(100 + number))
        ledger.wait(1)
    return ledger


def lots_read(ledger: Ledger, side: str, qty: str) -> list[int]:
    """How many lots each question of one fill may bring, by its LIMIT."""
    reads: list[int] = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT") and 'FROM "portfolio_lot"' in sql:
            reads.append(int(sql.rpartition("LIMIT")[2]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        ledger.fill(side, qty, "300")
    return reads


def test_a_purchase_reads_no_lot(many: Ledger):
    assert lots_read(many, "buy", "2") == []
    assert (many.position().qty, Lot.objects.count()) == (MANY + 2, MANY + 1)
    assert many.differences() == []


def test_a_sale_reads_the_oldest_lots_until_it_has_enough(many: Ledger):
    assert lots_read(many, "sell", "1.5") == [4]
    assert lots_read(many, "sell", "5") == [4, 8]
    assert many.position().qty == MANY - D("6.5")
    assert many.differences() == []


def test_a_sale_over_many_lots_takes_them_first_in_first_out(many: Ledger):
    sold = 2 * AT_ONCE + 2  # more than two readings of lots
    many.fill("sell", f"{sold - 1}.5", "300")
    cost = sum(range(100, 100 + sold - 1)) + D(100 + sold - 1) / 2
    position = many.position()
    assert position.realized_pl == D(300) * (sold - 1) + 150 - cost
    assert position.cost_basis == sum(range(100, 100 + MANY)) - cost
    left = Lot.objects.filter(remaining__gt=0).order_by("opened_at")
    assert [lot.remaining for lot in left] == [D("0.5"), *[D(1)] * (MANY - sold)]
    assert many.differences() == []


def test_the_last_unit_of_many_lots_leaves_the_position_flat(many: Ledger):
    many.fill("sell", str(MANY), "300")
    position = many.position()
    assert (position.qty, position.cost_basis, position.opened_at) == (0, 0, None)
    assert many.differences() == []


def test_some_of_many_lots_leave_the_position_open_since_it_was(many: Ledger):
    opened = many.position().opened_at
    many.fill("sell", str(AT_ONCE), "300")  # all that one reading brings
    assert many.position().opened_at == opened is not None
