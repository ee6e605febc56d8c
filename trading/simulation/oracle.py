"""A second opinion on the books: what a history of fills leaves, in fractions, the naive way.

Written apart from `portfolio.domain.lots` and on purpose as plainly as a textbook: shares are taken
one purchase after the other from a list, nothing is cached, nothing is rounded. It knows no Decimal
arithmetic, so that it cannot repeat a rounding mistake.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Trade:
    """One execution as the market saw it. `at` and `name` order the history."""

    name: str
    order: int
    side: str
    qty: Fraction
    price: Fraction
    fee: Fraction
    at: int


@dataclass
class Answer:
    """Where the history ends. `lots`: (order, price) -> (units left, what they cost)."""

    cash: Fraction
    qty: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    lots: dict[tuple[int, Fraction], tuple[Fraction, Fraction]] = field(default_factory=dict)

    @property
    def cost(self) -> Fraction:
        return sum((cost for _, cost in self.lots.values()), Fraction(0))

    def equity(self, price: Fraction) -> Fraction:
        """Cash and what the units are worth at a price."""
        return self.cash + self.qty * price


def solve(trades: Iterable[Trade], cash: Fraction = Fraction(0)) -> Answer:
    """The answer for a set of trades, whatever order they come in and however often each does."""
    history = sorted({trade.name: trade for trade in trades}.values(), key=lambda t: (t.at, t.name))
    answer = Answer(cash)
    queue: list[list[Fraction | int]] = []  # [order, price, units left], oldest first
    for trade in history:
        value = trade.qty * trade.price
        answer.fees += trade.fee
        answer.cash -= trade.fee
        if trade.side == "buy":
            answer.cash -= value
            answer.qty += trade.qty
            queue.append([trade.order, trade.price, trade.qty])
        else:
            answer.cash += value
            answer.qty -= trade.qty
            answer.realized += value - _take(queue, trade.qty)
    for order, price, left in queue:
        if left:
            units, cost = answer.lots.get((int(order), Fraction(price)), (Fraction(0), Fraction(0)))
            answer.lots[int(order), Fraction(price)] = (units + left, cost + left * price)
    return answer


def _take(queue: list[list[Fraction | int]], wanted: Fraction) -> Fraction:
    """Take units from the oldest purchases on; what these units had cost."""
    cost = Fraction(0)
    for lot in queue:
        part = min(wanted, Fraction(lot[2]))
        cost += part * lot[1]
        lot[2] -= part
        wanted -= part
    if wanted:
        raise ValueError("the history sells more than it has")
    return cost
