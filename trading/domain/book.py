"""Resting orders by price: who comes first, and who can trade at all. Plain Python.

A tick asks only for the orders that it can fill, so ten thousand others cost it nothing.
"""

from bisect import bisect_left, bisect_right, insort
from decimal import Decimal

from trading.domain.orders import Side

Key = tuple[Decimal, int, int]  # (price, best first; arrival; order id)


class PriceIndex:
    """The resting orders of one symbol and side, best price first, then first come."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._keys: list[Key] = []
        self._by_id: dict[int, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._by_id

    def add(self, order_id: int, bound: Decimal, arrival: int) -> None:
        """Put an order in its place; adding it again changes nothing."""
        if order_id in self._by_id:
            return
        key = (self._rank(bound), arrival, order_id)
        insort(self._keys, key)
        self._by_id[order_id] = key

    def remove(self, order_id: int) -> None:
        """Take an order out, if it is here."""
        key = self._by_id.pop(order_id, None)
        if key is not None:
            del self._keys[bisect_left(self._keys, key)]

    def crossing(self, price: Decimal) -> list[int]:
        """Ids of the orders that accept `price` (the other side's best), first to trade first."""
        end = bisect_right(self._keys, self._rank(price), key=lambda key: key[0])
        return [key[2] for key in self._keys[:end]]

    def accepts(self, order_id: int, price: Decimal) -> bool:
        """Whether an order that rests here accepts `price`; if not, nobody behind it does."""
        return self._by_id[order_id][0] <= self._rank(price)

    def _rank(self, price: Decimal) -> Decimal:
        """Smaller is better: a buyer's high price, a seller's low one."""
        return -price if self.side == Side.BUY else price
