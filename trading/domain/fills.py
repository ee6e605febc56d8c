"""Fills as stretches of their order: what tells a repeat from a second fill. Plain Python.

Where a broker says how much of an order had filled with each fill, the fill is the stretch
(cum - qty, cum]. Two channels may name it differently; that stretch is one all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of an order from `start` up to `end`, in units."""

    start: Decimal
    end: Decimal

    @property
    def qty(self) -> Decimal:
        return self.end - self.start

    def overlaps(self, others: Iterable["Stretch"]) -> bool:
        return any(self.start < other.end and other.start < self.end for other in others)


def gaps(covered: Iterable[Stretch], until: Decimal) -> list[Stretch]:
    """The stretches of (0, until] that nothing covers, in order."""
    found: list[Stretch] = []
    reached = Decimal(0)
    for stretch in sorted(covered, key=lambda one: one.start):
        if stretch.start >= until:
            break
        if stretch.start > reached:
            found.append(Stretch(reached, stretch.start))
        reached = max(reached, stretch.end)
    if reached < until:
        found.append(Stretch(reached, until))
    return found
