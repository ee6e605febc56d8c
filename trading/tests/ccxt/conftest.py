"""An account at the Kraken-like vendor, through the real, unmodified package.

Django is imported inside the fixtures: this module is loaded before the settings exist.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from speedtrade.testing.vendors.kraken import KrakenVendor


@pytest.fixture
def vendor() -> Iterator[KrakenVendor]:
    with KrakenVendor() as vendor:
        yield vendor


@pytest.fixture
def quick(settings: Any, db: None) -> Any:
    """Short waits, and no pace: the vendor on the loopback counts nothing."""
    from datetime import timedelta

    from trading.brokers.ccxt.client import markets_forget

    settings.BROKER_TIMEOUT = (5.0, 3.0)  # a busy machine is no fault of the line
    settings.CCXT_PACE = 10_000
    settings.CCXT_LEASE_WAIT = timedelta(seconds=10)
    markets_forget()
    yield settings
    markets_forget()


@pytest.fixture
def hand(vendor: KrakenVendor, quick: Any) -> Any:
    """What a test works with: the broker, and orders to give it."""
    from trading.tests.ccxt.hand import Hand

    quick.CCXT_URLS = {"kraken": vendor.urls}
    return Hand(vendor)


@pytest.fixture
def still(hand: Any, quick: Any) -> KrakenVendor:
    """The dice fill, and no market; bitcoin has a price here. Nothing hangs, so nothing hurries."""
    from speedtrade.testing import market

    quick.BROKER_TIMEOUT = (10.0, 10.0)
    hand.vendor.truth.instant = False
    market.instrument("BTC/USD")
    vendor: KrakenVendor = hand.vendor
    return vendor
