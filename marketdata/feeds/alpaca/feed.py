"""Stocks from Alpaca as one feed among others.

Symbols that somebody watches are streamed, as many as the plan allows; the others, and watched ones
beyond that, come as snapshots in batches. A quote of the stream stays true while the stream lives
and brings nothing newer, so its time moves on with the stream's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings

from marketdata.domain.bars import Bar
from marketdata.domain.calendar import Session, session_at
from marketdata.domain.quotes import Quote
from marketdata.feeds.alpaca.parse import HOURS, take_quote, take_snapshot, take_trade
from marketdata.feeds.alpaca.rest import AlpacaRest, Refused, data_feed
from marketdata.feeds.alpaca.stream import QuoteStream
from marketdata.feeds.base import FeedFailed, FeedState, Listing
from marketdata.feeds.newest import Newest
from marketdata.feeds.pacing import Budget, Loop

logger = logging.getLogger(__name__)

NAME: Final = "alpaca"
STEP: Final = 0.25  # seconds between two looks at what is watched
BATCH: Final = 200  # symbols in one snapshot
#: Streamed symbols have their day summed up anew so often.
DAY_EVERY: Final = 60.0
#: Symbols that are not streamed: a round takes at least so long, a batch has at least this gap.
ROUND_OPEN, ROUND_CLOSED, BATCH_GAP = 5.0, 600.0, 0.6
#: Nobody expects frames in the first moments after the opening bell.
BELL: Final = timedelta(seconds=15)
#: The stream lives while something came within so many seconds; a quote older than the second
#: figure is not believed to be the newest any more.
ALIVE: Final = 2.0
CONFIRMED: Final = timedelta(seconds=60)


class AlpacaFeed:
    """Satisfies `marketdata.feeds.base.VendorFeed`."""

    name = NAME
    hours = HOURS

    def __init__(self, key: str, secret: str) -> None:
        self.label = f"Alpaca {data_feed().upper()}"
        self._newest = Newest(NAME)
        self._budget = Budget(settings.ALPACA_CALLS_PER_MINUTE)
        self._never = threading.Event()
        self._key, self._secret = key, secret
        self._stream = QuoteStream(key, secret, on_quote=self._on_quote, on_trade=self._on_trade)
        self._desk = Loop("alpaca-desk", self._step)
        self._watched: tuple[str, ...] = ()
        self._others: tuple[str, ...] = ()
        self._streamed: tuple[str, ...] = (settings.ALPACA_CANARY,)
        self._rest: AlpacaRest | None = None
        self._day_due = self._batch_due = self._overflow_due = 0.0
        self._next_batch = 0
        self._overflow_last = ""  # the symbol that its last batch ended with
        self._session: Session | None = None
        self._connects_seen = 0
        self._refused = False
        self._started = 0.0

    def start(self) -> None:
        if not self._key or not self._secret:
            logger.error("alpaca_feed_off", extra={"why": self.state(datetime.now(UTC)).words})
            return
        self._started = time.monotonic()
        self._stream.start()
        self._desk.start()

    def stop(self) -> None:
        self._desk.stopping.set()
        self._stream.stop()
        self._desk.stop()

    def watch(self, watched: Collection[str], others: Collection[str]) -> None:
        self._watched, self._others = tuple(sorted(watched)), tuple(others)

    def state(self, now: datetime) -> FeedState:
        if not self._key or not self._secret:
            return FeedState(False, "ALPACA_DATA_KEY and ALPACA_DATA_SECRET are not set")
        if self._refused:
            return FeedState(False, "Alpaca refuses the key of market data")
        if self._desk.failures >= 3:
            return FeedState(False, "Alpaca does not answer")
        silent = time.monotonic() - max(self._stream.data_at or 0.0, self._started)
        if _busy(now) and silent > 2 * settings.FEED_MUTE_AFTER.total_seconds():
            words = "the stream is silent" if self._stream.open else "the stream is not connected"
            return FeedState(False, words)
        return FeedState(True)

    def poll(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        data_at = self._stream.data_at
        if data_at is not None and self._stream.open and _busy(now):
            silent = time.monotonic() - data_at
            if silent <= ALIVE:
                self._newest.confirm(self._streamed, now - timedelta(seconds=silent), CONFIRMED)
        return self._newest.quotes(symbols)

    def bars(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None,
        end: datetime,
        limit: int,
        now: datetime,
    ) -> list[Bar]:
        begin = start or now - settings.BARS_KEPT[timeframe]
        return self._own_rest().bars(symbol, timeframe, begin, min(end, now))[-limit:]

    def listings(self) -> list[Listing]:
        return self._own_rest().assets()

    def _own_rest(self) -> AlpacaRest:
        """For the thread that asks; connections are not shared between threads."""
        if not self._key or not self._secret:
            raise FeedFailed("no key")
        return AlpacaRest(self._key, self._secret, self._budget, self._never)

    def _on_quote(self, raw: dict[str, Any]) -> None:
        take_quote(self._newest, str(raw.get("S")), raw, datetime.now(UTC))

    def _on_trade(self, raw: dict[str, Any]) -> None:
        take_trade(self._newest, str(raw.get("S")), raw, datetime.now(UTC))

    def _step(self, stop: threading.Event) -> float:
        """One look of the desk: subscriptions, days of what streams, one batch of the others."""
        rest = self._desk_rest(stop)
        now = datetime.now(UTC)
        mute = settings.FEED_MUTE_AFTER.total_seconds()
        self._stream.expect(mute if _busy(now) else None)
        chosen = self._choose()
        if chosen != self._streamed:
            self._stream.want(chosen)
            self._streamed = chosen
        try:
            self._snapshots_due(rest, now)
        except Refused:
            self._refused = True
            raise
        return STEP

    def _desk_rest(self, stop: threading.Event) -> AlpacaRest:
        """That of this run of the desk: one of a run before it waits for nothing any more."""
        if self._rest is None or self._rest.stop is not stop:
            self._rest = AlpacaRest(self._key, self._secret, self._budget, stop)
        return self._rest

    def _choose(self) -> tuple[str, ...]:
        """The canary, what streams already and is still watched, then what is new."""
        watched = [s for s in self._watched if s != settings.ALPACA_CANARY]
        staying = [s for s in self._streamed if s in set(watched)]
        new = [s for s in watched if s not in set(staying)]
        return (settings.ALPACA_CANARY, *staying, *new)[: settings.ALPACA_STREAM_SYMBOLS]

    def _snapshots_due(self, rest: AlpacaRest, now: datetime) -> None:
        clock = time.monotonic()
        if (session := session_at(now)) != self._session:
            # A bell: what was summed up before it is the day of another session, or not all of it.
            self._session = session
            self._day_due = self._batch_due = self._overflow_due = 0.0
        connects = self._stream.connects
        unknown = [s for s in self._streamed if not self._newest.has_day(s)]
        if connects != self._connects_seen or clock >= self._day_due or unknown:
            whole = connects != self._connects_seen or clock >= self._day_due
            self._take(rest, self._streamed if whole else unknown)
            if whole:
                self._connects_seen, self._day_due = connects, clock + DAY_EVERY
            # What Alpaca does not know is not asked for again until the minute is over.
            self._newest.asked(unknown)
        overflow = sorted(set(self._watched) - set(self._streamed))
        if overflow and clock >= self._overflow_due:
            self._next_of_the_overflow(rest, overflow, clock)
        if self._others and clock >= self._batch_due:
            self._next_of_the_others(rest, clock, now)

    def _next_of_the_overflow(self, rest: AlpacaRest, overflow: list[str], clock: float) -> None:
        """In the order of the alphabet and round again, whoever comes and goes meanwhile."""
        ahead = [symbol for symbol in overflow if symbol > self._overflow_last] or overflow
        batch = ahead[:BATCH]
        self._take(rest, batch)
        self._overflow_last = batch[-1]
        self._overflow_due = clock + max(BATCH_GAP, ROUND_OPEN / _batches(overflow))

    def _next_of_the_others(self, rest: AlpacaRest, clock: float, now: datetime) -> None:
        batches = _batches(self._others)
        first_round = self._next_batch < batches
        number = self._next_batch % batches
        self._take(rest, self._others[number * BATCH : (number + 1) * BATCH])
        self._next_batch += 1
        whole = ROUND_OPEN if HOURS.is_open("stock", now) or first_round else ROUND_CLOSED
        self._batch_due = clock + max(BATCH_GAP, whole / batches)

    def _take(self, rest: AlpacaRest, symbols: Sequence[str]) -> None:
        if not symbols:
            return
        for symbol, raw in rest.snapshots(symbols).items():
            take_snapshot(self._newest, symbol, raw, datetime.now(UTC))
        self._refused = False


def _batches(symbols: Sequence[str]) -> int:
    return -(-len(symbols) // BATCH)


def _busy(now: datetime) -> bool:
    """Whether the market is open, and has been for a moment."""
    session = session_at(now)
    return session is not None and now - session.open >= BELL


def build() -> AlpacaFeed:
    """The feed with this installation's key."""
    return AlpacaFeed(settings.ALPACA_DATA_KEY, settings.ALPACA_DATA_SECRET)
