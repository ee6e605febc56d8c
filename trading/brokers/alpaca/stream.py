"""News of one account's orders from Alpaca, on the stream of alpaca-py.

The package connects, authenticates and backs off; the listening is ours: exact numbers, frames that
cannot be read, a line that is dead or quiet. Alpaca never repeats anything, so after every connect,
and whenever something may have been missed, `on_gap` tells the caller to compare.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from alpaca.trading.stream import TradingStream
from django.conf import settings
from django.utils import timezone
from websockets.exceptions import ConnectionClosedError

from accounts.keys import BrokerKey
from trading.brokers.alpaca import parse
from trading.brokers.alpaca.client import stream_address
from trading.brokers.base import BrokerOrder

logger = logging.getLogger(__name__)
OnUpdate = Callable[[BrokerOrder], Awaitable[None]]
OnGap = Callable[[str], Awaitable[None]]

START_WITHIN = 15.0  # seconds for connecting and authenticating, and as many for listening
CLOSE_WITHIN = 3.0  # seconds for a polite end
GAP_AGAIN = 5.0  # seconds between two calls for what may have been missed
REFUSED_WAIT = (60.0, 120.0)  # seconds before a key that was refused is tried again
PORTS = {"ws": 80, "wss": 443}
FRAME_MAX = 1024 * 1024  # bytes
FILLS = ("fill", "partial_fill")
#: Of alpaca-py, overridden or read here.
INTERNALS = ("_connect", "_start_ws", "_auth", "_consume", "_run_forever", "_reconnect_delay")


class AlpacaStream:
    """The trade updates of one account. Alpaca allows one connection: run it in one process."""

    def __init__(self, account_id: int, key: BrokerKey, mode: str) -> None:
        self.account_id, self._key, self._url = account_id, key, stream_address(mode)

    async def run(self, on_update: OnUpdate, on_gap: OnGap) -> None:
        """Until cancelled, whatever the vendor, the network and the handlers do."""
        while True:
            ears = _Ears(self._key, self._url, on_update, on_gap)
            try:
                await ears._run_forever()
            except Exception:
                logger.exception("alpaca_stream_broke", extra={"account": self.account_id})
            finally:
                with suppress(Exception):
                    async with asyncio.timeout(CLOSE_WITHIN):
                        await ears.close()
            await asyncio.sleep(settings.BROKER_STREAM_BACKOFF[0])


class _Ears(TradingStream):
    """The package's stream, with our own way of listening."""

    def __init__(self, key: BrokerKey, url: str, on_update: OnUpdate, on_gap: OnGap) -> None:
        ping = settings.BROKER_STREAM_PING.total_seconds()
        super().__init__(
            key.api_key,
            key.secret_key,
            raw_data=True,
            url_override=url,
            websocket_params={
                "ping_interval": ping,  # a line that is dead on one side is found by it
                "ping_timeout": ping,
                "close_timeout": min(ping, 2.0),  # spent up to four times on a dead line
                "open_timeout": START_WITHIN,
                "max_queue": 1024,
                "max_size": FRAME_MAX,
            },
        )
        lacking = [name for name in INTERNALS if not hasattr(self, name)]
        if lacking:
            raise RuntimeError(f"alpaca-py has changed: it has no {', '.join(lacking)}")
        self._reconnect_min_backoff, self._reconnect_max_backoff = settings.BROKER_STREAM_BACKOFF
        self._on_update, self._on_gap = on_update, on_gap
        self._listening = self._refused = False
        self._connects = 0
        self._owed = ""  # why a comparison is owed, since the last one failed or came too soon
        self._compared = 0.0
        self.subscribe_trade_updates(self._told)

    async def _start_ws(self) -> None:
        """As the package does, but a server that stays mute is given up."""
        self._listening = False
        async with asyncio.timeout(START_WITHIN):
            await super()._start_ws()

    async def _connect(self) -> None:
        """The package follows redirects; a key is shown to nobody but the host that was meant."""
        await super()._connect()
        line: Any = self._ws
        meant, reached = urlsplit(self._endpoint), line.request_headers["Host"]
        if reached != meant.netloc.removesuffix(f":{PORTS[meant.scheme]}"):
            raise ConnectionError(f"led away to {reached}")

    async def close(self) -> None:
        """A line that is closed takes a cancel for its own end; here it stays one."""
        await super().close()
        here = asyncio.current_task()
        if here is not None and here.cancelling():
            raise asyncio.CancelledError

    async def _auth(self) -> None:
        self._refused = False
        try:
            await super()._auth()
        except ValueError:
            self._refused = True
            raise

    def _reconnect_delay(self, retries: int) -> float:
        if self._refused:
            return random.uniform(*REFUSED_WAIT)  # noqa: S311 (spread, not secrecy)
        delay: float = super()._reconnect_delay(retries)
        return delay

    async def _consume(self) -> None:
        """Listen on one connection until it ends, which the package turns into a reconnect."""
        line: Any = self._ws
        quiet = settings.BROKER_STREAM_QUIET.total_seconds()
        heard = time.monotonic()
        while True:
            limit = START_WITHIN if not self._listening else GAP_AGAIN if self._owed else quiet
            try:
                # Not `wait_for`: of Python 3.11 it loses a cancel that comes with a frame.
                async with asyncio.timeout(limit):
                    raw = await line.recv()
            except TimeoutError:
                if not self._listening:
                    raise ConnectionClosedError(None, None) from None
                if not self._owed and time.monotonic() - heard >= quiet:
                    heard = time.monotonic()
                    self._data_received = True  # a line that lasted: its end starts a new count
                    self._owed = "quiet"
                await self._compare()
                continue
            heard = time.monotonic()
            await self._frame(raw)

    async def _frame(self, raw: bytes | str) -> None:
        """One frame, whatever is in it."""
        try:
            message = parse.loads(raw if isinstance(raw, str) else raw.decode())
            stream = message.get("stream") if isinstance(message, dict) else None
        except (ValueError, RecursionError):
            logger.warning("alpaca_odd_frame")
            self._owed = self._owed or "unreadable"
            return
        if stream == "listening":
            await self._heard_back(message.get("data"))
        elif stream == "trade_updates" and message.get("data") is not None:
            self._data_received = True
            await self._told(message)
        if self._owed:
            await self._compare()

    async def _heard_back(self, data: object) -> None:
        """The answer to "listen": from here on nothing is missed, so compare now."""
        streams = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(streams, list) or "trade_updates" not in streams:
            raise ConnectionClosedError(None, None)
        self._connects += 1
        self._listening = True
        self._owed, self._compared = "connected" if self._connects == 1 else "reconnected", 0.0

    async def _told(self, message: dict[str, Any]) -> None:
        """Hand an update on. One that cannot be read or handled is found by a comparison."""
        try:
            order = update(message, timezone.now())
        except parse.Unreadable as error:
            logger.warning("alpaca_odd_update", extra={"error": str(error)})
            self._owed = self._owed or "unreadable"
            return
        try:
            await self._on_update(order)
        except Exception:
            logger.exception("alpaca_update_failed", extra={"order": order.broker_order_id})
            self._owed = self._owed or "unhandled"

    async def _compare(self) -> None:
        """Call `on_gap` for what is owed: not too often, and again where it failed."""
        if not self._owed or time.monotonic() - self._compared < GAP_AGAIN:
            return
        why, self._owed = self._owed, ""
        self._compared = time.monotonic()
        try:
            await self._on_gap(why)
        except Exception:
            logger.exception("alpaca_gap_failed")
            self._owed = why


def update(message: dict[str, Any], now: datetime) -> BrokerOrder:
    """The order that a frame tells of, with its one fill; raises Unreadable.

    The order's filled quantity is cumulative, so the fill is the last stretch of it.
    """
    data = parse.row(message.get("data"))
    order = parse.order(data.get("order"), now=now)
    if data.get("event") not in FILLS:
        return order
    fill = parse.fill(
        order.broker_order_id,
        order.filled_qty,
        parse.number(data.get("qty")),
        parse.number(data.get("price")),
        parse.moment(data.get("timestamp")),
        source="stream",
        id=str(data.get("execution_id")),
    )
    return replace(order, fills=(fill,))
