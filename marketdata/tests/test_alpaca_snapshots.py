"""What a snapshot of Alpaca says of a stock's day, and of its price."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.feeds.alpaca.parse import take_snapshot
from marketdata.feeds.newest import Newest
from speedtrade.testing.vendors.alpaca_data_market import DataMarket, bar, wire_time

D = Decimal
FRIDAY, MONDAY, TUESDAY = (datetime(2026, 11, day, 5, tzinfo=UTC) for day in (20, 23, 24))
MONDAY_TRADED = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
TUESDAY_OPEN = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
TUESDAY_CLOSE = datetime(2026, 11, 24, 21, 0, tzinfo=UTC)


def snapshot_of(at, *, traded=None, quoted=(104.9, 105.1), **changes):
    """As of a stock that closed at 100 on Friday and at 105 on Monday, quoted at `at`."""
    raw = DataMarket()
    raw.move("AAPL", *quoted, at, 100)
    traded = traded or MONDAY_TRADED
    parts = {
        "latestTrade": raw.snapshots["AAPL"]["latestTrade"] | {"p": 105.0, "t": wire_time(traded)},
        "dailyBar": bar(MONDAY, 105.0, 500_000),
        "prevDailyBar": bar(FRIDAY, 100.0, 900_000),
    }
    return raw.snapshots["AAPL"] | parts | changes


def quote_of(raw, now):
    newest = Newest("alpaca")
    take_snapshot(newest, "AAPL", raw, now)
    return next(iter(newest.quotes(["AAPL"])), None)


@pytest.mark.parametrize(
    "at", [TUESDAY_OPEN, TUESDAY_CLOSE - timedelta(minutes=1), TUESDAY_CLOSE + timedelta(hours=2)]
)
def test_the_day_of_a_stock_not_traded_in_this_session_has_not_begun(at):
    quote = quote_of(snapshot_of(at), at)
    assert (quote.last, quote.prev_close, quote.change) == (105, 105, 0)
    assert (quote.open, quote.day_high, quote.day_low, quote.volume) == (105, 105, 105, 0)


@pytest.mark.parametrize("at", [MONDAY_TRADED, TUESDAY_OPEN - timedelta(hours=1)])
def test_until_the_next_bell_the_day_is_that_of_the_last_session(at):
    quote = quote_of(snapshot_of(at), at)
    assert (quote.last, quote.prev_close, quote.change_pct) == (105, 100, 5)
    assert quote.day_high > quote.last


def test_a_day_begins_with_its_first_bar():
    at = TUESDAY_OPEN + timedelta(minutes=5)
    daily = {"dailyBar": bar(TUESDAY, 107.0, 70), "prevDailyBar": bar(MONDAY, 105.0, 500_000)}
    quote = quote_of(snapshot_of(at, traded=at, **daily), at)
    assert (quote.prev_close, quote.open, quote.volume) == (105, 107, 70)


def test_the_day_of_a_snapshot_holds_its_last_trade_already():
    newest = Newest("alpaca")
    for _ in range(3):
        take_snapshot(newest, "AAPL", snapshot_of(MONDAY_TRADED), MONDAY_TRADED)
    assert newest.quotes(["AAPL"])[0].volume == 500_000


@pytest.mark.parametrize("now", [MONDAY_TRADED, TUESDAY_OPEN])
def test_a_trade_off_market_leaves_the_close_of_the_day_and_no_stub_quote(now):
    raw = snapshot_of(now, quoted=(60.0, 180.0))
    raw["latestTrade"] |= {"p": 99.0, "c": ["M"]}
    quote = quote_of(raw, now)
    assert (quote.bid, quote.ask, quote.last) == (60, 180, 105)


def test_without_a_bar_of_today_the_price_is_that_of_the_day_before():
    raw = snapshot_of(TUESDAY_OPEN, dailyBar=None, prevDailyBar=bar(MONDAY, 105.0), latestTrade={})
    quote = quote_of(raw, TUESDAY_OPEN)
    assert (quote.last, quote.prev_close, quote.volume) == (105, 105, 0)


def test_without_any_bar_there_is_no_quote():
    raw = snapshot_of(TUESDAY_OPEN, dailyBar=None, prevDailyBar=None)
    assert quote_of(raw, TUESDAY_OPEN) is None
