"""Lots first in, first out: what a history of fills leaves in the hand. Plain Python.

A holding is a function of the *set* of its fills: `replay` drops repeats and sorts by time, so
that no order of arrival changes the result (I5), as long as the times make sense. Cost and P&L are
before fees; fees stand beside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.money import ZERO, money_round


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
class Holding:
    """Lots in order, what was realised and paid on the way, and since when it is not flat."""

    lots: tuple[OpenLot, ...] = ()
    realized_pl: Decimal = ZERO
    fees: Decimal = ZERO
    opened_at: datetime | None = None

    @property
    def qty(self) -> Decimal:
        return sum((lot.remaining for lot in self.lots), ZERO)

    @property
    def cost_basis(self) -> Decimal:
        return sum((lot.cost for lot in self.lots), ZERO)


def apply(holding: Holding, fill: FillFact) -> Holding:
    """The holding after one more fill, which must be the latest; raises SoldTooMuch."""
    if fill.qty <= 0 or fill.price <= 0 or fill.notional < 0 or fill.fee < 0:
        raise InvariantBroken(f"fill {fill.reference} has no sense: {fill}")
    fees = holding.fees + fill.fee
    if fill.side == "buy":
        lot = OpenLot(
            fill.reference,
            fill.order_ref,
            fill.executed_at,
            fill.qty,
            fill.price,
            fill.qty,
            fill.notional,
        )
        opened_at = holding.opened_at or fill.executed_at
        return Holding((*holding.lots, lot), holding.realized_pl, fees, opened_at)
    lots, cost = _consume(holding.lots, fill.qty)
    realized = holding.realized_pl + fill.notional - cost
    return Holding(lots, realized, fees, holding.opened_at if lots else None)


def _consume(lots: tuple[OpenLot, ...], qty: Decimal) -> tuple[tuple[OpenLot, ...], Decimal]:
    """(lots left, cost of what went) after taking `qty` from the oldest lots."""
    left, cost, kept = qty, ZERO, []
    for lot in lots:
        taken = min(left, lot.remaining)
        if taken == 0:
            kept.append(lot)
            continue
        # The last of a lot takes the rest of its cost, so that no fraction of a cent is left over.
        part = lot.cost if taken == lot.remaining else money_round(lot.cost * taken / lot.remaining)
        left, cost = left - taken, cost + part
        if taken < lot.remaining:
            kept.append(replace(lot, remaining=lot.remaining - taken, cost=lot.cost - part))
    if left > 0:
        raise SoldTooMuch(f"{left} more were sold than were held")
    return tuple(kept), cost


def replay(fills: Iterable[FillFact]) -> Holding:
    """The holding that a set of fills leaves, whatever their order and however often each comes.

    They count in the order of their times. Where that sells what was not there yet, a clock ran
    backwards between a purchase and its sale: then they count in the order in which they came.
    """
    once = {fill.reference: fill for fill in fills}
    try:
        return _apply_all(sorted(once.values(), key=lambda fill: fill.key))
    except SoldTooMuch:
        return _apply_all(once.values())


def _apply_all(fills: Iterable[FillFact]) -> Holding:
    holding = Holding()
    for fill in fills:
        holding = apply(holding, fill)
    return holding
