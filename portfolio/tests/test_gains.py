"""What each sale used up: the pieces are the sales and the lots of the books, to the last digit."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from portfolio.domain.gains import history, is_long_term
from portfolio.domain.lots import FillFact, SoldTooMuch, replay
from portfolio.domain.months import Month, day_end, month_of, month_parse, months_between
from portfolio.tests.test_lots import dice_history, dice_variant

D = Decimal
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def fact(number: int, side: str, qty: str, notional: str, days: int = 0) -> FillFact:
    return FillFact(
        reference=f"T{number}",
        order_ref=None,
        side="buy" if side == "buy" else "sell",
        qty=D(qty),
        price=D(notional) / D(qty),
        notional=D(notional),
        fee=D("0.25"),
        executed_at=NOON + timedelta(days=days),
    )


def test_a_sale_takes_the_oldest_lots_and_shares_its_proceeds_out_by_quantity():
    found = history(
        [
            fact(1, "buy", "3", "300"),
            fact(2, "buy", "2", "220", 1),
            fact(3, "sell", "4", "480", 2),
        ]
    )
    assert [(p.bought, p.qty, p.proceeds, p.cost, p.gain) for p in found.pieces] == [
        ("T1", D(3), D(360), D(300), D(60)),
        ("T2", D(1), D(120), D(110), D(10)),
    ]
    assert (found.qty, found.cost_basis, found.realized_pl) == (D(1), D(110), D(70))


def test_what_cannot_be_divided_goes_to_the_last_piece():
    bought = [fact(n, "buy", "1", "10", n) for n in range(3)]
    found = history([*bought, fact(9, "sell", "3", "100", 9)])
    assert [str(p.proceeds) for p in found.pieces] == ["33.33333333", "33.33333334", "33.33333333"]
    assert sum(p.proceeds for p in found.pieces) == D(100)


def test_more_than_is_held_cannot_be_sold():
    with pytest.raises(SoldTooMuch):
        history([fact(1, "buy", "1", "10"), fact(2, "sell", "2", "20", 1)])


def test_pieces_and_lots_are_those_of_the_books_for_many_random_histories():
    dice = random.Random(8949)
    for _ in range(400):
        facts = dice_history(dice, dice.randint(1, 40))
        told = dice_variant(dice, facts) if dice.random() < 0.3 else facts
        found, books = history(told), replay(told)
        assert found.realized_pl == books.realized_pl
        assert found.lots == books.lots
        sold = {f.reference: f for f in told if f.side == "sell"}
        for reference, sale in sold.items():
            pieces = [piece for piece in found.pieces if piece.sold == reference]
            assert sum(piece.qty for piece in pieces) == sale.qty
            assert sum(piece.proceeds for piece in pieces) == sale.notional


def test_where_clocks_ran_backwards_the_order_of_the_bookings_counts():
    told = [fact(1, "buy", "1", "10", 5), fact(2, "sell", "1", "12", 1)]
    assert history(told).realized_pl == replay(told).realized_pl == D(2)


@pytest.mark.parametrize(
    "acquired, sold, long",
    [
        (date(2025, 3, 1), date(2026, 3, 1), False),  # one year exactly is short
        (date(2025, 3, 1), date(2026, 3, 2), True),
        (date(2024, 2, 29), date(2025, 2, 28), False),
        (date(2024, 2, 29), date(2025, 3, 1), True),
        (date(2024, 2, 28), date(2025, 2, 28), False),
        (date(2024, 2, 28), date(2025, 3, 1), True),
        (date(2023, 2, 28), date(2024, 2, 29), False),
        (date(2023, 2, 28), date(2024, 3, 1), True),
        (date(2025, 12, 31), date(2026, 12, 31), False),
        (date(2025, 12, 31), date(2027, 1, 1), True),
    ],
)
def test_long_is_more_than_one_year(acquired, sold, long):
    assert is_long_term(acquired, sold) is long


# ── months ───────────────────────────────────────────────────────────────────
def test_a_month_begins_at_midnight_in_new_york():
    march = Month(2026, 3)
    assert march.start == datetime(2026, 3, 1, 5, tzinfo=UTC)  # winter
    assert march.end == datetime(2026, 4, 1, 4, tzinfo=UTC)  # summer
    assert month_of(march.start) == march
    assert month_of(march.start - timedelta(microseconds=1)) == Month(2026, 2)
    assert day_end(date(2026, 3, 31)) == march.end


def test_months_follow_each_other_over_the_year():
    months = months_between(Month(2025, 11), Month(2026, 2))
    assert [str(month) for month in months] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert months_between(Month(2026, 2), Month(2026, 1)) == []


@pytest.mark.parametrize("text", ["", "2026", "2026-1", "2026-13", "2026-00", "0000-01", "9999-12"])
def test_what_is_no_month_is_none(text):
    assert month_parse(text) is None
    assert month_parse("2026-11") == Month(2026, 11)
