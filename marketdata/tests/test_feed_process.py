"""The feed process, on a clock that nobody waits for."""

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from marketdata import quote_store
from marketdata.domain.calendar import MarketHours
from marketdata.feeds.base import FeedState
from marketdata.services.feeding import FeedProcess, instruments_read
from marketdata.services.publishing import QuotePublisher
from marketdata.tests.factories import StillClock, make_instrument, make_quote
from speedtrade.health import health_report
from speedtrade.lib.lease import BeingRestored, Lease
from speedtrade.lib.redis import redis_client
from speedtrade.testing.waiting import wait_until

pytestmark = pytest.mark.real_time

START = datetime(2026, 3, 2, 15, 0, 0, 100_000, tzinfo=UTC)
SYMBOLS = [f"S{number:02}" for number in range(16)]


class ScriptedFeed:
    """Gives each symbol a new quote in each slot, or what `answer` makes of it."""

    name = "simulated"
    label = "Scripted"
    hours = MarketHours("always")

    def __init__(self):
        self.asked: list[list[str]] = []
        self.answer = lambda symbol, now: make_quote(symbol, "10", at=now)

    def poll(self, symbols, now):
        self.asked.append(list(symbols))
        return [quote for symbol in symbols if (quote := self.answer(symbol, now))]

    def bars(self, symbol, timeframe, *, start, end, limit, now):
        return []


class FakeLease:
    """A lease in memory; `free` and `alive` may be changed while the process runs."""

    def __init__(self):
        self.free = self.alive = True
        self.taken = self.released = 0
        self.error = None

    def take(self):
        if self.error:
            raise self.error
        self.taken += self.free
        return self.free

    def held(self):
        return self.alive

    def release(self):
        self.released += 1


@pytest.fixture
def feed():
    return ScriptedFeed()


@pytest.fixture
def publisher(feed):
    made = QuotePublisher([feed])
    made.follow((symbol, "simulated") for symbol in SYMBOLS)
    return made


def run(publisher, *, seconds, table=(), lease=None, on_wait=None):
    """Run the process for so long; `table` is what it finds there, or a function of that."""
    clock = StillClock(START, START + timedelta(seconds=seconds))
    if on_wait:
        clock.on_wait = lambda: on_wait(clock)
    read = table if callable(table) else lambda: table
    FeedProcess(
        publisher=publisher, lease=lease or FakeLease(), clock=clock, instruments=read
    ).run()
    return clock


@pytest.fixture
def table():
    """(symbol, feed) of each instrument there is."""
    return [(symbol, "simulated") for symbol in SYMBOLS]


def test_watched_symbols_come_in_each_window_and_others_once_in_the_idle_period(publisher, feed):
    quote_store.watched_touch(["S03"], START)
    for window in range(8):
        publisher.publish(window, START + timedelta(milliseconds=250 * window))
    asked = [symbol for window in feed.asked for symbol in window]
    assert {symbol: asked.count(symbol) for symbol in SYMBOLS} == {
        symbol: 8 if symbol == "S03" else 1 for symbol in SYMBOLS
    }
    assert max(len(window) for window in feed.asked) <= 3


def test_a_rejected_quote_is_counted_and_the_last_good_one_stays(publisher, feed, caplog):
    publisher.publish(0, START)
    feed.answer = lambda symbol, now: make_quote(symbol, "1000", at=now)
    published = publisher.publish(8, START + timedelta(seconds=2))
    assert published == 0
    assert publisher.rejected == {"JUMP": 2}
    assert quote_store.quote_get("S00").last == Decimal(10)
    assert "quotes_rejected" in caplog.text
    assert quote_store.feed_heartbeat() == START + timedelta(seconds=2)


def test_a_jump_is_believed_when_the_quote_before_it_is_old(publisher, feed, settings):
    publisher.publish(0, START)
    feed.answer = lambda symbol, now: make_quote(symbol, "1000", at=now)
    later = START + settings.QUOTE_GATE_MEMORY + timedelta(seconds=1)
    assert publisher.publish(8, later) == 2


def test_a_market_that_stands_still_is_published_at_the_idle_pace_only(publisher, feed):
    feed.answer = lambda symbol, now: make_quote(symbol, "10", at=START)
    quote_store.watched_touch(["S03"], START)
    counts = [publisher.publish(window, START) for window in range(3, 12)]
    # S03 and S11 are due in windows 3 and 11; in between the watched one has nothing new.
    assert counts == [2, 2, 2, 2, 2, 2, 2, 2, 2]
    published = redis_client().hkeys(quote_store.QUOTES_KEY)
    assert set(published) == set(SYMBOLS)


def test_a_feed_that_raises_rests_and_the_heartbeat_goes_on(publisher, feed, caplog):
    def broken(symbol, now):
        raise RuntimeError("vendor")

    feed.answer = broken
    assert publisher.publish(0, START) == 0
    assert publisher.publish(8, START + timedelta(seconds=2)) == 0
    assert len(feed.asked) == 1
    feed.answer = lambda symbol, now: make_quote(symbol, "10", at=now)
    assert publisher.publish(40, START + timedelta(seconds=10)) == 2
    assert caplog.text.count("feed_failed") == 1


def test_a_symbol_that_is_gone_is_not_published_any_more(publisher, feed):
    publisher.follow([("S00", "simulated"), ("X", "another")])
    assert publisher.publish(0, START) == 1


def test_the_quote_of_a_symbol_that_lost_its_feed_goes(publisher, feed):
    publisher.publish(0, START)
    quote_store.quotes_put([make_quote(name, "10", at=START) for name in ("S00", "S01", "LEFT")])
    publisher.follow([("S00", "simulated"), ("S01", ""), ("LEFT", "")])
    assert set(quote_store.quotes_get(["S00", "S01", "LEFT"])) == {"S00"}
    assert not {"S01", "LEFT"} & set(quote_store.moves(0, 50, up=True))


def test_each_window_runs_once_and_begins_with_its_slot(publisher, feed, table):
    clock = run(publisher, seconds=2, table=table)
    assert len(feed.asked) == 9  # the window of the start, then eight more
    assert max(clock.waits) <= 0.25
    assert clock.moment.microsecond % 250_000 == 0


def test_after_a_pause_the_process_goes_on_with_the_present_window(publisher, feed, table):
    def sleep_once(clock):
        if len(clock.waits) == 2:
            clock.moment += timedelta(seconds=60)

    run(publisher, seconds=61, table=table, on_wait=sleep_once)
    assert len(feed.asked) < 12


def test_a_step_back_of_the_clock_does_not_stop_it(publisher, feed, table):
    def step_back(clock):
        if len(clock.waits) == 2:
            clock.moment -= timedelta(hours=1)
            clock.until = clock.moment + timedelta(seconds=1)

    run(publisher, seconds=10, table=table, on_wait=step_back)
    assert len(feed.asked) >= 5


def test_it_waits_while_another_holds_the_lease_and_says_so_once(publisher, feed, table, caplog):
    lease = FakeLease()
    lease.free = False

    def hand_over(clock):
        lease.free = len(clock.waits) >= 3

    run(publisher, seconds=8, table=table, lease=lease, on_wait=hand_over)
    assert lease.taken == 1
    assert caplog.text.count("feed_waits") == 1
    assert feed.asked


def test_it_stops_publishing_when_its_lease_is_lost_and_takes_it_again(
    publisher, feed, table, caplog
):
    lease = FakeLease()
    lost_at = START + timedelta(seconds=6)

    def lose(clock):
        if lease.alive and clock.moment > lost_at:
            lease.alive, lease.error = False, psycopg.OperationalError("restart")
        elif not lease.alive and clock.moment > lost_at + timedelta(seconds=10):
            lease.alive, lease.error = True, None

    run(publisher, seconds=30, table=table, lease=lease, on_wait=lose)
    assert lease.taken == 2
    assert "feed_lease_lost" in caplog.text
    assert lease.released >= 2


def test_it_says_that_it_waits_for_a_restore(publisher, feed, table, caplog):
    lease = FakeLease()
    lease.error = BeingRestored("A restore works on this database")
    run(publisher, seconds=10, table=table, lease=lease)
    told = [record.why for record in caplog.records if record.msg == "feed_waits"]
    assert told == ["A restore works on this database"] and feed.asked == []


def test_it_rides_out_a_restart_of_redis_with_growing_pauses(
    publisher, feed, table, monkeypatch, caplog
):
    put = quote_store.quotes_put
    back_at = START + timedelta(seconds=12)

    def away(quotes, *, beat):
        if beat < back_at:
            raise RedisConnectionError("gone")
        put(quotes, beat=beat)

    monkeypatch.setattr(quote_store, "quotes_put", away)
    clock = run(publisher, seconds=20, table=table)
    pauses = [wait for wait in clock.waits if wait in (0.25, 0.5, 1.0, 2.0, 4.0, 5.0)]
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0] or pauses[1:5] == [0.5, 1.0, 2.0, 4.0]
    assert caplog.text.count("feed_without_redis") == 1
    assert set(quote_store.quotes_all()) == set(SYMBOLS)


def test_it_keeps_what_it_knows_while_the_database_is_away(publisher, feed, caplog):
    def away():
        raise OperationalError("gone")

    run(publisher, seconds=4, table=away)
    assert "feed_without_database" in caplog.text
    assert len(feed.asked) >= 15


def test_it_finds_new_instruments(feed, table, settings):
    publisher = QuotePublisher([feed])
    added = START + timedelta(seconds=1)

    def add(clock):
        if clock.moment > added and ("NEW", "simulated") not in table:
            table.append(("NEW", "simulated"))

    seconds = settings.INSTRUMENTS_RELOAD.total_seconds() + 5
    run(publisher, seconds=seconds, table=table, on_wait=add)
    assert "NEW" in quote_store.quotes_all()


@pytest.mark.django_db(transaction=True)
def test_one_of_two_processes_leads_and_the_other_follows_it():
    make_instrument("S00")
    first, second = Lease("feed-test"), Lease("feed-test")
    assert first.take()
    waiting = ScriptedFeed()
    run(QuotePublisher([waiting]), seconds=5, table=instruments_read, lease=second)
    assert waiting.asked == []
    first.release()
    third = Lease("feed-test")

    def follows():
        # The server frees a lock a moment after its session has gone.
        run(QuotePublisher([waiting]), seconds=5, table=instruments_read, lease=third)
        return waiting.asked

    wait_until(follows, 10, "the second process never led")
    assert not third.held()


def test_a_tick_reaches_the_channel_in_its_window(publisher, feed, table):
    pubsub = redis_client().pubsub()
    pubsub.subscribe(quote_store.TICKS_CHANNEL)
    pubsub.get_message(timeout=2)
    run(publisher, seconds=0.5, table=table)
    wires = json.loads(pubsub.get_message(timeout=2)["data"])
    assert wires
    pubsub.close()


@pytest.mark.django_db(transaction=True)
def test_the_command_publishes_until_sigterm_and_gives_the_lease_back():
    make_instrument("AAPL")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    killed_at = []

    def kill_when_it_beats():
        wait_until(lambda: quote_store.quote_get("AAPL"), 30, "the feed publishes")
        killed_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=kill_when_it_beats)
    killer.start()
    try:
        call_command("run_feed")
    finally:
        killer.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert time.monotonic() - killed_at[0] < 5
    with Lease("feed") as lease:
        assert lease.take()
    assert quote_store.quote_get("AAPL").source == "simulated"


class ScriptedVendor(ScriptedFeed):
    """A vendor's feed: starts and stops, and hears what is watched."""

    name, label = "alpaca", "Alpaca IEX"

    def __init__(self):
        super().__init__()
        self.calls: list[str] = []
        self.watched: list[tuple[set[str], set[str]]] = []
        self.words = ""

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")

    def watch(self, watched, others):
        self.watched.append((set(watched), set(others)))

    def state(self, now):
        return FeedState(not self.words, self.words)

    def listings(self):
        return []


def test_a_vendor_is_connected_only_while_the_process_leads(publisher, table):
    vendor, lease = ScriptedVendor(), FakeLease()
    lease.free = False

    def change(clock):
        seconds = (clock.moment - START).total_seconds()
        lease.free = seconds > 3
        lease.alive = not 10 < seconds < 16

    clock = StillClock(START, START + timedelta(seconds=30))
    clock.on_wait = lambda: change(clock)
    FeedProcess(
        publisher=publisher,
        lease=lease,
        clock=clock,
        instruments=lambda: table,
        aides=[vendor],
    ).run()
    assert vendor.calls == ["start", "stop", "start", "stop"]


def test_a_vendor_hears_what_is_watched_and_a_failing_one_stops_no_other():
    vendor, other = ScriptedVendor(), ScriptedFeed()
    vendor.answer = lambda symbol, now: 1 / 0
    publisher = QuotePublisher([vendor, other])
    publisher.follow([("AAPL", "alpaca"), ("MSFT", "alpaca"), ("S00", "simulated")])
    quote_store.watched_touch(["AAPL", "S00"], START)
    assert publisher.publish(0, START) == 1
    assert vendor.watched == [({"AAPL"}, {"MSFT"})]
    assert quote_store.quote_get("S00")


def test_health_says_which_vendor_is_not_well():
    vendor = ScriptedVendor()
    publisher = QuotePublisher([vendor])
    now = datetime.now(UTC)
    vendor.words = "the stream is silent"
    publisher.publish(0, now)
    report = health_report(now.timestamp())
    assert report.checks["feed"] == "Alpaca IEX: the stream is silent"
    assert report.status == "degraded"
    vendor.words = ""
    publisher.publish(12, now + timedelta(seconds=3))
    assert health_report(now.timestamp()).checks["feed"] == "ok"


def test_a_price_of_another_source_does_not_shut_out_the_first_one_of_the_new():
    feed, vendor = ScriptedFeed(), ScriptedVendor()
    publisher = QuotePublisher([feed, vendor])
    publisher.follow([("AAPL", "simulated")])
    assert publisher.publish(0, START) == 1
    vendor.answer = lambda symbol, now: make_quote(symbol, "990", at=START - timedelta(hours=3))
    publisher.follow([("AAPL", "alpaca")])
    assert publisher.publish(8, START + timedelta(seconds=2)) == 1
    assert quote_store.quote_get("AAPL").last == 990


def test_thousands_of_symbols_take_turns_without_crowding_a_window(settings):
    settings.FEED_TURN_MAX = 10
    feed = ScriptedFeed()
    publisher = QuotePublisher([feed])
    publisher.follow([(f"T{number:03}", "simulated") for number in range(200)])
    for window in range(20):
        publisher.publish(window, START + timedelta(milliseconds=250 * window))
    assert max(len(asked) for asked in feed.asked) == 10
    assert len({symbol for asked in feed.asked for symbol in asked}) == 200
