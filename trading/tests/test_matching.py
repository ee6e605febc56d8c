"""Matching and the resting book: over ten thousand random orders no rule is ever broken."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speedtrade.lib.money import floor_to
from trading.domain.book import PriceIndex
from trading.domain.matching import Offer, Outcome, Working, match
from trading.domain.orders import IMMEDIATE_TIFS, Side, TimeInForce

D = Decimal
TIFS = [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]
STEPS = [D("1"), D("0.001"), D("0.000001")]
BULK = 12_000


def dice_order(dice: random.Random) -> Working:
    """Any order: round and ragged sizes, bounds on both sides of the market."""
    side = dice.choice(list(Side))
    step = dice.choice(STEPS)
    bound = D(dice.randint(9_500, 10_500)).scaleb(-2)
    tif = dice.choice(TIFS)
    if dice.random() < 0.6:
        qty = step * dice.choice([1, 2, 7, dice.randint(1, 10**6), dice.randint(1, 10**9)])
        return Working(side, tif, bound, step, qty=qty)
    notional = D(dice.choice([1, 100, dice.randint(1, 10**9)])).scaleb(-2)
    most = None
    if side == Side.SELL:
        most = floor_to(notional / bound, step) + step
    begun = dice.random() < 0.3
    return Working(side, tif, bound, step, notional=notional, max_qty=most, begun=begun)


def dice_offers(dice: random.Random, side: Side) -> list[Offer]:
    """None to ten levels, best first; sizes off the order's grid, and zero where all is taken."""
    price = D(dice.randint(9_600, 10_400)).scaleb(-2)
    away = 1 if side == Side.BUY else -1
    offers = []
    for level in range(1, dice.randint(0, 10) + 1):
        size = D(dice.choice([0, 1, dice.randint(0, 10**6), dice.randint(0, 10**12)])).scaleb(-7)
        offers.append(Offer(level, price, size))
        price += away * D(dice.randint(1, 30)).scaleb(-2)
    return offers


def accepts(order: Working, price: Decimal) -> bool:
    buys = order.side == Side.BUY
    return price <= order.price_bound if buys else price >= order.price_bound


def assert_lawful(order: Working, offers: list[Offer], outcome: Outcome) -> None:
    """Every rule of the matching, each asked without the matcher's own arithmetic."""
    by_level = {offer.level: offer for offer in offers}
    qty = sum((Fraction(found.qty) for found in outcome.matches), Fraction(0))
    value = sum((Fraction(m.qty) * Fraction(m.price) for m in outcome.matches), Fraction(0))
    for found in outcome.matches:
        offer = by_level[found.level]
        assert found.price == offer.price, "the price is the level's"
        assert accepts(order, found.price), "never worse than the bound"
        assert 0 < found.qty <= offer.size == found.displayed, "never more than is displayed"
        assert found.qty % order.qty_step == 0, "whole steps"
    levels = [found.level for found in outcome.matches]
    assert levels == sorted(set(levels)), "best level first, each once"
    if order.qty is not None:
        assert qty <= Fraction(order.qty)
        assert outcome.complete == (qty == Fraction(order.qty))
    else:
        assert order.notional is not None
        assert value <= Fraction(order.notional)
        assert order.max_qty is None or qty <= Fraction(order.max_qty)
    if outcome.complete and not order.begun:
        assert outcome.matches, "nothing done is not complete"
    if order.time_in_force == TimeInForce.FOK:
        assert outcome.ends and (outcome.complete or not outcome.matches), "all or nothing"
    else:
        assert_greedy(order, offers, outcome)
    assert outcome.ends == (outcome.complete or order.time_in_force in IMMEDIATE_TIFS)


def assert_greedy(order: Working, offers: list[Offer], outcome: Outcome) -> None:
    """Nothing acceptable was left lying while the order still wanted some of it."""
    if outcome.complete:
        return
    taken = {found.level: found.qty for found in outcome.matches}
    money = order.notional
    if money is not None:
        money -= sum((found.qty * found.price for found in outcome.matches), D(0))
    for offer in offers:
        if not accepts(order, offer.price):
            break
        if money is not None and money < offer.price * order.qty_step:
            continue  # not a single step can be paid for here
        left = offer.size - taken.get(offer.level, D(0))
        assert left < order.qty_step, "a better level was passed over"


def test_over_ten_thousand_random_orders_no_rule_is_broken():
    for number in range(BULK):
        dice = random.Random(f"matching:{number}")
        order = dice_order(dice)
        offers = dice_offers(dice, order.side)
        try:
            assert_lawful(order, offers, match(order, offers))
        except AssertionError as error:
            raise AssertionError(f"seed {number}: {order} against {offers}") from error


@given(st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_no_rule_is_broken_by_an_order_that_hypothesis_makes_up(dice: random.Random):
    order = dice_order(dice)
    offers = dice_offers(dice, order.side)
    assert_lawful(order, offers, match(order, offers))


def buy(qty: str | None = None, **more: object) -> Working:
    terms = {"side": Side.BUY, "time_in_force": TimeInForce.DAY, "price_bound": D("101")}
    terms |= {"qty_step": D("0.001"), "qty": D(qty) if qty else None, **more}
    return Working(**terms)  # type: ignore[arg-type]


BOOK = [Offer(1, D("100"), D("5")), Offer(2, D("101"), D("7")), Offer(3, D("102"), D("100"))]


def test_an_order_walks_the_book_from_the_best_level_to_its_bound():
    outcome = match(buy("20"), BOOK)
    assert [(m.level, m.price, m.qty) for m in outcome.matches] == [
        (1, D("100"), D("5")),
        (2, D("101"), D("7")),
    ]
    assert (outcome.complete, outcome.ends) == (False, False)


def test_a_limit_better_than_the_market_pays_the_markets_price():
    outcome = match(buy("5"), BOOK)
    assert [(m.price, m.qty) for m in outcome.matches] == [(D("100"), D("5"))]
    assert outcome.complete


@pytest.mark.parametrize(
    "qty, filled, complete", [("11.999", 11.999, True), ("12", 12, True), ("12.001", 0, False)]
)
def test_fill_or_kill_takes_all_or_nothing(qty: str, filled: float, complete: bool):
    outcome = match(buy(qty, time_in_force=TimeInForce.FOK), BOOK)
    assert sum(m.qty for m in outcome.matches) == D(str(filled))
    assert (outcome.complete, outcome.ends) == (complete, True)


def test_immediate_or_cancel_takes_what_is_there_and_ends():
    outcome = match(buy("20", time_in_force=TimeInForce.IOC), BOOK)
    assert sum(m.qty for m in outcome.matches) == 12
    assert (outcome.complete, outcome.ends) == (False, True)


def test_an_amount_of_money_buys_whole_steps_and_never_one_too_many():
    outcome = match(buy(notional=D("100.05")), BOOK)
    assert [(m.price, m.qty) for m in outcome.matches] == [(D("100"), D("1.000"))]
    assert outcome.complete, "the five cents that are left buy no step"


def test_a_rounded_division_never_pays_for_a_step_too_many():
    """Two dollars less a hair, divided by one, round to two: the second unit cannot be paid for."""
    order = buy(notional=D("1." + "9" * 30), qty_step=D(1))
    outcome = match(order, [Offer(1, D(1), D(5))])
    assert [found.qty for found in outcome.matches] == [D(1)]


def test_an_amount_that_buys_not_one_share_is_not_called_complete():
    """TSM trades in whole shares: fifty dollars of it must not come back as filled with nothing."""
    order = buy(notional=D("50"), qty_step=D(1))
    assert match(order, BOOK) == Outcome((), False, False)
    immediate = buy(notional=D("50"), qty_step=D(1), time_in_force=TimeInForce.IOC)
    assert match(immediate, BOOK) == Outcome((), False, True)


def test_the_dust_that_a_partly_filled_amount_leaves_completes_it():
    order = buy(notional=D("50"), qty_step=D(1), begun=True)
    assert match(order, BOOK) == Outcome((), True, True)


def test_a_sale_in_dollars_sells_no_more_units_than_are_on_hold():
    order = Working(
        Side.SELL, TimeInForce.DAY, D("90"), D("0.001"), notional=D("1000"), max_qty=D("3")
    )
    outcome = match(order, [Offer(1, D("100"), D("50"))])
    assert [m.qty for m in outcome.matches] == [D("3")]
    assert outcome.complete


# ── the resting book ─────────────────────────────────────────────────────────
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "ask"]),
        st.integers(1, 30),
        st.integers(1, 12),
    ),
    max_size=80,
)


@given(st.sampled_from(list(Side)), MOVES)
@settings(max_examples=300)
@example(
    Side.BUY, [("add", 1, 5), ("add", 1, 7), ("ask", 0, 5), ("remove", 1, 0), ("remove", 1, 0)]
)
def test_the_price_index_answers_as_a_sorted_list_would(side, moves):
    index = PriceIndex(side)
    naive: dict[int, tuple[int, int]] = {}  # id -> (price, arrival)
    for arrival, (what, order_id, price) in enumerate(moves):
        if what == "add":
            index.add(order_id, D(price), arrival)
            naive.setdefault(order_id, (price, arrival))
        elif what == "remove":
            index.remove(order_id)
            naive.pop(order_id, None)
        sign = -1 if side == Side.BUY else 1
        expected = [
            key
            for key, _ in sorted(naive.items(), key=lambda item: (sign * item[1][0], item[1][1]))
            if (naive[key][0] >= price if side == Side.BUY else naive[key][0] <= price)
        ]
        assert index.crossing(D(price)) == expected
        assert len(index) == len(naive)
        assert (order_id in index) == (order_id in naive)


def test_ten_thousand_resting_orders_cost_a_tick_that_reaches_none_of_them_nothing():
    """The question is a binary search: it looks at a handful of keys, not at all of them."""
    looked = 0

    class Counted(Decimal):
        def __lt__(self, other):
            nonlocal looked
            looked += 1
            return Decimal.__lt__(self, other)

    index = PriceIndex(Side.SELL)
    for number in range(10_000):
        index.add(number, D(200_000 + number).scaleb(-2), number)
    assert index.crossing(Counted("1999.99")) == []
    assert looked <= 20
