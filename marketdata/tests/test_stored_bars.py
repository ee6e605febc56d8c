"""Bars of vendors: asked for by readers, fetched once by the feed process, kept within limits."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from marketdata import bar_store, quote_store, selectors
from marketdata.domain import bars as domain
from marketdata.feeds.base import FeedFailed, FeedState
from marketdata.models import Bar, BarSeries
from marketdata.services.bars import BarsDesk, bars_fill, bars_thin
from marketdata.services.watchlists import watchlist_add
from marketdata.tests.factories import make_instrument, make_quote
from speedtrade.lib.redis import redis_client
from speedtrade.testing.cast import page_client

D = Decimal
NOW = datetime(2026, 11, 23, 15, 0, 30, tzinfo=UTC)  # a Monday, 10:00 in New York
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class Vendor:
    """A vendor with a bar each minute, whose close is `price`; remembers what it was asked."""

    name, label, hours = "ccxt:kraken", "Kraken", None

    def __init__(self, price="100"):
        self.price = D(price)
        self.asked: list[tuple[datetime, datetime]] = []
        self.error: Exception | None = None
        self.most = 1_000_000  # no more than its newest so many, whatever it is asked for
        self.rests: tuple[datetime, datetime] | None = None  # no bars in between

    def start(self): ...
    def stop(self): ...
    def watch(self, watched, others): ...
    def poll(self, symbols, now):
        return []

    def state(self, now):
        return FeedState(True)

    def listings(self):
        return []

    def bars(self, symbol, timeframe, *, start, end, limit, now):
        self.asked.append((start, end))
        if self.error:
            raise self.error
        step = domain.timeframe_seconds(timeframe)
        first = -(-int(start.timestamp()) // step) * step
        begins = [
            datetime.fromtimestamp(s, UTC) for s in range(first, int(end.timestamp()) + 1, step)
        ]
        told = [t for t in begins if not self.rests or not self.rests[0] < t < self.rests[1]]
        return [domain.Bar(t, *[self.price] * 4, D(1)) for t in told][-min(limit, self.most) :]


@pytest.fixture
def vendor(settings):
    settings.MARKET_DATA_FEEDS = ["ccxt:kraken", "simulated"]
    settings.BARS_WAIT = timedelta(seconds=0.2)
    return Vendor()


@pytest.fixture
def coin(db):
    return make_instrument("BTC/USD", feed="ccxt:kraken")


def read(coin, timeframe="1m", *, back=HOUR, now=NOW, **options):
    return selectors.bars(coin, timeframe, now=now, start=now - back, **options)


def fill(vendor, coin, *, back=HOUR, now=NOW, timeframe="1m"):
    return bars_fill(vendor, coin, timeframe, begin=now - back, now=now)


def test_a_reader_asks_once_and_shows_what_there_is(vendor, coin):
    first, second = read(coin), read(coin)
    assert (list(first), first.loading) == ([], True)
    assert second.loading
    assert redis_client().llen("st:bars:wanted:ccxt:kraken") == 1
    question = bar_store.question_next("ccxt:kraken", 1)
    assert (question.symbol, question.timeframe) == ("BTC/USD", "1m")
    assert question.begin <= (NOW - HOUR).timestamp()


def test_what_is_stored_is_read_without_asking(vendor, coin, django_assert_num_queries):
    assert fill(vendor, coin) == 60
    with django_assert_num_queries(2):
        run = read(coin, limit=10)
    assert [bar.t for bar in run] == [NOW.replace(second=0) - MINUTE * n for n in range(9, -1, -1)]
    assert not run.loading
    assert not redis_client().exists("st:bars:wanted:ccxt:kraken")


def test_what_postgresql_writes_is_what_we_would_have_written(vendor, coin):
    prices = ("0.0000000123", "1234567.89", "100", "0.1", "4999999999.0000000001")
    for number, price in enumerate(prices):
        Bar.objects.create(
            instrument=coin,
            timeframe="1m",
            t=NOW.replace(second=0) - number * MINUTE,
            o=D(price),
            h=D(price) * 2,
            l=D(price),
            c=D(price),
            v=D("0") if number else D("0.0000000012"),
        )
    run = read(coin)
    lines = selectors.bar_lines(coin, "1m", now=NOW, start=NOW - HOUR)
    assert (lines, lines.loading) == (run.lines(), True)
    assert json.loads(f"[{lines}]")[-1]["v"] == f"{run[-1].v:f}"
    assert len(json.loads(f"[{lines}]")) == len(prices)
    nothing = selectors.bar_lines(coin, "1m", now=NOW - 9 * HOUR, start=NOW - 10 * HOUR)
    assert nothing == ""
    assert (
        selectors.bar_lines(coin, "1m", now=NOW, start=NOW - HOUR, limit=1)
        == bar_store.BarRun(run[-1:]).lines()
    )


def test_the_end_is_asked_for_again_and_the_open_bar_follows(vendor, coin):
    fill(vendor, coin)
    later = NOW + timedelta(seconds=60)
    run = read(coin, now=later)
    assert not run.loading  # a chart that lacks a minute is worth showing
    assert redis_client().llen("st:bars:wanted:ccxt:kraken") == 1
    vendor.price = D("100.5")
    vendor.asked.clear()
    fill(vendor, coin, now=later)
    assert vendor.asked == [(NOW.replace(second=0) - 2 * MINUTE, later)]
    bars = {bar.t: bar.c for bar in read(coin, now=later)}
    assert bars[NOW.replace(second=0)] == D("100.5")
    assert bars[NOW.replace(second=0) + MINUTE] == D("100.5")


def test_only_what_is_missing_is_fetched_and_no_hole_is_left(vendor, coin):
    fill(vendor, coin)
    vendor.asked.clear()
    fill(vendor, coin, back=3 * HOUR)
    assert (NOW - 3 * HOUR, NOW - HOUR) in vendor.asked
    assert len(read(coin, back=3 * HOUR)) == 180
    much_later = NOW + timedelta(hours=5)
    vendor.asked.clear()
    fill(vendor, coin, back=HOUR, now=much_later)
    assert vendor.asked == [(much_later - HOUR, much_later)]
    series = BarSeries.objects.get()
    assert (series.begins, series.ends) == (much_later - HOUR, much_later)
    assert Bar.objects.count() == 60
    # An outage shorter than the range is filled, not jumped over.
    fill(vendor, coin, back=4 * HOUR, now=much_later + HOUR)
    assert len(read(coin, back=4 * HOUR, now=much_later + HOUR)) == 240


def test_what_a_vendor_cannot_tell_any_more_leaves_no_hole(vendor, coin):
    fill(vendor, coin)
    vendor.most = 60
    later = NOW + 3 * HOUR
    fill(vendor, coin, back=4 * HOUR, now=later)
    run = read(coin, back=4 * HOUR, now=later)
    assert [bar.t for bar in run] == [
        later.replace(second=0) - MINUTE * n for n in range(59, -1, -1)
    ]
    assert not run.loading


def test_a_market_that_rested_keeps_what_is_stored(vendor, coin):
    fill(vendor, coin)
    later = NOW + 3 * HOUR
    vendor.rests = (NOW, later - 5 * MINUTE)
    vendor.asked.clear()
    fill(vendor, coin, back=4 * HOUR, now=later)
    assert len(vendor.asked) == 1  # its end alone
    assert len(read(coin, back=4 * HOUR, now=later)) == 60 + 5


def test_a_split_fetches_everything_anew(vendor, coin, caplog):
    fill(vendor, coin, back=3 * HOUR)
    fill(vendor, coin, timeframe="1h", back=24 * HOUR)
    vendor.price = D(25)
    later = NOW + timedelta(minutes=5)
    fill(vendor, coin, now=later)
    assert "bars_restated" in caplog.text
    assert {bar.c for bar in Bar.objects.filter(timeframe="1m")} == {D(25)}
    assert len(read(coin, back=3 * HOUR, now=later)) == 180
    assert not Bar.objects.filter(timeframe="1h").exists()
    assert not BarSeries.objects.filter(timeframe="1h").exists()


def test_a_small_correction_is_no_split(vendor, coin):
    fill(vendor, coin, back=3 * HOUR)
    vendor.price = D("100.5")
    vendor.asked.clear()
    fill(vendor, coin, now=NOW + MINUTE)
    assert len(vendor.asked) == 1


def test_a_failure_changes_nothing_and_the_next_question_waits(vendor, coin, settings):
    fill(vendor, coin)
    before = list(Bar.objects.values())
    vendor.error = FeedFailed("away")
    with pytest.raises(FeedFailed):
        fill(vendor, coin, back=2 * HOUR)
    assert list(Bar.objects.values()) == before
    read(coin, back=5 * HOUR)
    question = bar_store.question_next("ccxt:kraken", 1)
    bar_store.question_answered(question, well=False)
    settings.BARS_WAIT = timedelta(seconds=30)
    quote_store.quotes_put([], beat=NOW)  # it lives: only the failure keeps anybody from waiting
    began = time.monotonic()
    assert read(coin, back=5 * HOUR).loading
    assert time.monotonic() - began < 10
    assert bar_store.question_next("ccxt:kraken", 1) is None


@pytest.mark.django_db(transaction=True)
def test_a_reader_waits_for_the_desk_and_gets_its_bars(settings):
    settings.MARKET_DATA_FEEDS = ["ccxt:kraken"]
    settings.BARS_WAIT = timedelta(seconds=10)
    vendor, now = Vendor(), datetime.now(UTC)
    coin = make_instrument("BTC/USD", feed="ccxt:kraken")
    quote_store.quotes_put([], beat=now)
    desk = BarsDesk(vendor)
    desk.start()
    try:
        run = read(coin, now=now)
    finally:
        desk.stop()
    assert len(run) == 60
    assert not run.loading


def test_a_dead_feed_is_not_waited_for(vendor, coin, settings):
    settings.BARS_WAIT = timedelta(seconds=30)
    began = time.monotonic()
    assert read(coin).loading
    quote_store.quotes_put([], beat=NOW - timedelta(minutes=5))
    assert read(coin, back=24 * HOUR).loading
    assert time.monotonic() - began < 3


@pytest.mark.django_db(transaction=True)
def test_few_threads_wait_at_once(settings):
    settings.MARKET_DATA_FEEDS = ["ccxt:kraken"]
    settings.BARS_WAIT = timedelta(seconds=4)
    coin = make_instrument("BTC/USD", feed="ccxt:kraken")
    quote_store.quotes_put([], beat=NOW)
    took: list[float] = []

    def look():
        from django.db import connection

        connection.ensure_connection()
        began = time.monotonic()
        read(coin)
        took.append(time.monotonic() - began)
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(seconds > 3 for seconds in took) <= 3


def test_readers_live_without_redis(vendor, coin, monkeypatch):
    fill(vendor, coin)

    def away():
        raise bar_store.RedisError("gone")

    monkeypatch.setattr(bar_store, "redis_client", away)
    assert len(read(coin, now=NOW + HOUR, back=2 * HOUR)) == 60


def test_after_the_close_a_stock_is_asked_for_no_more(settings, db):
    settings.MARKET_DATA_FEEDS = ["alpaca"]
    stock = make_instrument("AAPL", feed="alpaca")
    closed = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
    BarSeries.objects.create(
        instrument=stock,
        timeframe="5m",
        begins=closed - timedelta(days=3),
        ends=closed,
        asked_at=closed,
    )
    assert not read(stock, "5m", back=timedelta(days=2), now=closed + 8 * HOUR).loading
    assert not redis_client().exists("st:bars:wanted:alpaca")
    read(stock, "5m", back=timedelta(days=2), now=closed + 24 * HOUR)
    assert redis_client().exists("st:bars:wanted:alpaca")


def test_what_was_fetched_at_the_close_is_asked_for_once_more(settings, db):
    settings.MARKET_DATA_FEEDS = ["alpaca"]
    settings.BARS_WAIT = timedelta(0)
    stock = make_instrument("AAPL", feed="alpaca")
    ends = datetime(2026, 11, 23, 21, 0, 1, tzinfo=UTC)
    BarSeries.objects.create(
        instrument=stock, timeframe="5m", begins=ends - 72 * HOUR, ends=ends, asked_at=ends
    )
    read(stock, "5m", back=timedelta(days=2), now=ends + 8 * HOUR)
    assert redis_client().exists("st:bars:wanted:alpaca")


@pytest.mark.parametrize(("timeframe", "limit", "days"), [("1m", 500, 1), ("1D", 30, 40)])
def test_a_limit_alone_reaches_back_over_nights_and_holidays(settings, db, timeframe, limit, days):
    settings.MARKET_DATA_FEEDS = ["alpaca"]
    settings.BARS_WAIT = timedelta(0)
    stock = make_instrument("AAPL", feed="alpaca")
    selectors.bars(stock, timeframe, now=NOW, limit=limit)
    begin = datetime.fromtimestamp(bar_store.question_next("alpaca", 1).begin, UTC)
    assert timedelta(days=days) < NOW - begin < timedelta(days=days + 6)


def test_the_table_stays_within_its_limits(vendor, coin, settings):
    old = NOW - timedelta(days=3)
    fill(vendor, coin, now=old, back=timedelta(days=4))
    fill(vendor, coin, now=old, back=timedelta(days=30), timeframe="1D")
    other = make_instrument("ETH/USD", feed="ccxt:kraken")
    fill(vendor, other)
    assert bars_thin(NOW) == 0
    later = NOW + timedelta(days=3)
    gone = bars_thin(later)
    assert gone == (later - timedelta(days=7) - (old - timedelta(days=4))) / MINUTE
    assert BarSeries.objects.get(instrument=coin, timeframe="1m").begins == later - timedelta(
        days=7
    )
    settings.BARS_ROWS_MAX = 100
    bars_thin(later)
    assert Bar.objects.count() <= 100
    left = set(BarSeries.objects.values_list("instrument__symbol", "timeframe"))
    assert left == {("BTC/USD", "1D"), ("ETH/USD", "1m")}
    settings.BARS_ROWS_MAX = 5_000_000
    bars_thin(NOW + settings.BARS_UNASKED + timedelta(days=1))
    assert not BarSeries.objects.exists()
    assert not Bar.objects.exists()


def test_the_queue_of_questions_is_bounded(vendor, coin, monkeypatch):
    monkeypatch.setattr(bar_store, "WANTED_MAX", 5)
    for days in range(10):
        read(coin, "1D", back=timedelta(days=400 + days))
    assert redis_client().llen("st:bars:wanted:ccxt:kraken") == 5


def test_the_page_of_an_instrument_without_a_feed_still_opens(alice):
    make_instrument("OLD", feed="", tradable=False)
    client = page_client(alice)
    assert client.get("/markets/OLD").status_code == 200


def test_a_quote_that_a_former_feed_left_behind_fails_no_page(alice, settings):
    settings.WATCHLIST_DEFAULT = ["OLD"]
    make_instrument("OLD", feed="", tradable=False)
    watchlist_add(user=alice, symbol="OLD", now=NOW)
    quote_store.quotes_put([make_quote("OLD", "10", at=NOW)])
    client = page_client(alice)
    lists = [f"/watchlists/{each.pk}" for each in selectors.watchlists_of(alice)]
    for address in ("/dashboard", "/markets", *lists):
        assert client.get(address).status_code == 200, address
    assert Client().get("/").status_code == 200


def test_the_page_names_the_source(alice, vendor, coin):
    page = page_client(alice).get("/markets/BTC-USD").content.decode()
    assert ">Kraken</span>" in page
    assert "Simulated" not in page


@pytest.mark.parametrize("wrong", ["not json", '{"symbol": 1}', "[]"])
def test_an_unreadable_question_is_dropped(wrong):
    redis_client().lpush("st:bars:wanted:alpaca", wrong)
    assert bar_store.question_next("alpaca", 1) is None


def test_the_database_refuses_a_bar_twice_and_one_that_makes_no_sense(coin):
    good = {"instrument": coin, "timeframe": "1m", "t": NOW, "v": 1}
    prices = {"o": 2, "h": 3, "l": 1, "c": 2}
    Bar.objects.create(**good, **prices)
    for wrong in (
        {},
        {"t": NOW + MINUTE, "timeframe": "2m"},
        {"t": NOW + MINUTE, "h": 1},
        {"t": NOW + MINUTE, "v": -1},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Bar.objects.create(**{**good, **prices, **wrong})


def test_the_api_says_whose_prices_they_are_and_that_bars_are_on_their_way(vendor, coin, api):
    answer = api.get("/api/v1/market/bars/BTC-USD?timeframe=1D&limit=5").json()
    assert (answer["bars"], answer["loading"]) == ([], True)
    found = api.get("/api/v1/market/search?q=BTC").json()["results"]
    assert found[0]["source"] == "Kraken"
