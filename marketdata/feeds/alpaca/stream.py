"""Alpaca's stream through alpaca-py, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from alpaca.data.live import StockDataStream
from django.conf import settings

from marketdata.feeds.alpaca.rest import data_feed
from marketdata.feeds.pacing import Loop

logger = logging.getLogger(__name__)

#: After the vendor said that the plan has no such data.
PLAN_REST: Final = 60.0
CLOSE_LIMIT: Final = 2.0
Handler = Callable[[Any], Coroutine[Any, Any, None]]


class _Connection(StockDataStream):
    """alpaca-py's stream, which reconnects by itself with pauses that grow and jitter.

    It waits for ever for a greeting and for the answer to its key; here that has a limit. And the
    limit of its silence follows the hours of the market.
    """

    def __init__(self, *, opened: Callable[[], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._opened = opened
        for name in ("_start_ws", "_data_timeout", "_running", "_run_forever"):
            if not hasattr(self, name):
                raise RuntimeError(f"alpaca-py's stream has no {name} any more")

    async def _start_ws(self) -> None:
        limit = settings.FEED_CONNECT_LIMIT.total_seconds()
        async with asyncio.timeout(limit):  # not `wait_for`: of 3.11 it can lose a cancel
            await super()._start_ws()
        self._opened()

    @property
    def open(self) -> bool:
        """Whether it is connected and let in."""
        return bool(self._running)

    def expect(self, seconds: float | None) -> None:
        """From now on connect anew after so many seconds without data; None: never."""
        self._data_timeout = seconds


class QuoteStream:
    """Hands each quote and trade of its symbols to `on_quote` and `on_trade`, as raw objects."""

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        on_quote: Callable[[dict[str, Any]], None],
        on_trade: Callable[[dict[str, Any]], None],
    ) -> None:
        self.connects = 0  # how often it was let in since the start
        self.data_at: float | None = None  # monotonic time of the last quote or trade
        self._key, self._secret = key, secret
        self._handle_quote = self._handler(on_quote)
        self._handle_trade = self._handler(on_trade)
        self._wanted: tuple[str, ...] = (settings.ALPACA_CANARY,)
        self._subscribed: frozenset[str] = frozenset()
        self._patience: float | None = None
        self._connection: _Connection | None = None
        self._loop = Loop("alpaca-stream", self._run, first=1.0, longest=30.0)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    @property
    def open(self) -> bool:
        """Whether it is connected now."""
        connection = self._connection
        return connection is not None and connection.open

    def expect(self, seconds: float | None) -> None:
        """Connect anew after so many seconds without data; None while the market is closed."""
        self._patience = seconds
        if (connection := self._connection) is not None:
            connection.expect(seconds)

    def want(self, symbols: Collection[str]) -> None:
        """Stream these and no others. For one thread, which waits until the vendor was told."""
        self._wanted = tuple(symbols)
        connection = self._connection
        if connection is None:
            return
        wanted = frozenset(symbols)
        new, gone = sorted(wanted - self._subscribed), sorted(self._subscribed - wanted)
        try:
            if gone:
                connection.unsubscribe_quotes(*gone)
                connection.unsubscribe_trades(*gone)
            if new:
                connection.subscribe_quotes(self._handle_quote, *new)
                connection.subscribe_trades(self._handle_trade, *new)
        except Exception as error:
            # The connection broke meanwhile; it will subscribe to what its handlers say.
            logger.info("stream_not_told", extra={"error": str(error)[:100]})
        self._subscribed = frozenset(connection._handlers["quotes"])

    def _run(self, stop: threading.Event) -> float:
        asyncio.run(self._main(stop))
        return 0.0 if stop.is_set() else PLAN_REST

    async def _main(self, stop: threading.Event) -> None:
        connection = _Connection(
            opened=self._on_open,
            api_key=self._key,
            secret_key=self._secret,
            raw_data=True,
            url_override=settings.ALPACA_DATA_STREAM_URL,
            data_timeout=self._patience,
        )
        # Before anything is connected a subscription is only noted.
        connection.subscribe_quotes(self._handle_quote, *self._wanted)
        connection.subscribe_trades(self._handle_trade, *self._wanted)
        self._subscribed = frozenset(self._wanted)
        self._connection = connection
        task = asyncio.create_task(connection._run_forever())
        try:
            while not stop.is_set() and not task.done():
                await asyncio.sleep(0.1)
        finally:
            if self._connection is connection:  # and not that of a run after this one
                self._connection = None
            while not task.done():
                task.cancel()  # the package loses one that comes with a frame
                await asyncio.wait({task}, timeout=0.5)
            with contextlib.suppress(asyncio.CancelledError, Exception):
                task.result()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_LIMIT):
                    await connection.close()

    def _on_open(self) -> None:
        self.connects += 1
        logger.info("alpaca_stream_open", extra={"feed": data_feed(), "times": self.connects})

    def _handler(self, take: Callable[[dict[str, Any]], None]) -> Handler:
        async def handle(raw: dict[str, Any]) -> None:
            self.data_at = time.monotonic()
            take(raw)

        return handle
