"""What a CCXT exchange streams: unmodified ccxt.pro against the Kraken-like vendor's web socket."""

import contextlib
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.domain.quotes import check_quote
from marketdata.feeds.ccxt import feed as feed_module
from marketdata.feeds.ccxt import stream as stream_module
from marketdata.feeds.ccxt.feed import CcxtFeed
from marketdata.feeds.ccxt.stream import stream_urls
from speedtrade.testing.vendors.faults import gateway
from speedtrade.testing.vendors.kraken import KrakenVendor
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time

D = Decimal
LIMIT = 30
MUTE_FOUND = 15  # seconds of market time
PROMPT = 11  # less than ccxt takes to miss its pongs


@pytest.fixture
def vendor(settings):
    with KrakenVendor() as made:
        settings.CCXT_URLS = {"kraken": made.urls}
        settings.BROKER_TIMEOUT = (1, 1)
        yield made


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """The venue's pace without its pauses."""
    made = feed_module._client

    def hasty_client(exchange):
        client = made(exchange)
        client.rateLimit = 20
        return client

    def hasty_stream(exchange, source):
        client = made_stream(exchange, source)
        if client is not None:
            client.tokenBucket["refillRate"] = 1 / 20
        return client

    made_stream = stream_module._client
    monkeypatch.setattr(feed_module, "_client", hasty_client)
    monkeypatch.setattr(stream_module, "_client", hasty_stream)


@contextlib.contextmanager
def running(*watched):
    feed = CcxtFeed("ccxt:kraken", "kraken", "Kraken")
    feed.watch(watched or ("BTC/USD",), ())
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


@contextlib.contextmanager
def streaming(vendor, *watched):
    """A feed whose stream has told of all that is watched."""
    with running(*watched) as feed:
        wait_until(lambda: told_all(feed), LIMIT, lambda: said(vendor))
        yield feed


def told_all(feed):
    names = feed._watched
    return feed._stream.fresh(names, LIMIT) == feed._stream.fresh_books(names, LIMIT) == set(names)


def said(vendor):
    return f"{vendor.stream.received} {vendor.stream.lines.values()}"


def now():
    return datetime.now(UTC)


def quote_of(feed, symbol="BTC/USD"):
    return next(iter(feed.poll([symbol], now())), None)


def wait_for(feed, ask, symbol="BTC/USD", limit=LIMIT):
    def there():
        quote = quote_of(feed, symbol)
        return quote if quote is not None and ask(quote) else None

    return wait_until(there, limit, lambda: str(quote_of(feed, symbol)))


def deaf(vendor):
    """From now on polls of single symbols hear nothing, so that what moves was streamed."""
    vendor.wire.faults.add("Ticker", gateway(503), times=100_000)
    vendor.wire.faults.add("Depth", gateway(503), times=100_000)


def subscribed(vendor):
    """[(channel, symbols)] of every subscription that was asked for."""
    asked = [one["params"] for one in vendor.stream.received if one.get("method") == "subscribe"]
    return sorted((one["channel"], sorted(one["symbol"])) for one in asked)


# ── what comes ───────────────────────────────────────────────────────────────
def test_prices_and_depth_are_streamed_and_what_is_streamed_is_not_asked_for(vendor):
    with streaming(vendor) as feed:
        deaf(vendor)
        bid = D(43000)
        for step in range(5):
            bid = D(43000) + step
            vendor.price("BTC/USD", bid, bid + 1)
            quote = wait_for(feed, lambda quote, bid=bid: quote.bid == bid)
            assert quote.age(now()) < timedelta(seconds=2)
        quote = wait_for(
            feed, lambda quote: len(quote.asks) == 5 and quote.asks[0].price == bid + 1
        )
        assert [level.price for level in quote.bids] == [bid - D("0.1") * step for step in range(5)]
        assert (quote.last, quote.source) == (bid, "ccxt:kraken")
        assert (quote.prev_close, quote.volume) == (D("43210.0"), D("1234.56789012")), "of a poll"
        assert check_quote(quote, None, now()) is None
        vendor.wire.faults.clear()

        asked = len(single_polls(vendor))
        for step in range(30):
            vendor.price("BTC/USD", D(43100) + step, D(43101) + step)
            wait_for(feed, lambda quote, step=step: quote.bid == 43100 + step)
        assert len(single_polls(vendor)) - asked <= 1


def single_polls(vendor):
    """Requests for prices that name a symbol."""
    return [
        one
        for one in vendor.wire.requests
        if one.path.endswith(("/Ticker", "/Depth")) and "pair" in one.query
    ]


def test_a_level_that_is_gone_is_gone(vendor):
    with streaming(vendor) as feed:
        deaf(vendor)
        levels = [(D("43210.0"), D(1)), (D("43209.0"), D(2))]
        vendor.book("BTC/USD", levels, [(D("43210.5"), D(3))])
        quote = wait_for(feed, lambda quote: len(quote.asks) == 1 and len(quote.bids) == 2)
        assert [(level.price, level.size) for level in quote.bids] == levels


def test_what_nobody_tells_of_is_asked_for(vendor):
    """A market that is quiet is no old one: its price is confirmed by polls, as without streams."""
    with streaming(vendor) as feed:
        quote = wait_for(feed, lambda quote: quote.age(now()) < timedelta(seconds=2))
        later = wait_for(feed, lambda later: later.as_of - quote.as_of > timedelta(seconds=3))
        assert later.bid == quote.bid
        assert feed._stream.connects == 1


def test_a_new_symbol_is_subscribed_to_alone_and_too_many_begin_anew(vendor, settings, monkeypatch):
    settings.CCXT_STREAM_SYMBOLS = 2
    monkeypatch.setattr(stream_module, "ANEW", 0.0)
    with streaming(vendor, "BTC/USD") as feed:
        feed.watch(["BTC/USD", "ETH/USD"], ())
        wait_until(lambda: told_all(feed), LIMIT, lambda: said(vendor))
        assert subscribed(vendor) == [
            ("book", ["BTC/USD"]),
            ("book", ["ETH/USD"]),
            ("ticker", ["BTC/USD"]),
            ("ticker", ["ETH/USD"]),
        ]
        assert (vendor.stream.handshakes, feed._stream.connects) == (1, 1)
        del vendor.stream.received[:]
        feed.watch(["ETH/USD", "SOL/USD"], ())
        wait_until(lambda: told_all(feed), LIMIT, lambda: said(vendor))
        assert subscribed(vendor) == [
            ("book", ["ETH/USD", "SOL/USD"]),
            ("ticker", ["ETH/USD", "SOL/USD"]),
        ]
        wait_until(lambda: len(vendor.stream.lines) == 1, LIMIT, "the old line is closed")


def test_one_symbol_too_many_is_asked_for_and_throws_nobody_off(vendor, settings, monkeypatch):
    """Fails where the first by name are streamed: each look at another page would connect anew."""
    settings.CCXT_STREAM_SYMBOLS = 2
    with streaming(vendor, "BTC/USD", "ETH/USD") as feed:
        feed.watch(["ADA/USD", "BTC/USD", "ETH/USD"], ())
        vendor.price("ADA/USD", "0.600000", "0.600100")
        wait_for(feed, lambda quote: quote.bid == D("0.6") and len(quote.bids) == 5, "ADA/USD")
        monkeypatch.setattr(stream_module, "ANEW", 0.0)
        deaf(vendor)
        vendor.price("ETH/USD", "2000.00", "2000.05")
        wait_for(feed, lambda quote: quote.bid == 2000, "ETH/USD")
        assert (vendor.stream.handshakes, len(vendor.stream.lines)) == (1, 1)


# ── what goes wrong ──────────────────────────────────────────────────────────
ODD = [
    "null",
    "garbage",
    "",
    "[]",
    "{}",
    "[null]",
    '{"channel": "ticker"',
    '{"channel": "ticker", "data": null}',
    '{"channel": "ticker", "type": "update", "data": [null]}',
    '{"channel": "ticker", "data": [{"symbol": "BTC/USD"}]}',
    '{"channel": "ticker", "data": [{"symbol": "BTC/USD", "bid": "x", "ask": -1, "last": 1e999}]}',
    '{"channel": "book", "type": "update", "data": [{"symbol": "NO/USD", "bids": []}]}',
    '{"channel": "book", "type": "update", "data": [{"symbol": "BTC/USD", "bids": [{}]}]}',
    '{"channel": "book", "type": "snapshot", "data": [{"symbol": "BTC/USD", "bids": {}}]}',
    '{"error": "EGeneral:Internal error", "method": "subscribe", "success": false}',
]


@pytest.mark.parametrize("frame", ODD)
def test_a_frame_that_makes_no_sense_costs_a_connection_at_most(vendor, frame):
    """Fails without the handler of the loop: ccxt's reader dies of one, and tells nobody."""
    with streaming(vendor) as feed:
        before = quote_of(feed)
        vendor.stream.send(frame)
        deaf(vendor)
        vendor.price("BTC/USD", "43300.0", "43300.5")
        quote = wait_for(feed, lambda quote: quote.bid != before.bid, limit=PROMPT)
        assert (quote.bid, quote.ask) == (D("43300.0"), D("43300.5"))
        assert vendor.stream.handshakes <= 2


def test_a_line_that_is_cut_is_polled_over_and_comes_back(vendor):
    with streaming(vendor) as feed:
        vendor.stream.refuse = [503]
        vendor.stream.drop()
        vendor.price("BTC/USD", "43300.0", "43300.5")
        wait_for(feed, lambda quote: quote.bid == D("43300.0"))
        wait_until(lambda: feed._stream.connects == 2, LIMIT, lambda: said(vendor))
        assert vendor.stream.handshakes == 3
        deaf(vendor)
        vendor.price("BTC/USD", "43400.0", "43400.5")
        wait_for(feed, lambda quote: quote.bid == D("43400.0"))


def test_a_mute_socket_is_found_in_time_and_polled_over(vendor):
    """Connected, its pongs come, and it tells nothing: ccxt takes that for a quiet market."""
    with streaming(vendor) as feed:
        vendor.stream.mute = True
        began = time.monotonic()
        vendor.price("BTC/USD", "43300.0", "43300.5")
        wait_for(feed, lambda quote: quote.bid == D("43300.0"))
        wait_until(lambda: vendor.stream.handshakes == 2, LIMIT, "it connects anew")
        assert time.monotonic() - began <= MUTE_FOUND
        vendor.stream.mute = False
        wait_until(lambda: feed._stream.connects == 2, 2 * LIMIT, lambda: said(vendor))
        assert feed.state(now()).ok


def test_a_quiet_market_is_not_taken_for_a_mute_socket(vendor, settings):
    """Fails where silence alone counts."""
    settings.FEED_MUTE_AFTER = timedelta(seconds=0.5)
    with streaming(vendor) as feed:
        at = now()
        wait_for(feed, lambda quote: quote.as_of - at > timedelta(seconds=4))
        assert (vendor.stream.handshakes, feed._stream.connects) == (1, 1)


@pytest.mark.parametrize("fault", ["refused", "cut at once"])
def test_a_venue_that_lets_nobody_in_is_not_stormed(vendor, monkeypatch, fault):
    if fault == "refused":
        vendor.stream.refuse = [503] * 1000
    else:
        monkeypatch.setattr(vendor.stream, "serve", lambda line: line.socket.shutdown(2))
    with running() as feed:
        wait_until(lambda: vendor.stream.handshakes == 4, 2 * LIMIT, "it tries again")
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, LIMIT, "time passes")
        assert vendor.stream.handshakes <= 5
        vendor.price("BTC/USD", "43300.0", "43300.5")
        assert wait_for(feed, lambda quote: quote.bid == D("43300.0"))
        assert feed.state(now()).ok


def test_what_is_told_out_of_turn_stands_for_a_moment_at_most(vendor):
    """The venue's tickers carry no time: a poll mends what came backwards."""
    with streaming(vendor) as feed:
        vendor.stream.hold = True
        for step in range(5):
            vendor.price("BTC/USD", D(43300) + step, D(43301) + step)
        vendor.stream.let_go()
        at = now()
        quote = wait_for(
            feed, lambda quote: quote.bid == 43304 and quote.as_of - at > timedelta(seconds=1)
        )
        assert (quote.ask, check_quote(quote, None, now())) == (43305, None)


def test_a_ticker_that_is_older_than_the_last_one_is_left_out(vendor):
    with streaming(vendor, "BTC/USD", "ETH/USD") as feed:
        deaf(vendor)
        told = {"symbol": "BTC/USD", "bid_qty": 1, "ask_qty": 1, "last": 43300, "volume": 1}

        def say(bid, second):
            data = told | {"bid": bid, "ask": bid + 1, "timestamp": f"2026-11-26T10:00:{second}Z"}
            vendor.stream.send(json.dumps({"channel": "ticker", "type": "update", "data": [data]}))

        say(43300, "05.5")
        wait_for(feed, lambda quote: quote.bid == 43300)
        say(43299, "05.1")
        vendor.price("ETH/USD", "2000.00", "2000.05")
        wait_for(feed, lambda quote: quote.bid == 2000, "ETH/USD")  # so that one was seen too
        assert quote_of(feed).bid == 43300
        say(43301, "05.9")
        wait_for(feed, lambda quote: quote.bid == 43301)


def test_a_book_that_stays_crossed_begins_anew(vendor):
    """A change got lost, so it is wrong somewhere; fails where it is believed for ever."""
    with streaming(vendor) as feed:
        bid = {"price": 43999.5, "qty": 1}
        data = {"symbol": "BTC/USD", "bids": [bid], "asks": [], "checksum": 0}
        vendor.stream.send(json.dumps({"channel": "book", "type": "update", "data": [data]}))
        wait_until(lambda: feed._stream.connects == 2, LIMIT, lambda: said(vendor))
        quote = wait_for(feed, lambda quote: quote.age(now()) < timedelta(seconds=2))
        assert quote.bids[0].price == D("43210.0")


# ── where, and for whom ──────────────────────────────────────────────────────
def test_a_venue_without_streams_is_polled(vendor, monkeypatch):
    import ccxt.pro

    whole = ccxt.pro.kraken.describe
    none = {"has": {"watchTicker": False, "watchTickers": False}}
    monkeypatch.setattr(
        ccxt.pro.kraken, "describe", lambda self: self.deep_extend(whole(self), none)
    )
    with running() as feed:
        vendor.price("BTC/USD", "43300.0", "43300.5")
        wait_for(feed, lambda quote: quote.bid == D("43300.0") and len(quote.bids) == 5)
        assert vendor.stream.handshakes == 0


OWN = {"public": "https://api.x", "ws": {"a": "wss://s.x/v2", "b": {"c": "wss://t.x:9/p?q=1"}}}


@pytest.mark.parametrize(
    "moved, streams",
    [
        (
            {"public": "http://127.0.0.1:9"},
            {"a": "ws://127.0.0.1:9/v2", "b": {"c": "ws://127.0.0.1:9/p?q=1"}},
        ),
        ({"rest": "https://p.y/x"}, {"a": "wss://p.y/v2", "b": {"c": "wss://p.y/p?q=1"}}),
        ({"public": "http://a", "ws": {"a": "ws://b/v2"}}, {"a": "ws://b/v2"}),
    ],
)
def test_streams_move_with_the_address_of_their_venue(moved, streams):
    assert stream_urls(OWN, moved) == moved | {"ws": streams}


def test_a_venue_of_one_address_moves_its_one_stream():
    found = stream_urls({"rest": "https://x", "ws": "wss://y"}, {"rest": "http://127.0.0.1:9"})
    assert found["ws"] == "ws://127.0.0.1:9"


def test_the_package_is_imported_by_the_thread_that_streams_and_by_nothing_else():
    code = (
        "import sys, speedtrade.asgi\n"
        "from marketdata.feeds.registry import feed_named\n"
        "feed_named('ccxt:kraken')\n"
        "sys.exit('imported' if 'ccxt' in sys.modules else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
