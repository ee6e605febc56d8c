"""Coins from an exchange that ccxt speaks to, as one feed among others.

What somebody watches is streamed. All prices are asked for now and then; those that somebody
watches and the stream has not told of for a moment about once a second, and one order book of
theirs at a time: so a venue without streams, or one whose stream is away, is polled. No key is
needed. One instance of the exchange serves all who ask, one call after the other, because ccxt
keeps the venue's pace per instance.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from django.conf import settings

from marketdata.domain.bars import Bar, timeframe_seconds
from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import Quote
from marketdata.feeds.base import FeedFailed, FeedState, Listing
from marketdata.feeds.ccxt.parse import TICK_SIZE, bars_of, listing_of, take_book, take_ticker
from marketdata.feeds.ccxt.stream import PriceStream
from marketdata.feeds.newest import Newest
from marketdata.feeds.pacing import Loop

#: All prices are asked for at least so often.
ALL_EVERY: Final = 5.0
#: What was streamed within so many seconds is not asked for: a ticker, a book.
TICKER_STANDS: Final = 2.0
BOOK_STANDS: Final = 5.0
#: Requests for one run of bars: an exchange that gives little at a time gets no more than this.
PAGES: Final = 10
#: After so many failures in a row the feed says that it is not well.
UNWELL: Final = 3
T = TypeVar("T")


class CcxtFeed:
    """Satisfies `marketdata.feeds.base.VendorFeed`."""

    hours = MarketHours("always")

    def __init__(self, name: str, exchange: str, label: str) -> None:
        self.name, self.label = name, label
        self._exchange = exchange
        self._newest = Newest(name)
        self._lock = threading.Lock()  # around every call of ccxt
        self._client: Any = None
        self._stream = PriceStream(exchange, self._newest)
        self._desk = Loop(f"{name}-desk", self._step)
        self._watched: tuple[str, ...] = ()
        self._all_due = 0.0
        self._book_turn = 0

    def start(self) -> None:
        self._stream.start()
        self._desk.start()

    def stop(self) -> None:
        self._desk.stopping.set()
        self._stream.stop()
        self._desk.stop()

    def watch(self, watched: Collection[str], others: Collection[str]) -> None:
        self._watched = tuple(sorted(watched))

    def state(self, now: datetime) -> FeedState:
        if self._desk.failures >= UNWELL:
            return FeedState(False, f"{self.label} does not answer")
        return FeedState(True)

    def poll(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
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
        step = timedelta(seconds=timeframe_seconds(timeframe))
        rows: list[Any] = []
        since = begin
        for _ in range(PAGES):
            page = self._candles(symbol, timeframe, since)
            rows.extend(page)
            read = bars_of(page)
            if not read or read[-1].t < since or read[-1].t + step > min(end, now):
                break
            since = read[-1].t + step
        return [bar for bar in bars_of(rows) if begin <= bar.t <= end][-limit:]

    def listings(self) -> list[Listing]:
        markets = self._call("markets", lambda x: x.load_markets(True))
        mode = getattr(self._client, "precisionMode", TICK_SIZE)
        currencies = getattr(self._client, "currencies", None) or {}
        found = []
        for raw in markets.values() if isinstance(markets, dict) else ():
            base = raw.get("base") if isinstance(raw, dict) else None
            about = currencies.get(base)
            name = str((about or {}).get("name") or "") if isinstance(about, dict) else ""
            listed = listing_of(raw, self.label, settings.FEED_CURRENCY, mode, name)
            if listed is not None:
                found.append(listed)
        return found

    def _candles(self, symbol: str, timeframe: str, since: datetime) -> list[Any]:
        asked, millis = timeframe.lower(), int(since.timestamp() * 1000)
        rows = self._call("candles", lambda x: x.fetch_ohlcv(symbol, asked, since=millis))
        return rows if isinstance(rows, list) else []

    def _step(self, stop: threading.Event) -> float:
        began = time.monotonic()
        known = self._call("markets", lambda x: x.load_markets())
        watched = [s for s in self._watched if s in known and known[s].get("active") is not False]
        self._stream.want(watched, self._client)
        streamed = self._stream.fresh(watched, TICKER_STANDS)
        if began >= self._all_due:
            self._take_tickers(None)
            self._all_due = began + ALL_EVERY
        elif quiet := [s for s in watched if s not in streamed]:
            self._take_tickers(quiet)
        streamed = self._stream.fresh_books(watched, BOOK_STANDS)
        quiet = [s for s in watched if s not in streamed]
        if quiet and not stop.is_set():
            self._take_book(quiet[self._book_turn % len(quiet)])
            self._book_turn += 1
        rest = settings.CCXT_POLL.total_seconds() - (time.monotonic() - began)
        return max(0.05, rest)

    def _take_tickers(self, symbols: list[str] | None) -> None:
        at, found = self._timed("tickers", lambda x: x.fetch_tickers(symbols))
        if not isinstance(found, dict) or not found:
            raise FeedFailed("tickers: none")
        for symbol, raw in found.items():
            take_ticker(self._newest, self._exchange, raw, at)
            self._stream.witness(symbol, raw.get("last") if isinstance(raw, dict) else None)

    def _take_book(self, symbol: str) -> None:
        levels = settings.BOOK_LEVELS
        at, raw = self._timed("book", lambda x: x.fetch_order_book(symbol, levels))
        take_book(self._newest, symbol, raw, at, levels)

    def _timed(self, what: str, ask: Callable[[Any], T]) -> tuple[datetime, T]:
        """(when the question left, the answer)."""
        left: list[datetime] = []

        def timed(client: Any) -> T:
            client.throttle(1)  # ccxt waits here for its turn, and not again inside
            left.append(datetime.now(UTC))
            return ask(client)

        answer = self._call(what, timed)
        return left[0], answer

    def _call(self, what: str, ask: Callable[[Any], T]) -> T:
        """Ask the exchange; whatever ccxt raises is FeedFailed."""
        with self._lock:
            if self._client is None:
                self._client = _client(self._exchange)
            try:
                return ask(self._client)
            except Exception as error:
                # ccxt raises its own tree, and anything at all on an answer that it did not expect.
                raise FeedFailed(f"{what}: {type(error).__name__}: {error}"[:200]) from error


def _client(exchange: str) -> Any:
    """The exchange without a key, at this installation's address, with time limits."""
    import ccxt  # half a second and 80 MB: only where it is used

    seconds = settings.BROKER_TIMEOUT[1]
    client = getattr(ccxt, exchange)({"timeout": int(seconds * 1000), "enableRateLimit": True})
    if exchange in settings.CCXT_URLS:
        client.urls["api"] = settings.CCXT_URLS[exchange]
    return client


def build_for(name: str, exchange: str, label: str) -> CcxtFeed:
    """The feed of one exchange."""
    return CcxtFeed(name, exchange, label)
