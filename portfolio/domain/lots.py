"""Lots first in, first out: what a history of fills leaves in the hand. Plain Python.

A holding is a function of the *set* of its fills: `replay` drops repeats and sorts by time, so
that no order of arrival changes the result (I5), as long as the times make sense. Cost and P&L are
before fees; fees stand beside.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeVar

from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.money import ZERO, money_round

Result = TypeVar("Result")


class SoldTooMuch(InvariantBroken):
    """A sale of more than is held; short positions are off."""


@dataclass(frozen=True, slots=True)
class FillFact:
    """One execution in one instrument; `notional` is qty x price in money, already rounded."""

    reference: str
    order_ref: int | None
    side: Literal["buy", "sell"]
    qty: Decimal
    price: Decimal
    notional: Decimal
    fee: Decimal
    executed_at: datetime

    @property
    def key(self) -> tuple[datetime, str]:
        """Where it stands in the history: by time, then by the broker's own sequence."""
        return (self.executed_at, self.reference)

    @property
    def cash(self) -> Decimal:
        """What it did to cash, fee included: negative for a purchase."""
        return (self.notional if self.side == "sell" else -self.notional) - self.fee


@dataclass(frozen=True, slots=True)
class OpenLot:
    """What is left of one purchase: `remaining` of `qty` units, which cost `cost` in money."""

    reference: str
    order_ref: int | None
    opened_at: datetime
    qty: Decimal
    price: Decimal
    remaining: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Rest:
    """Several lots as one sum: units, and what they cost."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Holding:
    """Lots in order, what was realised and paid on the way, and since when it is not flat.

    `rest` is what the lots come to that were not read, since the fill to come does not reach them.
    They are younger than all of `lots`, so a holding with a rest is good for that one fill.
    """

    lots: tuple[OpenLot, ...] = ()
    realized_pl: Decimal = ZERO
    fees: Decimal = ZERO
    opened_at: datetime | None = None
    rest: Rest = Rest()

    @property
    def qty(self) -> Decimal:
        return sum((lot.remaining for lot in self.lots), self.rest.qty)

    @property
    def cost_basis(self) -> Decimal:
        return sum((lot.cost for lot in self.lots), self.rest.cost)


def apply(holding: Holding, fill: FillFact) -> Holding:
    """The holding after one more fill, which must be the latest; raises SoldTooMuch."""
    if fill.qty <= 0 or fill.price <= 0 or fill.notional < 0 or fill.fee < 0:
        raise InvariantBroken(f"fill {fill.reference} has no sense: {fill}")
    fees = holding.fees + fill.fee
    if fill.side == "buy":
        opened_at = holding.opened_at or fill.executed_at
        return replace(holding, lots=(*holding.lots, lot_of(fill)), fees=fees, opened_at=opened_at)
    lots, cost = _consume(holding.lots, fill.qty)
    return replace(
        holding,
        lots=lots,
        realized_pl=holding.realized_pl + fill.notional - cost,
        fees=fees,
        opened_at=holding.opened_at if lots or holding.rest.qty else None,
    )


def lot_of(fill: FillFact) -> OpenLot:
    """The lot that a purchase opens."""
    return OpenLot(
        reference=fill.reference,
        order_ref=fill.order_ref,
        opened_at=fill.executed_at,
        qty=fill.qty,
        price=fill.price,
        remaining=fill.qty,
        cost=fill.notional,
    )


def lot_take(lot: OpenLot, qty: Decimal) -> tuple[Decimal, OpenLot | None]:
    """(cost of what went, what is left) after taking `qty`, at most all of it, from a lot."""
    if qty == lot.remaining:
        # The last of a lot takes the rest of its cost: no fraction of a cent is left over.
        return lot.cost, None
    part = money_round(lot.cost * qty / lot.remaining)
    return part, replace(lot, remaining=lot.remaining - qty, cost=lot.cost - part)


def _consume(lots: tuple[OpenLot, ...], qty: Decimal) -> tuple[tuple[OpenLot, ...], Decimal]:
    """(lots left, cost of what went) after taking `qty` from the oldest lots."""
    left, cost, kept = qty, ZERO, []
    for lot in lots:
        taken = min(left, lot.remaining)
        if taken == 0:
            kept.append(lot)
            continue
        part, rest = lot_take(lot, taken)
        left, cost = left - taken, cost + part
        if rest is not None:
            kept.append(rest)
    if left > 0:
        raise SoldTooMuch(f"{left} more were sold than were held")
    return tuple(kept), cost


def replay(fills: Iterable[FillFact]) -> Holding:
    """The holding that a set of fills leaves, whatever their order and however often each comes."""
    return in_order(fills, _apply_all)


def in_order(fills: Iterable[FillFact], walk: Callable[[Iterable[FillFact]], Result]) -> Result:
    """What `walk` makes of each fill once, in the order of their times.

    Where that sells what was not there yet, a clock ran backwards between a purchase and its sale:
    then they count in the order in which they came.
    """
    once = {fill.reference: fill for fill in fills}
    try:
        return walk(sorted(once.values(), key=lambda fill: fill.key))
    except SoldTooMuch:
        return walk(once.values())


def _apply_all(fills: Iterable[FillFact]) -> Holding:
    holding = Holding()
    for fill in fills:
        holding = apply(holding, fill)
    return holding
