"""Match one order against displayed prices. A pure function of both; no clock, no luck.

Rules: never worse than the order's bound, never more than is displayed at a level, best level
first, never more than was asked for. Prices are the displayed ones, so a limit order whose limit is
better than the market's price pays the market's price.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from speedtrade.lib.money import ZERO, floor_to, times
from trading.domain.orders import Side, TimeInForce


@dataclass(frozen=True, slots=True)
class Working:
    """What is still to do of an order. Exactly one of `qty` and `notional` is set.

    `qty`: units left. `notional`: money left to spend or to receive, with at most `max_qty` units.
    `begun`: something of it has been filled before, so that dust may complete it.
    """

    side: Side
    time_in_force: TimeInForce
    price_bound: Decimal
    qty_step: Decimal
    qty: Decimal | None = None
    notional: Decimal | None = None
    max_qty: Decimal | None = None
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What the other side displays at one price. `level` is its place in the book, best is 1."""

    level: int
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Match:
    """So much at this price; with what was displayed there, as evidence."""

    qty: Decimal
    price: Decimal
    level: int
    displayed: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """The matches, whether the order is complete with them, and whether it must end now."""

    matches: tuple[Match, ...]
    complete: bool
    ends: bool


def match(order: Working, offers: Sequence[Offer]) -> Outcome:
    """Match `order` against `offers` (best first, sizes that nobody has taken yet).

    fok: all or nothing, at once. ioc: what is there, then the rest ends. day, gtc: the rest waits.
    """
    matches, complete = _walk(order, offers)
    if order.time_in_force == TimeInForce.FOK and not complete:
        return Outcome((), False, True)
    ends = complete or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
    return Outcome(matches, complete, ends)


def _walk(order: Working, offers: Sequence[Offer]) -> tuple[tuple[Match, ...], bool]:
    found: list[Match] = []
    qty_left, money_left = order.qty, order.notional
    units_left = order.max_qty
    for offer in offers:
        if not acceptable(order.side, order.price_bound, offer.price):
            break
        wanted = _wanted(qty_left, money_left, units_left, offer.price, order.qty_step)
        if wanted <= ZERO:
            # What is left buys no step. An order of which nothing was ever done is not complete:
            # fifty dollars of a share that costs a hundred wait, or end, but are not "filled".
            return tuple(found), bool(found) or order.begun
        qty = min(wanted, floor_to(offer.size, order.qty_step))
        if qty <= ZERO:
            continue
        found.append(Match(qty, offer.price, offer.level, offer.size))
        if qty_left is not None:
            qty_left -= qty
        if money_left is not None:
            money_left -= times(qty, offer.price)
        if units_left is not None:
            units_left -= qty
        if qty == wanted:
            return tuple(found), True
    return tuple(found), False


def _wanted(
    qty_left: Decimal | None,
    money_left: Decimal | None,
    units_left: Decimal | None,
    price: Decimal,
    step: Decimal,
) -> Decimal:
    """Units still wanted at this price: never a step more than the money allows."""
    if money_left is None:
        return qty_left or ZERO
    units = floor_to(max(money_left, ZERO) / price, step)
    # The division is rounded: one step too many must never be paid for.
    if times(units, price) > money_left:
        units -= step
    return units if units_left is None else min(units, units_left)


def acceptable(side: Side, bound: Decimal, price: Decimal) -> bool:
    """Whether an order with this worst price may trade at `price`."""
    return price <= bound if side == Side.BUY else price >= bound
