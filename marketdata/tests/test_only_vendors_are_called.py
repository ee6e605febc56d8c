"""No symbol leads a feed to another address than those of settings: what its sockets open to."""

import contextlib
import threading
from datetime import UTC, datetime, timedelta

import ccxt
import pytest

from marketdata.feeds.alpaca.feed import AlpacaFeed
from marketdata.feeds.base import FeedFailed
from marketdata.feeds.ccxt import feed as feed_module
from marketdata.feeds.ccxt.feed import CcxtFeed
from speedtrade.testing.sockets import HOSTILE, doorman
from speedtrade.testing.vendors.alpaca_data import KEY, SECRET, AlpacaDataVendor
from speedtrade.testing.vendors.binance import BinanceVendor
from speedtrade.testing.vendors.coinbase import CoinbaseVendor
from speedtrade.testing.vendors.kraken import KrakenVendor
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time
LIMIT = 30
VENDORS = {"kraken": KrakenVendor, "coinbase": CoinbaseVendor, "binance": BinanceVendor}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """The pace of no venue: one on the loopback counts nothing."""
    made = feed_module._client

    def client_made(exchange):
        client = made(exchange)
        client.rateLimit = 1
        return client

    monkeypatch.setattr(feed_module, "_client", client_made)


def asked(feed):
    """Bars of each hostile symbol, and what the venue lists."""
    now = datetime.now(UTC)
    day = {"start": now - timedelta(days=1), "end": now, "limit": 10, "now": now}
    for symbol in HOSTILE:
        with contextlib.suppress(FeedFailed):
            feed.bars(symbol, "1h", **day)
    with contextlib.suppress(FeedFailed):
        feed.listings()


@contextlib.contextmanager
def running(feed, *good):
    feed.watch((*HOSTILE, *good), HOSTILE)
    feed.start()
    try:
        yield
    finally:
        feed.stop()


def test_no_symbol_leads_alpacas_feed_away(settings):
    with AlpacaDataVendor() as vendor:
        settings.ALPACA_DATA_URL = settings.ALPACA_TRADING_URL = vendor.url
        settings.ALPACA_DATA_STREAM_URL = vendor.stream_url
        vendor.price("AAPL", bid=189.5, ask=189.6)
        feed = AlpacaFeed(KEY, SECRET)
        with doorman([vendor.url, vendor.stream_url]) as door, running(feed, "AAPL"):
            wait_until(
                lambda: vendor.stream.subscribed["quotes"] >= set(HOSTILE), LIMIT, "the stream"
            )
            wait_until(lambda: vendor.calls["/v2/stocks/snapshots"], LIMIT, "the snapshots")
            asked(feed)
        assert door.strange == []
        assert door.asked == door.places
        assert vendor.calls["/v2/stocks/bars"] >= len(HOSTILE)


def test_nor_by_name(settings):
    urls = [settings.ALPACA_DATA_URL, settings.ALPACA_TRADING_URL, settings.ALPACA_DATA_STREAM_URL]
    feed = AlpacaFeed(KEY, SECRET)
    with doorman(urls) as door, running(feed):
        asked(feed)
        wait_until(lambda: door.asked == door.places, LIMIT, lambda: str(door.asked))
    assert door.strange == []


@pytest.mark.parametrize("exchange", VENDORS)
def test_no_symbol_leads_the_feed_of_an_exchange_away(settings, exchange):
    """As far as the vendor of the tests has prices; Kraken's has all."""
    with VENDORS[exchange]() as vendor:
        settings.CCXT_URLS = {exchange: vendor.urls}
        feed = CcxtFeed(f"ccxt:{exchange}", exchange, exchange)
        with doorman([vendor.wire.url]) as door:
            asked(feed)
            if exchange == "kraken":
                with running(feed, "BTC/USD"):
                    wait_until(lambda: vendor.stream.received, LIMIT, "the stream")
                    wait_until(lambda: vendor.faults.calls.get("Ticker"), LIMIT, "the prices")
            else:
                with contextlib.suppress(FeedFailed):
                    feed._step(threading.Event())
        assert door.strange == []
        assert door.asked and vendor.wire.requests


@pytest.mark.parametrize("exchange", VENDORS)
def test_nor_at_its_own_addresses(settings, exchange):
    settings.CCXT_URLS = {}
    own = getattr(ccxt, exchange)().urls["api"].values()
    with doorman(url for url in own if isinstance(url, str)) as door:
        asked(CcxtFeed(f"ccxt:{exchange}", exchange, exchange))
    assert door.strange == []
    assert door.asked


def test_an_address_that_is_a_symbol_would_be_heard(settings, monkeypatch):
    """The watch shown."""
    made = feed_module._client

    def led_away(exchange):
        client = made(exchange)
        client.http_proxy = HOSTILE[0]
        return client

    monkeypatch.setattr(feed_module, "_client", led_away)
    with KrakenVendor() as vendor:
        settings.CCXT_URLS = {"kraken": vendor.urls}
        with doorman([vendor.wire.url]) as door:
            asked(CcxtFeed("ccxt:kraken", "kraken", "Kraken"))
    assert door.strange
