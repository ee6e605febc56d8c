"""The trading hours that this installation keeps."""

from functools import lru_cache

from django.conf import settings

from marketdata.domain.calendar import MarketHours
from marketdata.feeds.registry import ALPACA


@lru_cache(maxsize=2)
def _hours(mode: str) -> MarketHours:
    return MarketHours("nyse" if mode == "nyse" else "always")


def market_hours() -> MarketHours:
    """`SIMULATED_MARKET_HOURS` as an object that answers for stocks and for crypto.

    Real stocks keep the exchange's hours, whatever the simulated ones would do.
    """
    real = ALPACA in settings.MARKET_DATA_FEEDS
    return _hours("nyse" if real else settings.SIMULATED_MARKET_HOURS)
