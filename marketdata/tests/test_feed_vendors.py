"""The feed process with real packages and vendors on the loopback, as it is run for real."""

import json
import os
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from marketdata import quote_store
from marketdata.models import Instrument
from marketdata.services.instruments import instruments_load
from speedtrade.datafolder import PROJECT
from speedtrade.health import health_report
from speedtrade.testing.cast import ApiClient
from speedtrade.testing.vendors.alpaca_data import KEY, SECRET, AlpacaDataVendor
from speedtrade.testing.vendors.faults import gateway
from speedtrade.testing.vendors.kraken import KrakenVendor
from speedtrade.testing.waiting import wait_until

pytestmark = [pytest.mark.real_time, pytest.mark.serial, pytest.mark.django_db(transaction=True)]
D = Decimal
BOOT = 60  # seconds for a process on a busy machine


def environment(alpaca, kraken, **changes):
    """What the process is started with: the test's servers, the vendors' addresses."""
    parts = connection.get_connection_params()
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    if parts.get("port"):
        url += f"&port={parts['port']}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "MARKET_DATA_FEEDS": "alpaca,ccxt:kraken,simulated",
        "ALPACA_DATA_KEY": KEY,
        "ALPACA_DATA_SECRET": SECRET,
        "ALPACA_DATA_URL": alpaca.url,
        "ALPACA_TRADING_URL": alpaca.url,
        "ALPACA_DATA_STREAM_URL": alpaca.stream_url,
        "CCXT_URLS": json.dumps({"kraken": kraken.urls}),
        **changes,
    }


class Feed:
    """The process; what it said is kept."""

    def __init__(self, folder: Path, env):
        self.log = folder / "feed.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run_feed"],
                cwd=PROJECT,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def words(self):
        return self.log.read_text()[-4000:]

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()


@pytest.fixture
def vendors(settings):
    settings.MARKET_DATA_FEEDS = ["alpaca", "ccxt:kraken", "simulated"]
    settings.BARS_WAIT = timedelta(seconds=15)
    instruments_load()
    with AlpacaDataVendor() as alpaca, KrakenVendor() as kraken:
        alpaca.price("AAPL", bid=189.5, ask=189.6)
        alpaca.price("SPY", bid=600.0, ask=600.1)
        start = int(timezone.now().timestamp()) // 3600 * 3600
        kraken.markets["XXBTZUSD"].candles[60] = [
            [start - 3600 * n, "43000", "43100.5", "42900", "43050.1", "43020", "2.5", 9]
            for n in range(30, -1, -1)
        ]
        yield alpaca, kraken


def quote(symbol):
    return quote_store.quote_get(symbol)


def wait_for_quote(feed, symbol, source):
    def there():
        found = quote(symbol)
        return found if found is not None and found.source == source else None

    return wait_until(there, BOOT, lambda: f"{symbol}: {quote(symbol)}\n{feed.words()}")


def test_prices_and_bars_of_three_feeds_reach_the_store_and_the_api(vendors, tmp_path, alice):
    alpaca, kraken = vendors
    quote_store.watched_touch(["AAPL", "BTC/USD"], timezone.now() + timedelta(minutes=5))
    feed = Feed(tmp_path, environment(alpaca, kraken))
    try:
        stock = wait_for_quote(feed, "AAPL", "alpaca")
        coin = wait_for_quote(feed, "BTC/USD", "ccxt:kraken")
        other = wait_for_quote(feed, "KO", "simulated")
        assert (stock.bid, stock.ask) == (D("189.5"), D("189.6"))
        assert (coin.bid, coin.ask) == (D("43210.0"), D("43210.1"))
        assert other.bid
        assert Instrument.objects.get(symbol="BTC/USD").price_tick == D("0.1")
        wait_until(lambda: "AAPL" in alpaca.stream.subscribed["quotes"], BOOT, feed.words)
        alpaca.price("AAPL", bid=190.0, ask=190.1)
        wait_until(lambda: quote("AAPL").bid == D("190.0"), BOOT, feed.words)
        wait_until(lambda: len(quote("BTC/USD").bids) == 5, BOOT, feed.words)
        api = ApiClient(alice)
        bars = api.get("market/bars/BTC-USD?timeframe=1h&limit=10").json()
        assert (len(bars["bars"]), bars["loading"]) == (10, False)
        assert bars["bars"][0]["h"] == "43100.5000000000"
        days = api.get("market/bars/AAPL?timeframe=1D&limit=20").json()
        assert (len(days["bars"]), days["loading"]) == (20, False)
        assert api.get("market/quotes/AAPL").json()["source"] == "alpaca"
        assert health_report(timezone.now().timestamp()).checks["feed"] == "ok"
        one_failure_stops_no_other(feed, alpaca, kraken)
    finally:
        code = feed.end()
    assert code == 0, feed.words()
    assert SECRET not in feed.log.read_text()


def one_failure_stops_no_other(feed, alpaca, kraken):
    """Kraken goes away: Alpaca's prices move on, and /health says which of them is not well."""
    for endpoint in ("Ticker", "Depth"):
        kraken.faults.add(endpoint, gateway(503), times=1000)
    alpaca.price("AAPL", bid=191.0, ask=191.1)
    wait_until(lambda: quote("AAPL").bid == D("191.0"), BOOT, feed.words)

    def said():
        return "Kraken does not answer" in health_report(timezone.now().timestamp()).checks["feed"]

    wait_until(said, BOOT, feed.words)
    assert quote("BTC/USD").age(timezone.now()) > timedelta(seconds=2)
    assert quote("AAPL").bid == D("191.0")


def test_without_a_key_the_product_runs_on(vendors, tmp_path):
    alpaca, kraken = vendors
    feed = Feed(tmp_path, environment(alpaca, kraken, ALPACA_DATA_KEY=""))
    try:
        wait_for_quote(feed, "BTC/USD", "ccxt:kraken")
        wait_for_quote(feed, "KO", "simulated")
        assert "ALPACA_DATA_KEY and ALPACA_DATA_SECRET are not set" in feed.words()
        checks = health_report(timezone.now().timestamp()).checks
        assert "ALPACA_DATA_KEY" in checks["feed"]
    finally:
        feed.end()
    assert not alpaca.calls


def test_a_second_copy_connects_to_nobody(vendors, tmp_path):
    alpaca, kraken = vendors
    (tmp_path / "two").mkdir()

    def moved():
        """In a session, a stream that says nothing for ten seconds is connected anew."""
        alpaca.price("SPY", bid=600.0, ask=600.1)
        return True

    first = Feed(tmp_path, environment(alpaca, kraken))
    second = None
    try:
        wait_for_quote(first, "AAPL", "alpaca")
        second = Feed(tmp_path / "two", environment(alpaca, kraken))
        wait_until(lambda: moved() and "another feed runs" in second.words(), BOOT, second.words)
        assert len(alpaca.stream.opened) == 1
        stopping = threading.Thread(target=first.end)
        stopping.start()
        wait_until(lambda: moved() and len(alpaca.stream.let_in) == 2, BOOT, second.words)
        stopping.join()
    finally:
        first.end()
        if second is not None:
            second.end()
