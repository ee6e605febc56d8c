"""What an order would come to: worked through by hand, on a small book."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from trading.domain.estimates import Estimate, estimate, share_in_money, share_in_units
from trading.domain.fills import Stretch, gaps
from trading.domain.matching import Offer
from trading.domain.orders import Side
from trading.tests.test_risk import FUNDS, RULES, order

D = Decimal
ASKS = (Offer(1, D("100.00"), D(4)), Offer(2, D("101.00"), D(6)))
BIDS = (Offer(1, D("99.00"), D(4)), Offer(2, D("98.00"), D(6)))
FEES = replace(RULES, fee_rate=D("0.0025"))


def seen(one: Estimate) -> tuple[str, str, str, str, str, bool, bool]:
    """(units, price, amount, fee, total, all displayed, at once), figures without idle zeros."""
    figures = (one.qty, one.price, one.amount, one.fee, one.total)
    return (*(f"{figure.normalize():f}" for figure in figures), one.displayed, one.at_once)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "intent, offers, expected",
    [
        (order(qty="4"), ASKS, ("4", "100", "400", "1", "401", True, False)),
        (order(qty="10"), ASKS, ("10", "100.6", "1006", "2.515", "1008.515", True, False)),
        # What is not on display counts at the worst price that is.
        (order(qty="12"), ASKS, ("12", "100.6666666667", "1208", "3.02", "1211.02", False, False)),
        (order("sell", "10"), BIDS, ("10", "98.4", "984", "2.46", "981.54", True, False)),
        # A limit: what the book does not give counts at the limit.
        (order(limit="100.50"), ASKS, ("10", "100.3", "1003", "2.5075", "1005.5075", False, True)),
        (
            order(limit="99.99"),
            ASKS,
            ("10", "99.99", "999.9", "2.49975", "1002.39975", False, False),
        ),
        (order(limit="100.00", qty="4"), ASKS, ("4", "100", "400", "1", "401", True, True)),
        (
            order("sell", limit="99.01"),
            BIDS,
            ("10", "99.01", "990.1", "2.47525", "987.62475", False, False),
        ),
        (
            order("sell", limit="99.00", qty="4"),
            BIDS,
            ("4", "99", "396", "0.99", "395.01", True, True),
        ),
        # Without a book the reference counts, and nothing is on display.
        (order(qty="2"), (), ("2", "90", "180", "0.45", "180.45", False, False)),
        (order(limit="80.00", qty="2"), (), ("2", "80", "160", "0.4", "160.4", False, False)),
        # In money: whole steps, never more than the amount.
        (
            order(qty=None, notional=D(450)),
            ASKS,
            ("4.495", "100.1101223582", "449.995", "1.1249875", "451.1199875", True, False),
        ),
        (
            order(qty=None, notional=D(45)),
            (),
            ("0.5", "90", "45", "0.1125", "45.1125", False, False),
        ),
    ],
)
def test_an_estimate_is_the_walk_over_the_book(intent: Any, offers: Any, expected: Any):
    assert seen(estimate(intent, FEES, D(90), offers)) == expected


def test_nothing_at_all_has_the_price_of_the_book():
    """Less money than a step costs buys nothing; its price is what it would have cost."""
    whole = replace(FEES, qty_step=D(1))
    found = estimate(order(qty=None, notional=D(50)), whole, D(90), ASKS)
    assert (found.qty, found.amount, found.price) == (D(0), D(0), D(90))


def test_what_is_left_to_buy_with_after_a_purchase_and_after_a_sale():
    bought = estimate(order(qty="4"), FEES, D(90), ASKS)
    sold = estimate(order("sell", "4"), FEES, D(90), BIDS)
    assert bought.buying_power_after(FUNDS) == D("99599")
    assert sold.buying_power_after(FUNDS) == D("100395.01")


@pytest.mark.parametrize(
    "side, share, bound, expected",
    [
        ("sell", "0.5", None, "25"),
        ("sell", "0.33333", None, "16.666"),
        ("sell", "1", "0", "50"),
        ("buy", "1", None, "0"),
        ("buy", "1", "0", "0"),
        ("buy", "1", "-1", "0"),
        ("buy", "0.5", "100", "498.753"),
        ("buy", "1", "0.5", "199501.246"),
        ("buy", "-1", "100", "0"),
    ],
)
def test_a_share_of_what_is_free_in_units(side: str, share: str, bound: str | None, expected: str):
    units = share_in_units(Side(side), D(share), FUNDS, FEES, D(bound) if bound else None)
    assert units == D(expected)


def test_a_share_never_costs_more_than_there_is_though_holds_are_rounded_upwards():
    """Three would fit to the last digit; the hold, kept in ten places, is a little more."""
    funds = replace(FUNDS, buying_power=D("99.9999"))
    rules = replace(RULES, qty_step=D(1))
    assert share_in_units(Side.BUY, D(1), funds, rules, D("33.3333")) == D(3)
    less = replace(FUNDS, buying_power=D("99.99999999999"))
    assert share_in_units(Side.BUY, D(1), less, rules, D("33.33333333333")) == D(2)


@pytest.mark.parametrize(
    "share, power, expected",
    [("1", "100000", "99750.62"), ("0.5", "100", "49.87"), ("1", "-5", "0"), ("0", "100", "0")],
)
def test_a_share_of_what_is_free_in_money(share: str, power: str, expected: str):
    funds = replace(FUNDS, buying_power=D(power))
    assert share_in_money(D(share), funds, FEES) == D(expected)


# ── stretches of fills ───────────────────────────────────────────────────────
def stretches(*ends: tuple[int, int]) -> list[Stretch]:
    return [Stretch(D(start), D(end)) for start, end in ends]


@pytest.mark.parametrize(
    "covered, until, expected",
    [
        ([], 10, [(0, 10)]),
        ([(0, 10)], 10, []),
        ([(2, 4)], 10, [(0, 2), (4, 10)]),
        ([(6, 8), (2, 4)], 10, [(0, 2), (4, 6), (8, 10)]),
        ([(0, 6), (2, 4)], 10, [(6, 10)]),
        ([(0, 4), (4, 8)], 8, []),
        ([(2, 4), (8, 12)], 8, [(0, 2), (4, 8)]),
        ([(2, 4), (9, 12)], 8, [(0, 2), (4, 8)]),
        ([(2, 12)], 8, [(0, 2)]),
        ([], 0, []),
    ],
)
def test_what_no_fill_covers_is_found_in_order(
    covered: list[tuple[int, int]], until: int, expected: list[tuple[int, int]]
):
    assert gaps(stretches(*covered), D(until)) == stretches(*expected)


@pytest.mark.parametrize(
    "other, expected",
    [((0, 4), False), ((0, 5), True), ((5, 6), True), ((7, 9), True), ((8, 9), False)],
)
def test_stretches_that_share_a_part_overlap(other: tuple[int, int], expected: bool):
    (one,) = stretches((4, 8))
    assert one.overlaps(stretches((20, 30), other)) == expected
    assert one.qty == D(4)


def test_what_is_not_displayed_counts_at_the_worst_of_all_prices_on_display():
    deep = (*ASKS, Offer(3, D("103.00"), D(1)))
    found = estimate(order(qty="12"), FEES, D(90), deep)
    assert (found.amount, found.displayed) == (D(1212), False)
    only = estimate(order(qty="5"), FEES, D(90), ASKS[:1])
    assert (only.amount, only.displayed) == (D(500), False)
