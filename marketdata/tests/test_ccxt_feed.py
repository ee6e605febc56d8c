"""The feed of a CCXT exchange: the real package against a Kraken-like vendor on the loopback."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.domain.quotes import check_quote
from marketdata.feeds.base import FeedFailed, VendorFeed
from marketdata.feeds.ccxt import feed as feed_module
from marketdata.feeds.ccxt.feed import CcxtFeed
from speedtrade.testing.vendors.faults import (
    drop_after,
    edited,
    empty_after,
    gateway,
    hang_after,
    html_after,
    refuse,
    truncated_after,
)
from speedtrade.testing.vendors.kraken import KrakenVendor
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time

D = Decimal
LIMIT = 30


@pytest.fixture
def vendor(settings):
    with KrakenVendor() as made:
        settings.CCXT_URLS = {"kraken": made.urls}
        settings.BROKER_TIMEOUT = (1, 1)
        made.stream.refuse = [503] * 1000  # what is streamed has tests of its own
        yield made


@pytest.fixture
def hasty(monkeypatch, settings):
    """The venue's pace without its pauses, for tests that ask often."""
    made = feed_module._client

    def hasty_client(exchange):
        client = made(exchange)
        client.rateLimit = 20
        return client

    monkeypatch.setattr(feed_module, "_client", hasty_client)
    settings.CCXT_POLL = timedelta(milliseconds=50)


def make():
    return CcxtFeed("ccxt:kraken", "kraken", "Kraken")


@contextlib.contextmanager
def running(watched=("BTC/USD",)):
    feed = make()
    feed.watch(watched, ())
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def now():
    return datetime.now(UTC)


def quote_of(feed, symbol="BTC/USD"):
    return next(iter(feed.poll([symbol], now())), None)


def wait_for(feed, ask, symbol="BTC/USD"):
    def there():
        quote = quote_of(feed, symbol)
        return quote if quote is not None and ask(quote) else None

    return wait_until(there, LIMIT, lambda: str(quote_of(feed, symbol)))


def test_prices_come_from_tickers_and_depth_from_the_book(vendor, hasty):
    with running() as feed:
        assert isinstance(feed, VendorFeed)
        quote = wait_for(feed, lambda quote: len(quote.bids) == 5)
        assert (quote.bid, quote.ask) == (D("43210.0"), D("43210.1"))
        assert (quote.bids[0].size, quote.asks[1].price) == (D("1.5"), D("43210.2"))
        assert (quote.prev_close, quote.source) == (D("43210.0"), "ccxt:kraken")
        assert quote.volume == D("1234.56789012")
        assert check_quote(quote, None, now()) is None
        assert quote.age(now()) < timedelta(seconds=5)
        market = vendor.markets["XXBTZUSD"]
        market.bids = [(D("43300.0"), D(2))]
        market.asks = [(D("43300.5"), D(3))]
        market.last = (D("43300.2"), D("0.1"))
        moved = wait_for(feed, lambda quote: quote.bid == D("43300.0"))
        assert moved.seq > quote.seq
        assert quote_of(feed, "ETH/USD").bid == D("2300.00")
        assert quote_of(feed, "XBT/EUR") is None


def test_the_vendor_s_pace_is_kept(vendor):
    with running(["BTC/USD", "ETH/USD", "SOL/USD"]) as feed:
        wait_for(feed, lambda quote: len(quote.bids) == 5)
        began, before = time.monotonic(), len(vendor.wire.requests)
        wait_until(lambda: time.monotonic() - began > 3, LIMIT, "time passes")
        assert len(vendor.wire.requests) - before <= 4


@pytest.mark.parametrize(
    "fault",
    [
        drop_after(),
        hang_after(),
        gateway(502),
        empty_after(),
        truncated_after(),
        html_after(),
        refuse("EGeneral:Too many requests"),
        edited(lambda reply: {"error": [], "result": {"XXBTZUSD": {"a": "x"}}}),
        edited(lambda reply: {"error": [], "result": None}),
    ],
    ids=["drop", "hang", "502", "empty", "truncated", "html", "too many", "odd", "nothing"],
)
def test_a_bad_answer_leaves_the_last_good_quote_and_the_next_one_mends_it(vendor, hasty, fault):
    with running() as feed:
        wait_for(feed, lambda quote: quote.bid)
        before = quote_of(feed)
        vendor.faults.add("Ticker", fault, times=2)
        calls = vendor.faults.calls["Ticker"]
        wait_until(lambda: vendor.faults.calls["Ticker"] >= calls + 2, LIMIT, "two bad answers")
        between = quote_of(feed)
        assert (between.bid, between.ask) == (before.bid, before.ask)
        vendor.faults.clear()
        at = now()
        wait_for(feed, lambda quote: quote.as_of > at)
        assert feed.state(now()).ok


def test_an_exchange_that_is_away_is_said_and_asked_less_and_less(vendor, hasty):
    with running() as feed:
        wait_for(feed, lambda quote: quote.bid)
        vendor.faults.add("Ticker", gateway(503), times=1000)
        vendor.faults.add("Depth", gateway(503), times=1000)
        wait_until(lambda: not feed.state(now()).ok, LIMIT, "it is unwell")
        assert feed.state(now()).words == "Kraken does not answer"
        last = quote_of(feed).as_of
        wait_until(lambda: quote_of(feed).age(now()) > timedelta(seconds=2), LIMIT, "it grows old")
        assert quote_of(feed).as_of == last
        vendor.faults.clear()
        wait_until(lambda: feed.state(now()).ok, LIMIT, "it is well again")


def test_markets_become_instruments_with_the_venue_s_rules(vendor):
    vendor.markets["SOLUSD"].status = "cancel_only"
    listed = {row.symbol: row for row in make().listings()}
    assert set(listed) == {"BTC/USD", "ETH/USD", "DOGE/USD", "ADA/USD"}
    coin = listed["BTC/USD"]
    assert (coin.price_tick, coin.qty_step) == (D("0.1"), D("0.0000001"))
    assert (coin.min_qty, coin.min_notional) == (D("0.00005"), D("0.5"))
    assert (listed["DOGE/USD"].price_tick, listed["DOGE/USD"].qty_step) == (D("1e-7"), D("0.1"))
    assert listed["ADA/USD"].exchange == "Kraken"


def test_candles_become_bars(vendor):
    start = datetime(2026, 11, 23, tzinfo=UTC)
    at = int(start.timestamp())
    vendor.markets["XXBTZUSD"].candles[60] = [
        [at + 3600 * n, "100.1", "101.5", "99.25", f"{100 + n}", "100", "1.50000000", 7]
        for n in range(5)
    ]
    end = start + timedelta(hours=4)
    bars = make().bars("BTC/USD", "1h", start=start, end=end, limit=100, now=end)
    assert [bar.t for bar in bars] == [start + timedelta(hours=n) for n in range(5)]
    assert (bars[1].o, bars[1].h, bars[1].l, bars[1].c) == (D("100.1"), D("101.5"), D("99.25"), 101)
    assert make().bars("BTC/USD", "1h", start=end, end=end, limit=9, now=end) == bars[-1:]
    with pytest.raises(FeedFailed):
        make().bars("NO/USD", "1h", start=start, end=end, limit=9, now=end)


def test_an_exchange_that_cannot_be_reached_is_a_failure_in_words(settings):
    settings.CCXT_URLS = {
        "kraken": {"public": "http://127.0.0.1:1", "private": "http://127.0.0.1:1"}
    }
    with pytest.raises(FeedFailed, match="markets"):
        make().listings()
