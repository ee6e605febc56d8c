"""The trading hours that this installation keeps."""

from functools import lru_cache

from django.conf import settings

from marketdata.domain.calendar import MarketHours


@lru_cache(maxsize=2)
def _hours(mode: str) -> MarketHours:
    return MarketHours("nyse" if mode == "nyse" else "always")


def market_hours() -> MarketHours:
    """`SIMULATED_MARKET_HOURS` as an object that answers for stocks and for crypto."""
    return _hours(settings.SIMULATED_MARKET_HOURS)
