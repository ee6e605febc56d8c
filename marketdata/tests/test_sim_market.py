"""The simulated market: one truth at every time scale, in every process."""

import hashlib
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from marketdata.domain.bars import TIMEFRAMES, aggregate, fold
from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import check_quote, quote_from_wire, quote_to_wire
from marketdata.feeds.simulated.market import MAX_BARS, SLOT, SimulatedMarket
from marketdata.feeds.simulated.profiles import Profile, load_profiles

PROFILES = load_profiles()
ALWAYS = SimulatedMarket("test", MarketHours("always"), PROFILES)
NYSE = SimulatedMarket("test", MarketHours("nyse"), PROFILES)
# One that no edit of the data file can change.
FIXED = Profile(
    symbol="TEST",
    asset_type="stock",
    sector="Technology",
    price_tick=Decimal("0.01"),
    size_step=Decimal(1),
    anchor_day=date(2025, 12, 31),
    anchor_price=Decimal("100.00"),
    annual_volatility=0.3,
    spread_bps=2.0,
    daily_volume=Decimal(5_000_000),
    typical_size=Decimal(400),
    market_weight=0.5,
    sector_weight=0.4,
)
NOW = datetime(2026, 11, 23, 15, 4, 5, 400_000, tzinfo=UTC)
SYMBOLS = ["AAPL", "F", "BRK.B", "SPY", "BTC/USD", "SHIB/USD"]

markets = st.sampled_from([ALWAYS, NYSE])
symbols = st.sampled_from(SYMBOLS)
moments = st.integers(0, 14 * 365 * 86_400_000).map(
    lambda ms: datetime(2026, 6, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


def asset_type(symbol: str) -> str:
    return PROFILES[symbol].asset_type


def digest_of_ticks() -> str:
    """Hash 2,000 ticks over two markets, some running on, some far apart."""
    market = SimulatedMarket("seed", MarketHours("always"), {"TEST": FIXED})
    hasher = hashlib.sha256()
    for n in range(2000):
        apart = timedelta(days=n // 100, milliseconds=250 * n)
        quote = market.quote("TEST", NOW + apart)
        hasher.update(repr(quote_to_wire(quote)).encode())
    return hasher.hexdigest()


# To change the generator is to change the past of everybody's paper market. If that is meant,
# write the new digest here and say so in the change log.
DIGEST = "6bd43c4ef43c4384a65147449a71cdc4a8c34cf62fbcb427a83094c3dfff1995"


def test_ticks_are_those_they_always_were():
    assert digest_of_ticks() == DIGEST


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_sees_the_same_ticks(hash_seed):
    code = "from marketdata.tests.test_sim_market import digest_of_ticks; print(digest_of_ticks())"
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert result.stdout.strip() == digest_of_ticks()


def test_another_seed_is_another_market():
    other = SimulatedMarket("other", MarketHours("always"), PROFILES)
    assert other.quote("AAPL", NOW) != ALWAYS.quote("AAPL", NOW)


def test_the_order_of_questions_does_not_change_the_answers():
    moments = [NOW + timedelta(days=400 * n, seconds=n) for n in range(6)]
    forwards = SimulatedMarket("test", MarketHours("always"), PROFILES)
    there = [forwards.quote("BTC/USD", moment) for moment in moments]
    backwards = SimulatedMarket("test", MarketHours("always"), PROFILES)
    back = [backwards.quote("BTC/USD", moment) for moment in reversed(moments)]
    assert there == back[::-1]


def test_threads_that_share_a_market_see_the_same():
    shared = SimulatedMarket("test", MarketHours("always"), PROFILES)
    alone = SimulatedMarket("test", MarketHours("always"), PROFILES)
    answers = {}

    def ask(name: int) -> None:
        answers[name] = [shared.quote(s, NOW + n * SLOT) for n in range(20) for s in SYMBOLS]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [alone.quote(s, NOW + n * SLOT) for n in range(20) for s in SYMBOLS]
    assert all(answers[n] == expected for n in range(4))


@given(markets, symbols, moments)
def test_every_quote_passes_the_gate_and_the_wire(market, symbol, now):
    quote = market.quote(symbol, now)
    before = market.quote(symbol, now - SLOT)
    assert check_quote(quote, before, now) is None
    assert quote_from_wire(quote_to_wire(quote)) == quote
    assert len(quote.bids) == len(quote.asks) == 10
    assert quote.bid <= quote.last <= quote.ask
    assert quote.day_low <= min(quote.last, quote.open)
    assert quote.day_high >= max(quote.last, quote.open)
    profile = PROFILES[symbol]
    for level in (*quote.bids, *quote.asks):
        assert level.price % profile.price_tick == 0
        assert level.size % profile.size_step == 0 and level.size > 0


@given(markets, symbols, moments)
def test_a_quote_is_at_most_one_slot_old_while_the_market_is_open(market, symbol, now):
    assume(market.hours.is_open(asset_type(symbol), now))
    quote = market.quote(symbol, now)
    assert timedelta(0) <= quote.age(now) < SLOT
    assert quote.seq == market.slot_index(now) == market.slot_index(quote.as_of)


def test_a_closed_market_shows_its_last_tick():
    evening = datetime(2026, 11, 27, 22, 0, tzinfo=UTC)  # a short Friday
    quote = NYSE.quote("AAPL", evening)
    assert quote.as_of == datetime(2026, 11, 27, 18, 0, tzinfo=UTC) - SLOT
    assert NYSE.quote("AAPL", evening + timedelta(days=2)) == quote
    monday = NYSE.quote("AAPL", datetime(2026, 11, 30, 15, 0, tzinfo=UTC))
    assert monday.prev_close == quote.last
    assert monday.seq > quote.seq
    thursday_morning = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)  # Thanksgiving
    assert quote.prev_close == NYSE.quote("AAPL", thursday_morning).last


def test_stocks_gap_overnight_only_where_the_market_closes():
    now = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
    gaps = 0
    for symbol in SYMBOLS:
        quote = ALWAYS.quote(symbol, now)
        assert quote.open == quote.prev_close
        gaps += NYSE.quote(symbol, now).open != NYSE.quote(symbol, now).prev_close
    assert gaps >= 2


@given(markets, symbols, moments, st.sampled_from(sorted(TIMEFRAMES)))
def test_the_last_bar_runs_into_the_live_quote(market, symbol, now, timeframe):
    quote = market.quote(symbol, now)
    bars = market.bars(symbol, timeframe, None, now, 3)
    assert len(bars) == 3
    assert bars[-1].c == quote.last
    assert bars[-1].t <= now
    assert [bar.t for bar in bars] == sorted({bar.t for bar in bars})
    if timeframe == "1D":
        today = bars[-1]
        assert (today.o, today.h, today.l, today.v) == (
            quote.open,
            quote.day_high,
            quote.day_low,
            quote.volume,
        )
        assert bars[-2].c == quote.prev_close == market.prev_close(symbol, now)


@given(markets, symbols, moments)
@settings(max_examples=40)
def test_bars_of_every_timeframe_are_the_minutes_added_up(market, symbol, now):
    session = market.hours.session_for(asset_type(symbol), now)
    minutes = market.bars(symbol, "1m", session.open, now, MAX_BARS)
    for timeframe in TIMEFRAMES:
        bars = market.bars(symbol, timeframe, session.open, now, MAX_BARS)
        assert bars == aggregate(minutes, timeframe, session.open)


@given(markets, symbols, moments)
@settings(max_examples=40)
def test_a_whole_day_is_its_minutes_added_up(market, symbol, now):
    kind = asset_type(symbol)
    session = market.hours.session_before(kind, market.hours.session_for(kind, now))
    end = session.close - timedelta(microseconds=1)
    minutes = market.bars(symbol, "1m", session.open, end, MAX_BARS, now=now)
    assert len(minutes) == (session.close - session.open) // timedelta(minutes=1)
    days = market.bars(symbol, "1D", session.open, end, 5, now=now)
    assert days == aggregate(minutes, "1D", session.open)
    assert all(left.c == right.o for left, right in pairwise(minutes))


@given(markets, symbols, moments)
@settings(max_examples=40)
def test_ticks_fold_into_exactly_the_minute_bar(market, symbol, now):
    assume(market.hours.is_open(asset_type(symbol), now))
    session = market.hours.session_for(asset_type(symbol), now)
    start = session.open + (now - session.open) // timedelta(minutes=1) * timedelta(minutes=1)
    traded, bar = Decimal(0), None
    if start > session.open:
        traded = market.quote(symbol, start - SLOT).volume
    for slot in range(240):
        quote = market.quote(symbol, start + slot * SLOT)
        bar = fold(bar, quote.last, quote.volume - traded, start)
        traded = quote.volume
        if slot in (0, 17, 239):
            assert market.bars(symbol, "1m", start, quote.as_of, 1) == [bar]
    whole = market.bars(symbol, "1m", start, start, 1, now=start + timedelta(minutes=1))
    assert whole == [bar]


@pytest.mark.parametrize("market", [ALWAYS, NYSE], ids=["always", "nyse"])
@pytest.mark.parametrize("symbol", ["AAPL", "BTC/USD"])
@pytest.mark.parametrize("now", [datetime(2026, 1, 2, 15, tzinfo=UTC), NOW.replace(year=2040)])
def test_history_reaches_back_far_enough(market, symbol, now):
    for timeframe, days, limit in (
        ("1D", 5 * 365, MAX_BARS),
        ("1h", 365, MAX_BARS),
        ("15m", 60, MAX_BARS),
        ("1m", 60, 1),
    ):
        back = now - timedelta(days=days)
        bars = market.bars(symbol, timeframe, None, now, limit)
        if limit == 1:
            bars = market.bars(symbol, timeframe, None, back, 1, now=now)
            assert back - bars[0].t < timedelta(days=5)
        else:
            assert bars[0].t <= back


@pytest.mark.parametrize("market", [ALWAYS, NYSE], ids=["always", "nyse"])
def test_prices_stay_plausible_for_decades(market):
    end = datetime(2040, 6, 1, tzinfo=UTC)
    for symbol in ("SPY", "MU", "COIN", "MSTR", "UNI/USD", "SHIB/USD"):
        profile = PROFILES[symbol]
        closes = [
            bar.c / profile.anchor_price for bar in market.bars(symbol, "1D", None, end, MAX_BARS)
        ]
        assert len(closes) > 5000
        assert Decimal("0.05") < min(closes) <= max(closes) < 25, symbol


def test_what_one_sector_shares_moves_together():
    def moves(symbol: str) -> list[float]:
        bars = ALWAYS.bars(symbol, "1D", None, NOW, 1000)
        return [float(bar.c / bar.o - 1) for bar in bars]

    def correlation(left: str, right: str) -> float:
        a, b = moves(left), moves(right)
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    assert correlation("XOM", "CVX") > correlation("XOM", "TSLA") + 0.15
    assert correlation("BTC/USD", "ETH/USD") > 0.5
    assert correlation("SPY", "QQQ") > 0.7


def test_volatility_is_the_profiles_own():
    for symbol in ("SPY", "AAPL", "TSLA", "BTC/USD"):
        bars = ALWAYS.bars(symbol, "1D", None, NOW, 2000)
        variance = sum(float(bar.c / bar.o - 1) ** 2 for bar in bars) / len(bars)
        annual = (variance * 365) ** 0.5
        assert 0.85 < annual / PROFILES[symbol].annual_volatility < 1.3


def test_now_and_then_a_price_jumps_within_a_minute():
    sigma = PROFILES["AAPL"].annual_volatility / 365**0.5
    days = ALWAYS.bars("AAPL", "1D", None, NOW, 2000)
    leaps = [day for day in days if abs(float(day.c / day.o) - 1) > 3.6 * sigma]
    assert 0 < len(leaps) < 20

    def largest_minute(day_open: datetime) -> Decimal:
        end = day_open + timedelta(days=1, microseconds=-1)
        minutes = ALWAYS.bars("AAPL", "1m", day_open, end, MAX_BARS, now=NOW)
        return max(abs(bar.c - bar.o) for bar in minutes)

    # A day may also go far step by step; most far ones went at once.
    at_once = [day for day in leaps if largest_minute(day.t) > abs(day.c - day.o) * Decimal("0.4")]
    assert len(at_once) >= 3
    calm = [day for day in days[-40:-1] if day not in leaps]
    assert all(float(largest_minute(day.t) / day.o) < 0.6 * sigma for day in calm)


def test_a_small_order_fills_at_once_and_a_large_one_walks_the_book():
    quote = ALWAYS.quote("AAPL", NOW)
    assert quote.ask_size >= 50
    assert sum(level.size for level in quote.asks[:2]) < 5_000
    assert sum(level.size for level in quote.asks) > 1_500


def test_start_end_and_limit_choose_the_newest_bars():
    hours = ALWAYS.bars("AAPL", "1h", None, NOW, 48)
    assert ALWAYS.bars("AAPL", "1h", None, NOW, 5) == hours[-5:]
    start, end = hours[10].t, hours[20].t
    assert ALWAYS.bars("AAPL", "1h", start, end, 100, now=NOW) == hours[10:21]
    assert ALWAYS.bars("AAPL", "1h", start, end, 3, now=NOW) == hours[18:21]
    assert ALWAYS.bars("AAPL", "1h", NOW + timedelta(hours=2), NOW, 5) == []
    folded = ALWAYS.bars("AAPL", "1h", start, end, 100)
    assert folded[:-1] == hours[10:20]
    assert folded[-1].o == folded[-1].c == hours[20].o


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="7m"):
        ALWAYS.bars("AAPL", "7m", None, NOW, 5)
    for limit in (0, MAX_BARS + 1):
        with pytest.raises(ValueError, match="limit"):
            ALWAYS.bars("AAPL", "1m", None, NOW, limit)
    with pytest.raises(KeyError):
        ALWAYS.quote("NOSUCH", NOW)
    with pytest.raises(ValueError, match="2016"):
        ALWAYS.quote("AAPL", datetime(2010, 1, 1, tzinfo=UTC))
    assert ALWAYS.bars("AAPL", "1D", None, datetime(2010, 1, 1, tzinfo=UTC), 5) == []


def test_the_first_day_of_history_is_the_last_bar_one_can_get():
    bars = ALWAYS.bars("AAPL", "1D", None, datetime(2016, 1, 4, tzinfo=UTC), 100)
    assert [bar.t.day for bar in bars] == [2, 3, 4]


def test_the_market_needs_neither_django_nor_numpy():
    code = (
        "import sys, marketdata.feeds.simulated.market; "
        "print(sorted({'django', 'numpy', 'pandas', 'redis'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == "[]"
