"""The streams of an exchange through ccxt.pro, in a thread of their own: they hurry, polls cover.

Unmodified ccxt.pro keeps the newest ticker and book of each symbol; we look at what has changed.
Any trouble ends the connection, and a new one comes after a pause that grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from marketdata.feeds.base import FeedFailed
from marketdata.feeds.ccxt.parse import stamp_of, take_book, take_live
from marketdata.feeds.newest import Newest
from marketdata.feeds.numbers import price_of
from marketdata.feeds.pacing import Loop

logger = logging.getLogger(__name__)

LOOK: Final = 0.05  # seconds between two looks at what has changed
IDLE: Final = 0.2
ANEW: Final = 60.0  # a full connection makes room for others at most so often
LONGEST: Final = 60.0  # pause between two connections
STEADY: Final = 30.0  # a connection that held so long was a good one
CROSSED: Final = 1.0  # seconds that two changes of one book may be apart
CLOSE_LIMIT: Final = 2.0
UNABLE: Final = 3600.0  # before a venue is tried again that has no such streams
#: Kraken's tickers come with trades only, unless one asks for each change of the best prices.
_PARAMS: Final[Mapping[str, dict[str, str]]] = {"kraken": {"event_trigger": "bbo"}}


class PriceStream:
    """Puts what is streamed into `newest`. All methods may be called from any thread."""

    def __init__(self, exchange: str, newest: Newest) -> None:
        self.connects = 0
        self._exchange, self._newest = exchange, newest
        self._wanted: tuple[str, ...] = ()
        self._streamed: frozenset[str] = frozenset()  # subscribed to on this connection
        self._source: Any = None  # the exchange that polls: its markets serve here too
        self._tickers: dict[str, float] = {}  # symbol -> monotonic time of its last ticker
        self._books: dict[str, float] = {}
        self._lasts: dict[str, Any] = {}  # symbol -> last price as it was streamed
        self._heard_at = self._moved_at = 0.0
        self._silent = True  # this connection has told nothing yet
        self._loop = Loop(f"ccxt:{exchange}-stream", self._run, longest=LONGEST)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def want(self, symbols: Collection[str], source: Any) -> None:
        """Stream these, as many as settings say; `source` has the markets of the same exchange.

        What is streamed already comes first, so that one more look throws nobody off.
        """
        streamed = self._streamed
        chosen = [
            *(s for s in symbols if s in streamed),
            *(s for s in symbols if s not in streamed),
        ]
        self._wanted = tuple(chosen[: settings.CCXT_STREAM_SYMBOLS])
        self._source = source

    def fresh(self, symbols: Collection[str], within: float) -> set[str]:
        """Those whose ticker came within so many seconds: nobody needs to ask for them."""
        return _recent(self._tickers, symbols, within)

    def fresh_books(self, symbols: Collection[str], within: float) -> set[str]:
        """Those whose book came within so many seconds."""
        return _recent(self._books, symbols, within)

    def witness(self, symbol: str, last: Any) -> None:
        """A poll saw this last price: where the stream tells of nothing after it, it is mute."""
        told = self._lasts.get(symbol)
        if symbol in self._wanted and price_of(last) != told and self._moved_at <= self._heard_at:
            self._moved_at = time.monotonic()

    # ── the thread ───────────────────────────────────────────────────────────
    def _run(self, stop: threading.Event) -> float:
        if not self._wanted:
            return IDLE
        began = time.monotonic()
        try:
            able = asyncio.run(self._main(stop))
        except Exception:
            if time.monotonic() - began >= STEADY:
                self._loop.failures = 0
            raise
        return IDLE if able else UNABLE

    async def _main(self, stop: threading.Event) -> bool:
        """One connection, until it breaks (FeedFailed), has too many symbols or is stopped (True).

        False where the venue has no streams that serve us.
        """
        client = _client(self._exchange, self._source)
        if client is None:
            return False
        broken: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            # A frame that ccxt cannot read ends its reading without a word to those who wait.
            lambda loop, context: broken.append(str(context.get("exception") or context["message"]))
        )
        tasks: list[asyncio.Task[None]] = []
        told: dict[tuple[str, str], Any] = {}
        self._streamed, self._silent = frozenset(), True
        began = self._heard_at = self._moved_at = time.monotonic()
        try:
            while not stop.is_set():
                new = [one for one in self._wanted if one not in self._streamed]
                room = settings.CCXT_STREAM_SYMBOLS - len(self._streamed)
                if len(new) > room and time.monotonic() - began >= ANEW:
                    return True  # without those that nobody looks at any more
                if new := new[:room]:
                    self._streamed |= frozenset(new)
                    tasks += _subscribe(client, new)
                self._take(client, told)
                self._trouble(broken, tasks)
                await asyncio.sleep(LOOK)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_LIMIT):
                    await client.close()
        return True

    def _take(self, client: Any, told: dict[tuple[str, str], Any]) -> None:
        """Put in what has changed since the last look. A frame older than the last is left out."""
        now, at = time.monotonic(), datetime.now(UTC)
        for symbol in self._streamed:
            ticker, before = client.tickers.get(symbol), told.get(("ticker", symbol))
            if ticker is not None and ticker is not before and not _older(ticker, before):
                told["ticker", symbol] = ticker
                take_live(self._newest, ticker, at)
                self._lasts[symbol] = price_of(ticker.get("last"))
                self._tickers[symbol] = self._hear(now)
            best = _best(client.orderbooks.get(symbol))
            if best is None or best == told.get(("book", symbol)):
                continue
            if _crossed(best):
                since = told.setdefault(("crossed", symbol), now)
                if now - since >= CROSSED:
                    raise FeedFailed(f"the book of {symbol} is crossed: a change of it got lost")
                continue
            told["book", symbol] = best
            told.pop(("crossed", symbol), None)
            take_book(self._newest, symbol, best, at, settings.BOOK_LEVELS)
            self._books[symbol] = self._hear(now)

    def _hear(self, now: float) -> float:
        """Something came; the moment of it."""
        if self._silent:
            self._silent = False
            self.connects += 1
            logger.info("ccxt_stream", extra={"exchange": self._exchange, "times": self.connects})
        self._heard_at = now
        return now

    def _trouble(self, broken: list[str], tasks: list[asyncio.Task[None]]) -> None:
        """Raise FeedFailed where this connection will tell nothing more."""
        if broken:
            raise FeedFailed(broken[0])
        for task in tasks:
            if task.done():  # also where ccxt cancelled what it waited for
                error = None if task.cancelled() else task.exception()
                raise FeedFailed(f"{type(error).__name__}: {error}"[:200])
        silent = time.monotonic() - self._moved_at
        mute = settings.FEED_MUTE_AFTER.total_seconds()
        if self._moved_at > self._heard_at and silent >= mute:
            raise FeedFailed("the stream is mute: polls see prices that it does not tell")


def _recent(heard: Mapping[str, float], symbols: Collection[str], within: float) -> set[str]:
    least = time.monotonic() - within
    return {symbol for symbol in symbols if heard.get(symbol, 0.0) >= least}


def _subscribe(client: Any, symbols: list[str]) -> list[asyncio.Task[None]]:
    """Have ccxt follow tickers and books, in one call each where the venue can."""
    has, params = client.has, dict(_PARAMS.get(client.id, {}))
    asks: list[Callable[[], Any]] = []
    if has.get("watchTickers"):
        asks.append(lambda: client.watch_tickers(symbols, params))
    else:
        asks += [partial(client.watch_ticker, symbol, params) for symbol in symbols]
    if has.get("watchOrderBookForSymbols"):
        asks.append(lambda: client.watch_order_book_for_symbols(symbols))
    elif has.get("watchOrderBook"):
        asks += [partial(client.watch_order_book, symbol) for symbol in symbols]
    return [asyncio.create_task(_follow(ask)) for ask in asks]


async def _follow(ask: Callable[[], Any]) -> None:
    """Go on asking: it keeps the subscription, and raises what is wrong with it."""
    while True:
        await ask()
        await asyncio.sleep(LOOK)


def _older(ticker: Any, before: Any) -> bool:
    """Whether a frame came out of turn, where the venue says when each was true."""
    then, now = stamp_of(before), stamp_of(ticker)
    return then is not None and now is not None and now < then


def _best(book: Any) -> dict[str, list[list[Any]]] | None:
    if not book:
        return None
    levels = settings.BOOK_LEVELS
    return {side: [list(level[:2]) for level in book[side][:levels]] for side in ("bids", "asks")}


def _crossed(best: Mapping[str, list[list[Any]]]) -> bool:
    bids, asks = best["bids"], best["asks"]
    return bool(bids and asks and bids[0][0] >= asks[0][0])


def _client(exchange: str, source: Any) -> Any:
    """ccxt.pro's exchange at this installation's address; None where it has no tickers for us."""
    import ccxt.pro  # 30 MB more than ccxt: only where it streams

    client = getattr(ccxt.pro, exchange)({"timeout": int(settings.BROKER_TIMEOUT[1] * 1000)})
    if not (client.has.get("watchTickers") or client.has.get("watchTicker")):
        return None
    if exchange in settings.CCXT_URLS:
        client.urls["api"] = stream_urls(client.urls["api"], settings.CCXT_URLS[exchange])
    client.set_markets_from_exchange(source)
    return client


def stream_urls(own: Any, moved: Any) -> Any:
    """The value of CCXT_URLS with addresses of streams: its own, or the same host as the first.

    `own` are the venue's addresses; their paths stay, so a stream never leads past the proxy.
    """
    if not isinstance(moved, dict) or "ws" in moved:
        return moved
    first = next(url for url in moved.values() if isinstance(url, str))
    return moved | {"ws": _at_host(own["ws"], first)}


def _at_host(urls: Any, host: str) -> Any:
    if isinstance(urls, dict):
        return {name: _at_host(url, host) for name, url in urls.items()}
    there = urlsplit(host)
    scheme = "wss" if there.scheme == "https" else "ws"
    return urlsplit(urls)._replace(scheme=scheme, netloc=there.netloc).geturl()
