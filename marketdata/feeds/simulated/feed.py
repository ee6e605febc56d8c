"""The simulated market as one feed among others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.conf import settings

from marketdata.domain.bars import Bar
from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import Quote
from marketdata.feeds.simulated.market import SimulatedMarket
from marketdata.feeds.simulated.profiles import load_profiles
from marketdata.hours import market_hours

NAME: Final = "simulated"


class SimulatedFeed:
    """Satisfies `marketdata.feeds.base.Feed`; any process may compute from it."""

    name = NAME
    label = "Simulated"

    def __init__(self, market: SimulatedMarket) -> None:
        self._market = market
        self._known = frozenset(market.symbols)

    @property
    def hours(self) -> MarketHours:
        return self._market.hours

    def poll(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        return [self._market.quote(symbol, now) for symbol in symbols if symbol in self._known]

    def bars(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None,
        end: datetime,
        limit: int,
        now: datetime,
    ) -> list[Bar]:
        if symbol not in self._known:
            return []
        return self._market.bars(symbol, timeframe, start, end, limit, now=now)


def build() -> SimulatedFeed:
    """The feed of this installation's seed and hours."""
    return SimulatedFeed(
        SimulatedMarket(settings.SIMULATED_MARKET_SEED, market_hours(), load_profiles())
    )
