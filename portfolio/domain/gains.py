"""What each sale used up, lot by lot: the pieces whose sum is a position's realised P&L.

The same rules as in `lots`, which share its code: first in, first out, cost and gain before fees.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from portfolio.domain.lots import FillFact, OpenLot, SoldTooMuch, in_order, lot_of, lot_take
from speedtrade.lib.money import ZERO, money_round


@dataclass(frozen=True, slots=True)
class Piece:
    """What one sale took from one lot; `proceeds` and `cost` in money, before fees."""

    bought: str
    sold: str
    acquired_at: datetime
    sold_at: datetime
    qty: Decimal
    proceeds: Decimal
    cost: Decimal

    @property
    def gain(self) -> Decimal:
        return self.proceeds - self.cost


@dataclass(frozen=True, slots=True)
class History:
    """All that was sold, in order, and the lots that are left."""

    pieces: tuple[Piece, ...]
    lots: tuple[OpenLot, ...]

    @property
    def realized_pl(self) -> Decimal:
        return sum((piece.gain for piece in self.pieces), ZERO)

    @property
    def qty(self) -> Decimal:
        return sum((lot.remaining for lot in self.lots), ZERO)

    @property
    def cost_basis(self) -> Decimal:
        return sum((lot.cost for lot in self.lots), ZERO)


def history(fills: Iterable[FillFact]) -> History:
    """The pieces and lots of one instrument's fills; time grows with their number only."""
    return in_order(fills, _walk)


def _walk(fills: Iterable[FillFact]) -> History:
    lots: deque[OpenLot] = deque()
    pieces: list[Piece] = []
    for fill in fills:
        if fill.side == "buy":
            lots.append(lot_of(fill))
        else:
            pieces += _sell(lots, fill)
    return History(tuple(pieces), tuple(lots))


def _sell(lots: deque[OpenLot], fill: FillFact) -> list[Piece]:
    """Take a sale from the oldest lots; its proceeds are shared out by quantity."""
    left, unshared, pieces = fill.qty, fill.notional, []
    while left > 0:
        if not lots:
            raise SoldTooMuch(f"{left} more were sold than were held")
        lot = lots.popleft()
        taken = min(left, lot.remaining)
        cost, rest = lot_take(lot, taken)
        if rest is not None:
            lots.appendleft(rest)
        # The last piece takes the rest, so that the pieces are the sale to the last digit.
        proceeds = unshared if taken == left else money_round(unshared * taken / left)
        pieces.append(
            Piece(
                bought=lot.reference,
                sold=fill.reference,
                acquired_at=lot.opened_at,
                sold_at=fill.executed_at,
                qty=taken,
                proceeds=proceeds,
                cost=cost,
            )
        )
        left, unshared = left - taken, unshared - proceeds
    return pieces


def is_long_term(acquired: date, sold: date) -> bool:
    """Whether a holding lasted more than one year; it begins on the day after the purchase."""
    begins = acquired + timedelta(days=1)
    try:
        year_on = begins.replace(year=begins.year + 1)
    except ValueError:  # 29 February
        year_on = date(begins.year + 1, 3, 1)
    return sold >= year_on
