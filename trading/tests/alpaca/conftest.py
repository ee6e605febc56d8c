"""A loopback vendor, an account at it, and our adapter on the unmodified package.

Everything is imported inside the fixtures: this module is loaded before the settings exist.
"""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def vendor(settings: Any) -> Iterator[Any]:
    """Alpaca on the loopback; what it says is checked against Alpaca's own document."""
    from speedtrade.testing.vendors.alpaca import AlpacaVendor

    with AlpacaVendor() as made:
        settings.ALPACA_TRADING_URL = settings.ALPACA_LIVE_TRADING_URL = made.url
        settings.ALPACA_STREAM_URL = settings.ALPACA_LIVE_STREAM_URL = made.stream_url
        settings.BROKER_TIMEOUT = (2.0, 20.0)  # a busy machine is no fault
        yield made
        assert made.drift == []


@pytest.fixture
def theirs(vendor: Any) -> Any:
    """The account in the vendor's own book."""
    return vendor.open_account("PKALICE", "secret")


@pytest.fixture
def broker(theirs: Any) -> Any:
    """Our door to it."""
    from accounts.keys import BrokerKey
    from trading.brokers.alpaca.adapter import AlpacaBroker

    return AlpacaBroker(1, BrokerKey("PKALICE", "secret"), "paper")
