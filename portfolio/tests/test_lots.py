"""Cash, position, lots and P&L against an independent oracle, over more than 10,000 histories."""

import os
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.domain.lots import FillFact, Holding, SoldTooMuch, apply, replay
from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.money import money_round, money_up
from speedtrade.testing.market import NOON
from trading.simulation.oracle import Answer, Trade, solve

D = Decimal
BULK = int(os.environ.get("HISTORIES", "10000"))
#: (decimals of a quantity, decimals of a price): together at most eight, so that money is exact.
GRIDS = [(0, 2), (6, 2), (3, 5), (0, 8), (8, 0), (4, 4)]


@dataclass(frozen=True)
class Grid:
    """Sizes and prices of one instrument: a penny coin by the billion, or a share in millionths."""

    qty: Decimal
    price: Decimal
    most_steps: int
    most_ticks: int


def dice_grid(dice: random.Random) -> Grid:
    qty, price = dice.choice(GRIDS)
    return Grid(
        D(1).scaleb(-qty), D(1).scaleb(-price), 10 ** dice.randint(1, 10), 10 ** dice.randint(1, 7)
    )


def dice_history(dice: random.Random, length: int) -> list[FillFact]:
    """Purchases, and sales of no more than is held; several in one moment now and then."""
    grid, facts, held, at = dice_grid(dice), [], 0, NOON
    rate = dice.choice([D(0), D("0.001"), D("0.0025")])
    for number in range(length):
        at += timedelta(seconds=dice.choice([0, 1, 3600, 86_400]))
        sells = held > 0 and dice.random() < 0.45
        steps = dice.randint(1, held) if sells else dice.randint(1, grid.most_steps)
        if sells and dice.random() < 0.2:
            steps = held  # now and then all of it goes
        held += -steps if sells else steps
        qty, price = steps * grid.qty, dice.randint(1, grid.most_ticks) * grid.price
        facts.append(
            FillFact(
                reference=f"T{number:04d}",
                order_ref=dice.randint(1, 3),
                side="sell" if sells else "buy",
                qty=qty,
                price=price,
                notional=money_round(qty * price),
                fee=money_up(qty * price * rate),
                executed_at=at,
            )
        )
    return facts


def in_parts(dice: random.Random, fact: FillFact, step: Decimal) -> list[FillFact]:
    """The same fill, told in two to four pieces."""
    steps = int(fact.qty / step)
    if steps < 2:
        return [fact]
    cuts = sorted({dice.randint(1, steps - 1) for _ in range(dice.randint(1, 3))})
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, steps], strict=True)]
    pieces = []
    for number, size in enumerate(sizes):
        qty = size * step
        fee = fact.fee if number == 0 else D(0)
        pieces.append(
            replace(
                fact,
                reference=f"{fact.reference}.{number}",
                qty=qty,
                notional=money_round(qty * fact.price),
                fee=fee,
            )
        )
    return pieces


def dice_variant(dice: random.Random, facts: list[FillFact]) -> list[FillFact]:
    """The same history, cut in pieces, repeated and shuffled."""
    told: list[FillFact] = []
    for fact in facts:
        step = D(1).scaleb(fact.qty.as_tuple().exponent)  # type: ignore[arg-type]
        told += in_parts(dice, fact, step) if dice.random() < 0.3 else [fact]
    told += dice.choices(told, k=dice.randint(0, len(told)))
    dice.shuffle(told)
    return told


def trades(facts: list[FillFact]) -> list[Trade]:
    """The history in the oracle's words; value and fee are the market's, not ours."""
    return [
        Trade(
            name=fact.reference,
            order=fact.order_ref or 0,
            side=fact.side,
            qty=Fraction(fact.qty),
            price=Fraction(fact.price),
            fee=Fraction(fact.fee),
            at=int((fact.executed_at - NOON).total_seconds()),
        )
        for fact in facts
    ]


def merged(holding: Holding) -> dict[tuple[int, Fraction], tuple[Fraction, Fraction]]:
    """Our lots, those of one order and price as one: how a fill was cut up must not show."""
    lots: dict[tuple[int, Fraction], tuple[Fraction, Fraction]] = {}
    for lot in holding.lots:
        key = (lot.order_ref or 0, Fraction(lot.price))
        units, cost = lots.get(key, (Fraction(0), Fraction(0)))
        lots[key] = (units + Fraction(lot.remaining), cost + Fraction(lot.cost))
    return lots


def assert_agrees(holding: Holding, told: list[FillFact], answer: Answer) -> None:
    """To the last digit, and not one digit more."""
    cash = sum((fact.cash for fact in {f.reference: f for f in told}.values()), D(0))
    assert Fraction(cash) == answer.cash
    assert Fraction(holding.qty) == answer.qty
    assert Fraction(holding.cost_basis) == answer.cost
    assert Fraction(holding.realized_pl) == answer.realized
    assert Fraction(holding.fees) == answer.fees
    assert merged(holding) == answer.lots


def test_over_ten_thousand_histories_agree_with_the_oracle():
    """Shuffled, repeated, cut in pieces: the same cash, position, lots and P&L."""
    for number in range(BULK):
        dice = random.Random(f"lots:{number}")
        facts = dice_history(dice, dice.randint(1, 14))
        told = dice_variant(dice, facts)
        try:
            assert_agrees(replay(told), told, solve(trades(facts)))
        except AssertionError as error:
            raise AssertionError(f"seed {number}: {told}") from error


@given(st.randoms(use_true_random=False), st.integers(1, 40))
@settings(max_examples=200)
def test_a_history_that_hypothesis_makes_up_agrees_with_the_oracle(
    dice: random.Random, length: int
):
    facts = dice_history(dice, length)
    told = dice_variant(dice, facts)
    assert_agrees(replay(told), told, solve(trades(facts)))


@given(st.randoms(use_true_random=False), st.integers(1, 30))
@settings(max_examples=100)
def test_one_fill_after_the_other_ends_where_a_replay_ends(dice: random.Random, length: int):
    facts = sorted(dice_history(dice, length), key=lambda fact: fact.key)
    holding = Holding()
    for fact in facts:
        holding = apply(holding, fact)
    assert holding == replay(facts)


@given(st.randoms(use_true_random=False), st.integers(1, 30), st.integers(1, 10**6))
@settings(max_examples=100)
def test_what_was_won_is_what_the_account_grew_by(dice: random.Random, length: int, price: int):
    """Realised + unrealised - fees = equity less what was paid in, at any price."""
    facts = dice_history(dice, length)
    holding, last = replay(facts), Fraction(price)
    answer = solve(trades(facts), cash=Fraction(1000))
    unrealized = Fraction(holding.qty) * last - Fraction(holding.cost_basis)
    won = Fraction(holding.realized_pl) + unrealized - Fraction(holding.fees)
    assert won == answer.equity(last) - 1000


# ── by hand ──────────────────────────────────────────────────────────────────
def fill(
    number: int, side: str, qty: str, price: str, fee: str = "0", *, day: int | None = None
) -> FillFact:
    units, each = D(qty), D(price)
    return FillFact(
        f"T{number}",
        number,
        side,  # type: ignore[arg-type]
        units,
        each,
        money_round(units * each),
        D(fee),
        NOON + timedelta(days=number if day is None else day),
    )


def test_the_oldest_shares_are_sold_first():
    holding = replay(
        [fill(1, "buy", "10", "100"), fill(2, "buy", "10", "120"), fill(3, "sell", "15", "130")]
    )
    assert [(lot.reference, lot.remaining, lot.cost) for lot in holding.lots] == [
        ("T2", D(5), D(600))
    ]
    assert holding.realized_pl == D(15 * 130 - 10 * 100 - 5 * 120)


def test_a_fee_is_no_part_of_cost_or_profit():
    holding = replay([fill(1, "buy", "1", "100", "0.10"), fill(2, "sell", "1", "100", "0.10")])
    assert (holding.qty, holding.cost_basis, holding.realized_pl) == (0, 0, 0)
    assert holding.fees == D("0.20")


def test_selling_all_of_a_lot_leaves_no_fraction_of_a_cent_behind():
    """A third of a price that does not divide: the last sale takes the rest of the cost."""
    bought = replace(fill(1, "buy", "3", "0.1"), notional=D("0.10000000"))
    sales = [fill(number, "sell", "1", "1") for number in (2, 3, 4)]
    holding = replay([bought, *sales])
    assert holding.lots == ()
    assert holding.realized_pl == D("2.9")


def test_a_late_fill_takes_its_place_in_time():
    early, late = fill(1, "buy", "1", "100", day=1), fill(9, "buy", "1", "90", day=0)
    sale = fill(2, "sell", "1", "110", day=2)
    assert replay([early, sale]).realized_pl == D(10)
    assert replay([early, sale, late]).realized_pl == D(20)  # the older, cheaper one went first


def test_a_clock_that_ran_backwards_does_not_unsell_what_was_sold():
    """The sale bears an earlier time than its purchase: the order of arrival counts."""
    facts = [fill(1, "buy", "2", "100", day=5), fill(2, "sell", "2", "110", day=4)]
    holding = replay(facts)
    assert (holding.qty, holding.realized_pl) == (0, D(20))
    assert replay([*facts, fill(3, "buy", "1", "90", day=6)]).qty == 1


def test_nothing_is_sold_that_is_not_held():
    with pytest.raises(SoldTooMuch):
        replay([fill(1, "buy", "1", "100"), fill(2, "sell", "1.000001", "100")])


@pytest.mark.parametrize(
    "wrong",
    [{"qty": D(0)}, {"qty": D(-1)}, {"price": D(0)}, {"notional": D(-1)}, {"fee": D("-0.01")}],
)
def test_a_fill_without_sense_is_refused(wrong: dict[str, Decimal]):
    with pytest.raises(InvariantBroken):
        apply(Holding(), replace(fill(1, "buy", "1", "100"), **wrong))
