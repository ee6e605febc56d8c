"""The simulated market: quotes and bars of every symbol at every moment, stored nowhere.

Any process computes any price from (seed, profile, time) and gets the same one. Nothing here
knows what time it is: `now` is passed in, aware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from marketdata.domain.bars import Bar, timeframe_seconds
from marketdata.domain.calendar import MarketHours, Session
from marketdata.domain.quotes import Level, Quote
from marketdata.feeds.simulated.book import BookMaker
from marketdata.feeds.simulated.noise import generator, uniforms
from marketdata.feeds.simulated.paths import (
    SLOTS_A_MINUTE,
    Parts,
    Span,
    Ticks,
    minute_ticks,
    split,
)
from marketdata.feeds.simulated.profiles import Profile
from marketdata.feeds.simulated.walk import FIRST_DAY, MIN_TICKS, DailyWalk

SOURCE: Final = "simulated"
SLOT: Final = timedelta(milliseconds=250)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
MINUTES_AN_HOUR: Final = 60
MAX_BARS: Final = 10_000
# What is kept in memory, least recently used goes first. A day is 0.3 kB, a split day 3 kB, an
# hour of minutes 8 kB, a minute of ticks 8 kB; the last two fit some 250 symbols that are live.
DAYS_KEPT: Final = 4096
SPLIT_DAYS_KEPT: Final = 512
HOURS_KEPT: Final = 512
MINUTES_KEPT: Final = 512
# Overnight gap where the market closes, in units of the day's sigma.
GAP_SIGMAS: Final = 0.6
# A day reaches beyond open and close by this many sigmas on each side, least and most.
REACH_SIGMAS: Final = (0.15, 0.75)
# A day's volume: this share of the typical one, plus noise, plus more the further it moved.
QUIET_DAY: Final = 0.5
VOLUME_NOISE: Final = 0.7
VOLUME_PER_SIGMA: Final = 0.4
# How much busier the edges of a session are than its middle.
BUSY_EDGES: Final = 1.5


class _Position(NamedTuple):
    """A slot inside a session."""

    session: Session
    hour: int
    minute: int
    slot: int


class _Instrument(NamedTuple):
    profile: Profile
    book: BookMaker


def slot_index(now: datetime) -> int:
    """Return the number of whole slots of 250 ms since 1970; it is the `seq` of a quote."""
    return (now - EPOCH) // SLOT


class SimulatedMarket:
    """Quotes and bars as a pure function of (seed, profile, time); safe to share by threads.

    Unknown symbols raise KeyError, naive moments and days outside 2016 to 2060 ValueError.
    """

    def __init__(self, seed: str, hours: MarketHours, profiles: Mapping[str, Profile]) -> None:
        self.hours = hours
        self._seed = seed
        self._walk = DailyWalk(seed, hours)
        self._instruments = {
            symbol: _Instrument(profile, BookMaker(seed, profile))
            for symbol, profile in profiles.items()
        }
        self._day: Callable[[str, date], Span] = lru_cache(DAYS_KEPT)(self._make_day)
        self._hours: Callable[[str, Session], Parts] = lru_cache(SPLIT_DAYS_KEPT)(self._make_hours)
        self._minutes: Callable[[str, Session, int], Parts] = lru_cache(HOURS_KEPT)(
            self._make_minutes
        )
        self._ticks: Callable[[str, Session, int, int], Ticks] = lru_cache(MINUTES_KEPT)(
            self._make_ticks
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of this market."""
        return tuple(self._instruments)

    def slot_index(self, now: datetime) -> int:
        """Return the number of whole slots of 250 ms since 1970: a quote changes only with it."""
        return slot_index(now)

    def prev_close(self, symbol: str, now: datetime) -> Decimal:
        """Return the close of the session before the one that `quote(symbol, now)` belongs to."""
        profile = self._instruments[symbol].profile
        session = self.hours.session_for(profile.asset_type, now)
        return profile.price_tick * self._close_before(profile, session)

    def quote(self, symbol: str, now: datetime) -> Quote:
        """Return the tick of the last slot that began by `now`, with ten levels of depth.

        While the market is closed that is the last tick of the session before, with its `as_of`.
        """
        profile, maker = self._instruments[symbol]
        at = self._locate(profile.asset_type, now)
        day = self._day_so_far(symbol, at)
        as_of = at.session.open + SLOT * _slots_since_open(at)
        seq = slot_index(as_of)
        book = maker.book(day.c, seq)
        tick, step = profile.price_tick, profile.size_step
        bids = tuple([Level(tick * price, step * size) for price, size in book.bids])
        asks = tuple([Level(tick * price, step * size) for price, size in book.asks])
        return Quote(
            symbol=symbol,
            bid=bids[0].price,
            ask=asks[0].price,
            bid_size=bids[0].size,
            ask_size=asks[0].size,
            last=tick * day.c,
            prev_close=tick * self._close_before(profile, at.session),
            open=tick * day.o,
            day_high=tick * day.h,
            day_low=tick * day.l,
            volume=step * day.v,
            as_of=as_of,
            seq=seq,
            bids=bids,
            asks=asks,
            source=SOURCE,
        )

    def bars(
        self,
        symbol: str,
        timeframe: str,
        start: datetime | None,
        end: datetime,
        limit: int,
        *,
        now: datetime | None = None,
    ) -> list[Bar]:
        """Return the newest `limit` bars that begin in [start, end], oldest first.

        `now` (default: `end`) is where time has got to: no bar begins after it, and the bar that
        holds it is folded up to it, so that its close is the last price of `quote(symbol, now)`.
        Ask for the past with an `end` before `now`, and its bars are whole. Raises ValueError for
        an unknown timeframe or a limit outside 1 to MAX_BARS.
        """
        timeframe_seconds(timeframe)
        if not 1 <= limit <= MAX_BARS:
            raise ValueError(f"limit must be 1 to {MAX_BARS}")
        profile = self._instruments[symbol].profile
        tick, step = profile.price_tick, profile.size_step
        newest_first: list[Bar] = []
        moment = end if now is None else now
        for opened, span in self._spans(profile, timeframe, min(end, moment), moment):
            if start is not None and opened < start:
                break
            o, h, l, c, v, _ = span  # noqa: E741
            newest_first.append(Bar(opened, tick * o, tick * h, tick * l, tick * c, step * v))
            if len(newest_first) == limit:
                break
        newest_first.reverse()
        return newest_first

    def _spans(
        self, profile: Profile, timeframe: str, end: datetime, now: datetime
    ) -> Iterator[tuple[datetime, Span]]:
        """Yield (start, span) of each bar that begins by `end`, newest first."""
        asset_type = profile.asset_type
        running = self._locate(asset_type, now)
        session = self.hours.session_for(asset_type, end)
        # The first day is only the close that the second one starts from.
        while session.day > FIRST_DAY:
            at = running if session == running.session else _end_of(session)
            for minute, span in self._session_spans(profile.symbol, timeframe, at):
                opened = session.open + MINUTE * minute
                if opened <= end:
                    yield opened, span
            session = self.hours.session_before(asset_type, session)

    def _session_spans(
        self, symbol: str, timeframe: str, at: _Position
    ) -> Iterator[tuple[int, Span]]:
        """Yield (minute of the session, span) of its bars up to `at`, newest first."""
        if timeframe == "1D":
            complete = at == _end_of(at.session)
            yield 0, self._day(symbol, at.session.day) if complete else self._day_so_far(symbol, at)
            return
        if timeframe == "1h":
            yield at.hour * MINUTES_AN_HOUR, self._hour_so_far(symbol, at)
            hours = self._hours(symbol, at.session)
            for hour in range(at.hour - 1, -1, -1):
                yield hour * MINUTES_AN_HOUR, hours.part(hour)
            return
        size = timeframe_seconds(timeframe) // 60
        for hour in range(at.hour, -1, -1):
            minutes = self._minutes(symbol, at.session, hour)
            count = len(minutes.closes)
            if hour == at.hour:
                # The group that holds the running minute, then the whole ones before it.
                count = at.minute // size * size
                yield hour * MINUTES_AN_HOUR + count, self._group_so_far(symbol, at, count)
            for first in range(count - size, -1, -size):
                yield hour * MINUTES_AN_HOUR + first, minutes.join(first, first + size)

    def _locate(self, asset_type: str, now: datetime) -> _Position:
        session = self.hours.session_for(asset_type, now)
        if now >= session.close:
            return _end_of(session)
        return _position(session, (now - session.open) // SLOT)

    def _close_before(self, profile: Profile, session: Session) -> int:
        # A closed day has the close of the session before it.
        return self._walk.close_ticks(profile, session.day - timedelta(days=1))

    def _day_so_far(self, symbol: str, at: _Position) -> Span:
        return self._hours(symbol, at.session).so_far(at.hour, self._hour_so_far(symbol, at))

    def _hour_so_far(self, symbol: str, at: _Position) -> Span:
        minute = self._ticks(symbol, at.session, at.hour, at.minute).so_far(at.slot)
        return self._minutes(symbol, at.session, at.hour).so_far(at.minute, minute)

    def _group_so_far(self, symbol: str, at: _Position, first: int) -> Span:
        """Return the minutes of the running hour from `first` up to `at` as one span."""
        running = self._ticks(symbol, at.session, at.hour, at.minute).so_far(at.slot)
        if first == at.minute:
            return running
        before = self._minutes(symbol, at.session, at.hour).join(first, at.minute)
        high, low = max(before.h, running.h), min(before.l, running.l)
        return Span(before.o, high, low, running.c, before.v + running.v)

    def _make_day(self, symbol: str, day: date) -> Span:
        """Return the whole session of `day`."""
        profile = self._instruments[symbol].profile
        before = self._walk.close_ticks(profile, day - timedelta(days=1))
        closed = self._walk.close_ticks(profile, day)
        dice = uniforms(f"{self._seed}:day:{symbol}:{day.isoformat()}")
        sigma = self._walk.sigma(profile) * before
        opened = before
        if not self.hours.never_closes(profile.asset_type):
            gap = (dice[0] + dice[1] - 1.0) * GAP_SIGMAS * sigma
            opened = max(MIN_TICKS, before + round(gap))
        least, most = REACH_SIGMAS
        above = round((least + (most - least) * dice[2]) * sigma)
        below = round((least + (most - least) * dice[3]) * sigma)
        volume = float(profile.daily_volume / profile.size_step) * (
            QUIET_DAY + VOLUME_NOISE * dice[4] + VOLUME_PER_SIGMA * abs(closed - before) / sigma
        )
        return Span(
            opened,
            max(opened, closed) + above,
            max(MIN_TICKS, min(opened, closed) - below),
            closed,
            round(volume),
            self._walk.jumped(profile, day),
        )

    def _make_hours(self, symbol: str, session: Session) -> Parts:
        whole, rest = divmod(_minutes_of(session), MINUTES_AN_HOUR)
        widths = [MINUTES_AN_HOUR] * whole + ([rest] if rest else [])
        rng = generator(f"{self._seed}:hours:{symbol}:{session.day.isoformat()}")
        return split(self._day(symbol, session.day), widths, _busy(widths), rng)

    def _make_minutes(self, symbol: str, session: Session, hour: int) -> Parts:
        count = min(MINUTES_AN_HOUR, _minutes_of(session) - hour * MINUTES_AN_HOUR)
        rng = generator(f"{self._seed}:minutes:{symbol}:{session.day.isoformat()}:{hour}")
        return split(self._hours(symbol, session).part(hour), [1] * count, [1000] * count, rng)

    def _make_ticks(self, symbol: str, session: Session, hour: int, minute: int) -> Ticks:
        label = f"{symbol}:{session.day.isoformat()}:{hour}:{minute}"
        span = self._minutes(symbol, session, hour).part(minute)
        return minute_ticks(span, generator(f"{self._seed}:ticks:{label}"))


def _position(session: Session, slots: int) -> _Position:
    minutes, slot = divmod(slots, SLOTS_A_MINUTE)
    hour, minute = divmod(minutes, MINUTES_AN_HOUR)
    return _Position(session, hour, minute, slot)


def _end_of(session: Session) -> _Position:
    return _position(session, _minutes_of(session) * SLOTS_A_MINUTE - 1)


def _minutes_of(session: Session) -> int:
    return (session.close - session.open) // MINUTE


def _slots_since_open(at: _Position) -> int:
    return (at.hour * MINUTES_AN_HOUR + at.minute) * SLOTS_A_MINUTE + at.slot


def _busy(widths: list[int]) -> list[int]:
    """Return the volume of each part before noise: a U over the session, times its length."""
    total, passed, shape = sum(widths), 0, []
    for width in widths:
        off_centre = (2 * passed + width) / total - 1.0
        shape.append(int(1000 * width * (1.0 + BUSY_EDGES * off_centre * off_centre)))
        passed += width
    return shape
