"""The feed of Alpaca: the real package against a vendor on the loopback."""

import contextlib
import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from string import ascii_uppercase as LETTERS

import msgpack
import pytest

from marketdata.domain.quotes import check_quote
from marketdata.feeds.alpaca.feed import AlpacaFeed
from marketdata.feeds.alpaca.stream import QuoteStream
from marketdata.feeds.base import FeedFailed, VendorFeed
from speedtrade.testing.vendors.alpaca_data import KEY, SECRET, AlpacaDataVendor, reset_header
from speedtrade.testing.vendors.alpaca_data_market import asset
from speedtrade.testing.vendors.alpaca_data_spec import check_data_message, check_data_reply
from speedtrade.testing.vendors.spec import Drift
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time

D = Decimal
MONDAY = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)  # 10:00 in New York
LIMIT = 20
SNAPSHOTS = "/v2/stocks/snapshots"


@pytest.fixture
def vendor(settings):
    with AlpacaDataVendor() as made:
        settings.ALPACA_DATA_URL = settings.ALPACA_TRADING_URL = made.url
        settings.ALPACA_DATA_STREAM_URL = made.stream_url
        settings.BROKER_TIMEOUT = (1, 1)
        settings.FEED_MUTE_AFTER = timedelta(seconds=1.5)
        settings.FEED_CONNECT_LIMIT = timedelta(seconds=1)
        made.price("AAPL", bid=189.5, ask=189.6)
        made.price("SPY", bid=600.0, ask=600.1)
        yield made
        assert made.drifts == []


@pytest.fixture(autouse=True)
def closed_market(monkeypatch):
    """Whatever time it is: while it is open, a stream that says nothing is connected anew."""
    monkeypatch.setattr("marketdata.feeds.alpaca.feed._busy", lambda now: False)


@pytest.fixture
def open_market(monkeypatch, closed_market):
    monkeypatch.setattr("marketdata.feeds.alpaca.feed._busy", lambda now: True)


@contextlib.contextmanager
def running(key=KEY, secret=SECRET, watched=("AAPL",), others=()):
    feed = AlpacaFeed(key, secret)
    feed.watch(watched, others)
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def now():
    return datetime.now(UTC)


def quote_of(feed, symbol="AAPL"):
    return next(iter(feed.poll([symbol], now())), None)


def wait_for_bid(feed, bid, symbol="AAPL"):
    def there():
        quote = quote_of(feed, symbol)
        return quote if quote is not None and quote.bid == D(bid) else None

    return wait_until(there, LIMIT, lambda: f"{quote_of(feed, symbol)} has no bid of {bid}")


def wait_for_stream(vendor, symbol="AAPL"):
    wait_until(lambda: symbol in vendor.stream.subscribed["trades"], LIMIT, "the subscription")


def test_it_is_a_vendor_feed(vendor):
    feed = AlpacaFeed(KEY, SECRET)
    assert isinstance(feed, VendorFeed)
    assert (feed.name, feed.label) == ("alpaca", "Alpaca IEX")


def test_a_snapshot_gives_the_day_and_the_stream_moves_it(vendor):
    with running() as feed:
        quote = wait_for_bid(feed, "189.5")
        assert (quote.ask, quote.last, quote.bid_size) == (D("189.6"), D("189.55"), D(100))
        assert quote.prev_close == D("185.76")
        assert quote.source == "alpaca"
        assert check_quote(quote, None, now()) is None
        wait_for_stream(vendor)
        vendor.price("AAPL", bid=190.0, ask=190.25, size=7)
        moved = wait_for_bid(feed, "190.0")
        assert (moved.ask, moved.bid_size, moved.bids[0].size) == (D("190.25"), D(7), D(7))
        assert moved.seq > quote.seq
        assert moved.as_of > quote.as_of


def test_what_is_watched_streams_within_the_limit_and_the_rest_comes_as_snapshots(vendor, settings):
    settings.ALPACA_STREAM_SYMBOLS = 3
    names = [f"X{letter}" for letter in "ABCDE"]
    for name in names:
        vendor.price(name, bid=10.0, ask=10.1)
    with running(watched=names[:4], others=["XE", "NOSUCH"]) as feed:
        wait_until(lambda: len(feed.poll(names, now())) == 5, LIMIT, "all five have a quote")
        wait_for_stream(vendor, "XB")
        assert vendor.stream.subscribed["quotes"] == {"SPY", "XA", "XB"}
        feed.watch(["XB", "XE"], ["XA", "XC"])
        wait_for_stream(vendor, "XE")
        assert vendor.stream.subscribed["quotes"] == {"SPY", "XB", "XE"}
        assert len(vendor.stream.let_in) == 1
        vendor.price("XE", bid=11.0, ask=11.1)
        wait_for_bid(feed, "11.0", "XE")


def test_a_run_of_the_stream_that_ends_leaves_the_connection_of_the_next_one(vendor):
    stream = QuoteStream(KEY, SECRET, on_quote=print, on_trade=print)
    stream.start()
    wait_until(lambda: stream.open, LIMIT, "it is let in")
    stream._connection = later = object()
    stream.stop()
    assert stream._connection is later


def test_it_asks_again_after_it_was_stopped(vendor):
    """Whoever loses the lease is stopped, and started where it comes back."""
    with running() as feed:
        wait_for_bid(feed, "189.5")
        feed.stop()
        vendor.calls.clear()
        feed.start()
        wait_until(lambda: vendor.calls[SNAPSHOTS], LIMIT, "it asks for snapshots")
        wait_until(lambda: feed._desk.failures == 0, LIMIT, "it is well")


def test_everything_watched_beyond_the_stream_is_asked_for_in_turn(vendor, settings, monkeypatch):
    monkeypatch.setattr("marketdata.feeds.alpaca.feed.ROUND_OPEN", 0.5)
    settings.ALPACA_CALLS_PER_MINUTE = 6000
    names = {f"{first}{last}" for first in LETTERS for last in LETTERS[:20]}
    with running(watched=names):
        streamed = settings.ALPACA_STREAM_SYMBOLS - 1  # the canary is one of those
        asked = Counter()

        def all_twice():
            asked.clear()
            asked.update(s for _, q in list(vendor.asked) for s in q["symbols"].split(","))
            return sum(asked[name] >= 2 for name in names) >= len(names) - streamed

        wait_until(all_twice, LIMIT, lambda: f"{len(asked)} of {len(names)} were asked for")


def test_at_the_bell_every_day_is_asked_for_at_once(vendor, settings):
    settings.ALPACA_STREAM_SYMBOLS = 2
    feed = AlpacaFeed(KEY, SECRET)
    feed.watch(["AAPL", "MSFT"], ["KO"])
    feed._streamed = feed._choose()
    rest = feed._own_rest()

    def asked_at(moment):
        vendor.asked.clear()
        feed._snapshots_due(rest, moment)
        return {symbol for _, asked in vendor.asked for symbol in asked["symbols"].split(",")}

    before, bell = MONDAY.replace(hour=14, minute=29), MONDAY.replace(hour=14, minute=30)
    assert asked_at(before) == {"SPY", "AAPL", "MSFT", "KO"}
    assert asked_at(before) == set()
    assert asked_at(bell) == {"SPY", "AAPL", "MSFT", "KO"}
    assert asked_at(bell) == set()


def test_a_symbol_that_alpaca_does_not_take_does_not_hide_the_others(vendor):
    vendor.market.bad_symbols = {"B"}
    with running(watched=["A", "B", "AAPL"]) as feed:
        wait_for_bid(feed, "189.5")
        asked = vendor.calls["/v2/stocks/snapshots"]
        wait_until(lambda: feed.state(now()).ok, LIMIT, "it is well")
        assert asked <= 12


def test_a_mute_stream_is_found_and_connected_anew(vendor, open_market):
    with running() as feed:
        wait_for_stream(vendor)
        vendor.stream.mute = True
        began = time.monotonic()
        wait_until(lambda: len(vendor.stream.let_in) >= 2, LIMIT, "a second connection")
        assert time.monotonic() - began < 5
        vendor.stream.mute = False
        vendor.price("AAPL", bid=191.0, ask=191.1)
        wait_for_bid(feed, "191.0")


def test_a_quiet_stream_outside_market_hours_is_left_alone(vendor, monkeypatch):
    monkeypatch.setattr("marketdata.feeds.alpaca.feed._busy", lambda now: False)
    with running() as feed:
        wait_for_stream(vendor)
        vendor.stream.mute = True
        wait_until(lambda: feed._stream.open, LIMIT, "open")
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, LIMIT, "time passes")
        assert len(vendor.stream.opened) == 1
        assert feed.state(now()).ok


def test_a_vendor_that_takes_the_call_and_never_greets_is_given_up_and_dialled_again(vendor):
    vendor.stream.silent_greeting = True
    with running():
        wait_until(lambda: len(vendor.stream.opened) >= 2, LIMIT, "a second try")
        vendor.stream.silent_greeting = False
        wait_for_stream(vendor)


@pytest.mark.parametrize("fault", ["406", "drop"])
def test_reconnects_back_off_and_never_storm(vendor, fault):
    if fault == "406":
        vendor.stream.refuse = 406
    else:
        vendor.stream.drop_after = 0.0
    with running() as feed:
        wait_until(lambda: len(vendor.stream.opened) >= 3, LIMIT, "a third try")
        gaps = [b - a for a, b in zip(vendor.stream.opened, vendor.stream.opened[1:], strict=False)]
        assert all(gap >= 0.4 for gap in gaps), gaps
        assert gaps[1] >= 0.9, gaps
        vendor.stream.refuse, vendor.stream.drop_after = 0, None
        wait_until(lambda: feed._stream.open, LIMIT, "it comes back")
        wait_for_bid(feed, "189.5")


def test_after_a_gap_the_days_are_asked_for_again(vendor):
    with running() as feed:
        wait_for_stream(vendor)
        wait_for_bid(feed, "189.5")
        vendor.stream.subscribed = {"quotes": set(), "trades": set()}
        vendor.price("AAPL", bid=195.0, ask=195.1)  # nobody hears it
        vendor.stream.drop_all()
        wait_for_bid(feed, "195.0")


def test_garbage_changes_nothing(vendor):
    with running() as feed:
        before = wait_for_bid(feed, "189.5")
        wait_for_stream(vendor)
        at = msgpack.Timestamp.from_datetime(now())
        old = msgpack.Timestamp.from_datetime(now() - timedelta(minutes=5))
        future = msgpack.Timestamp.from_datetime(now() + timedelta(hours=1))
        frames = [
            b"\xc1\xc1",
            b"not msgpack",
            msgpack.packb(7),
            msgpack.packb(None),
            msgpack.packb([None, 3, "x", []]),
            msgpack.packb([{"T": "q", "S": "AAPL"}]),
            msgpack.packb([{"T": "q", "S": "AAPL", "bp": float("nan"), "ap": 1.0, "t": None}]),
            msgpack.packb([{"T": "q", "S": "AAPL", "bp": 1.0, "ap": 1.1, "t": old}]),
            msgpack.packb([{"T": "q", "S": "AAPL", "bp": 1.0, "ap": 1.1, "t": future}]),
            msgpack.packb([{"T": "t", "S": "AAPL", "p": 1.0, "s": 1, "t": old, "c": ["@"]}]),
            msgpack.packb([{"T": "t", "S": "AAPL", "p": float("inf"), "s": 1, "t": at}]),
            msgpack.packb([{"T": "t", "S": "AAPL", "p": 1.0, "s": 1, "t": at, "c": ["W"]}]),
            msgpack.packb([{"T": "q", "S": ["AAPL"], "bp": 1.0, "t": at}]),
        ]
        for frame in frames:
            vendor.stream.send_raw(frame)
        vendor.price("SPY", bid=601.0, ask=601.1)  # comes after them on the same connection
        wait_for_bid(feed, "601.0", "SPY")
        after = quote_of(feed)
        assert (after.bid, after.ask, after.last) == (before.bid, before.ask, before.last)
        assert len(vendor.stream.opened) == 1


def test_a_side_without_an_offer_leaves_the_last_price_with_no_size(vendor):
    vendor.market.snapshots["AAPL"]["latestQuote"] |= {"ap": 0, "as": 0}
    with running() as feed:
        quote = wait_for_bid(feed, "189.55")
        assert (quote.ask, quote.bid_size, quote.bids, quote.asks) == (D("189.55"), 0, (), ())


def test_a_quote_stands_while_the_stream_lives_and_ages_when_it_does_not(vendor, open_market):
    vendor.price("AAPL", bid=189.5, ask=189.6, at=now() - timedelta(seconds=20))
    with running() as feed:
        quote = wait_for_bid(feed, "189.5")
        wait_for_stream(vendor)
        assert quote.age(now()) > timedelta(seconds=15)
        vendor.price("SPY", bid=602.0, ask=602.1)
        wait_for_bid(feed, "602.0", "SPY")
        fresh = quote_of(feed)
        assert fresh.age(now()) < timedelta(seconds=3)
        wait_until(
            lambda: quote_of(feed).age(now()) > timedelta(seconds=4), LIMIT, "without SPY it ages"
        )


def test_without_a_key_it_says_so_and_does_nothing(vendor, caplog):
    with running(key="", secret="") as feed:
        assert feed.state(now()).words == "ALPACA_DATA_KEY and ALPACA_DATA_SECRET are not set"
        assert "alpaca_feed_off" in caplog.text
        assert feed.poll(["AAPL"], now()) == []
        with pytest.raises(FeedFailed):
            feed.listings()
    assert not vendor.calls
    assert not vendor.stream.opened


def test_a_wrong_key_is_said_in_words_and_not_tried_at_speed(vendor, caplog):
    with running(secret="wrong-secret-canary") as feed:
        wait_until(lambda: not feed.state(now()).ok, LIMIT, "it says that it is refused")
        assert "refuses the key" in feed.state(now()).words
        assert vendor.calls.total() <= 4
        assert "wrong-secret-canary" not in caplog.text


@pytest.mark.parametrize("fault", [429, 500, 504, "hang", b"<html>", {}, [], None])
def test_rest_faults_are_one_request_and_the_stream_goes_on(vendor, fault):
    vendor.faults["/v2/assets"] = fault if fault is not None else b""
    feed = AlpacaFeed(KEY, SECRET)
    began = time.monotonic()
    if fault == []:
        assert feed.listings() == []
    else:
        with pytest.raises(FeedFailed):
            feed.listings()
    assert time.monotonic() - began < 4
    assert vendor.calls["/v2/assets"] == 1


def test_too_many_requests_silence_all_threads_until_the_vendor_says(vendor):
    vendor.faults["/v2/assets"] = 429
    vendor.headers = reset_header(3)
    feed = AlpacaFeed(KEY, SECRET)
    with pytest.raises(FeedFailed):
        feed.listings()
    vendor.faults.clear()
    began = time.monotonic()
    feed.listings()
    assert 1.5 < time.monotonic() - began < 6


def test_assets_become_instruments_with_their_rules(vendor):
    vendor.market.assets = [
        asset("AAPL"),
        asset("BRK.B", fractionable=False, shortable=False),
        asset("OLD", status="inactive"),
        asset("NOT", tradable=False),
        asset("BTC/USD", **{"class": "crypto"}),
        asset("OTCX", exchange="OTC"),
        asset("NEW", **{"class": "ipo"}),
        asset("bad symbol"),
        None,
        {"symbol": 7},
    ]
    listed = {row.symbol: row for row in AlpacaFeed(KEY, SECRET).listings()}
    assert set(listed) == {"AAPL", "BRK.B"}
    assert listed["AAPL"].qty_step == D("0.000001")
    assert (listed["BRK.B"].qty_step, listed["BRK.B"].min_qty) == (1, 1)
    assert not listed["BRK.B"].fractionable
    assert listed["AAPL"].name == "Apple Inc. Common Stock"


def bars(vendor, timeframe, start, end, limit=10_000):
    feed = AlpacaFeed(KEY, SECRET)
    return feed.bars("AAPL", timeframe, start=start, end=end, limit=limit, now=end)


def test_bars_are_those_of_sessions_on_our_places(vendor):
    start, end = MONDAY.replace(hour=0), MONDAY.replace(hour=23)
    quarters = bars(vendor, "15m", start, end)
    assert (quarters[0].t.hour, quarters[0].t.minute, len(quarters)) == (14, 30, 26)
    hours = bars(vendor, "1h", start, end)
    assert [(bar.t.hour, bar.t.minute) for bar in hours] == [(h, 30) for h in range(14, 21)]
    assert (hours[0].o, hours[0].c) == (quarters[0].o, quarters[3].c)
    assert hours[0].v == sum(bar.v for bar in quarters[:4])
    days = bars(vendor, "1D", MONDAY - timedelta(days=7), end)
    assert [bar.t.day for bar in days] == [17, 18, 19, 20, 23]
    assert all((bar.t.hour, bar.t.minute) == (14, 30) for bar in days)
    assert {asked["adjustment"] for path, asked in vendor.asked if path.endswith("bars")} == {
        "split"
    }


def test_bars_come_page_by_page_and_no_vendor_can_make_it_endless(vendor):
    vendor.market.page = 100
    assert len(bars(vendor, "1m", MONDAY, MONDAY + timedelta(hours=4))) == 241
    vendor.faults["/v2/stocks/bars"] = {"bars": {}, "next_page_token": "again"}
    assert bars(vendor, "1m", MONDAY, MONDAY + timedelta(hours=1)) == []
    assert vendor.calls["/v2/stocks/bars"] <= 13


def test_bars_that_make_no_sense_are_left_out(vendor):
    good = {"t": "2026-11-23T15:00:00Z", "o": 1, "h": 2, "l": 0.5, "c": 1.5, "v": 3}
    rows = [
        good,
        good | {"t": "2026-11-23T15:01:00Z", "c": None},
        good | {"t": "when"},
        good | {"t": "2026-11-23T15:02:00.123456789Z", "o": -1},
        "row",
    ]
    body = json.dumps({"bars": {"AAPL": rows}, "next_page_token": None}).encode()
    vendor.faults["/v2/stocks/bars"] = body.replace(b"null}", b"NaN}", 1)
    got = bars(vendor, "1m", MONDAY, MONDAY + timedelta(hours=1))
    assert [(bar.o, bar.h, bar.l, bar.c, bar.v) for bar in got] == [(1, 2, D("0.5"), D("1.5"), 3)]


def test_each_answer_of_the_vendor_is_held_to_alpaca_s_own_document(vendor):
    price = {"ap": 1.0, "as": 1, "bp": 1.0, "bs": 1}
    good = price | {"ax": "V", "bx": "V", "c": ["R"], "z": "C", "t": "2026-11-23T15:00:00Z"}
    check_data_reply("/v2/stocks/quotes/latest", {"quotes": {"AAPL": good}})
    for wrong in ({"bp": "1.0"}, {"t": "noon"}, {"as": None}):
        with pytest.raises(Drift):
            check_data_reply("/v2/stocks/quotes/latest", {"quotes": {"AAPL": good | wrong}})
    with pytest.raises(Drift):
        check_data_reply("/v2/stocks/bars", {"bars": {"AAPL": [{"o": 1}]}})
    with pytest.raises(Drift):
        check_data_message({"T": "q", "S": "AAPL"} | good)
