"""The order book around the last price: spread, ten levels each side, displayed sizes.

All prices are ticks, all sizes size steps. Sizes hang on the price they stand at and change every
few seconds, so that a ladder moves with the market instead of flickering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketdata.feeds.simulated.noise import key_of, mix
from marketdata.feeds.simulated.profiles import Profile

LEVELS: Final = 10
# Slots of 250 ms, as a power of two, for which a size stands: 2 s at the top, 8 s below.
TOP_LEVELS: Final = 2
TOP_STANDS: Final = 3
DEEP_STANDS: Final = 5
# A size lies between 0.2 and 1.8 times the typical one, in 1/1024, …
SIZE_LOW: Final = 205
SIZE_SPAN: Final = 1639
# … and grows by this many 1/1024 with each level away from the market.
GROWTH: Final = 82

Rung = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Book:
    """Bids from the best down, asks from the best up, as (price in ticks, size in steps)."""

    bids: list[Rung]
    asks: list[Rung]


class BookMaker:
    """Shows the book of one symbol; a pure function of last price and slot."""

    def __init__(self, seed: str, profile: Profile) -> None:
        self._key = key_of(f"{seed}:book:{profile.symbol}")
        self._spread = profile.spread_bps / 10_000.0
        self._typical = int(profile.typical_size / profile.size_step)

    def book(self, last: int, slot: int) -> Book:
        """Return the book at a global slot number; the best bid is above zero if last >= 100."""
        spread = max(1, round(last * self._spread))
        # Where between bid and ask the last trade was: now a buyer came, now a seller.
        offset = mix(self._key, slot >> TOP_STANDS) % (spread + 1)
        bid = last - offset
        ask = bid + spread
        unit = max(1, spread // 2)
        # Below the best price the levels stand on a grid, so that they stay when the best moves.
        below = bid // unit * unit
        above = -(-ask // unit) * unit
        bids = [bid, *range(below - unit, below - LEVELS * unit, -unit)]
        asks = [ask, *range(above + unit, above + LEVELS * unit, unit)]
        return Book(self._sized(bids, slot), self._sized(asks, slot))

    def _sized(self, prices: list[int], slot: int) -> list[Rung]:
        key, typical = self._key, self._typical
        top, deep = key ^ (slot >> TOP_STANDS), key ^ (slot >> DEEP_STANDS) << 1
        rungs = []
        for depth, price in enumerate(prices):
            dice = mix(top if depth < TOP_LEVELS else deep, price) % SIZE_SPAN
            size = typical * (SIZE_LOW + dice) * (1024 + GROWTH * depth) >> 20
            rungs.append((price, size or 1))
        return rungs
