"""The trade updates on the unmodified package: what is told, what a gap swallows, what breaks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import BrokerKey
from speedtrade.testing.vendors import alpaca_wire as wire
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from trading.brokers.alpaca import parse, stream
from trading.brokers.alpaca.adapter import AlpacaBroker
from trading.brokers.alpaca.stream import AlpacaStream
from trading.brokers.base import AuthFailed, BrokerOrder
from trading.domain.orders import OrderState
from trading.tests.alpaca.asks import ref, request

KEY = BrokerKey("PKALICE", "secret")


async def until(ask: Callable[[], Any], seconds: float = 20) -> None:
    """Let the loop run until the answer is true."""
    async with asyncio.timeout(seconds):
        while not ask():
            await asyncio.sleep(0.01)


class Listener:
    """What came through."""

    def __init__(self) -> None:
        self.orders: list[BrokerOrder] = []
        self.gaps: list[str] = []
        self.broken: list[Exception] = []  # raised by the next calls of a handler

    async def on_update(self, order: BrokerOrder) -> None:
        if self.broken:
            raise self.broken.pop(0)
        self.orders.append(order)

    async def on_gap(self, why: str) -> None:
        if self.broken:
            raise self.broken.pop(0)
        self.gaps.append(why)

    @property
    def fills(self) -> list[str]:
        return [fill.trade_id for order in self.orders for fill in order.fills]


@pytest.fixture(autouse=True)
def quick(settings, monkeypatch):
    settings.BROKER_STREAM_BACKOFF = (0.05, 0.2)
    monkeypatch.setattr(stream, "GAP_AGAIN", 0.05)


@asynccontextmanager
async def listening(mode: str = "paper") -> AsyncIterator[Listener]:
    """A stream that runs, once it has said that it listens."""
    heard = Listener()
    task = asyncio.create_task(AlpacaStream(1, KEY, mode).run(heard.on_update, heard.on_gap))
    try:
        await until(lambda: heard.gaps or task.done())
        yield heard
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def frame(theirs: Any, event: str, order: Any, fill: Any = None, **change: Any) -> bytes:
    message = wire.update(event, order, fill, theirs.now())
    message["data"] |= change
    return json.dumps(message).encode()


async def test_each_update_is_an_order_with_its_fill(theirs, broker):
    async with listening() as heard:
        assert heard.gaps == ["connected"]
        asked = request(qty=Decimal(12))
        made = broker.submit_order(asked)
        theirs.fill(asked.client_order_id, "9.5", "100.25")
        theirs.fill(asked.client_order_id, "2.5", "100.123456789")
        await until(lambda: len(heard.orders) == 3)
        new, part, whole = heard.orders
        assert (new.state, new.fills) == (OrderState.NEW, ())
        assert (part.state, part.filled_qty, part.complete) == (
            OrderState.PARTIALLY_FILLED,
            Decimal("9.5"),
            False,
        )
        assert whole.state == OrderState.FILLED and whole.complete
        assert whole.fills[0].qty == Decimal("2.5") and whole.fills[0].cum_qty == 12
        assert whole.fills[0].price == Decimal("100.123456789")
        assert {one.client_order_id for one in heard.orders} == {asked.client_order_id}
        assert {one.broker_order_id for one in heard.orders} == {made.broker_order_id}


async def test_a_fill_has_one_name_on_both_channels(theirs, broker):
    async with listening() as heard:
        asked = request(qty=Decimal("10.5"))
        broker.submit_order(asked)
        for qty in ("9", "1.25", "0.25"):
            theirs.fill(asked.client_order_id, qty, "100")
        await until(lambda: len(heard.fills) == 3)
        polled = broker.find_order(ref(asked)).fills
        assert [one.trade_id for one in polled] == heard.fills == sorted(heard.fills)
        told = [fill for order in heard.orders for fill in order.fills]
        assert [(one.qty, one.price, one.executed_at) for one in polled] == [
            (one.qty, one.price, one.executed_at) for one in told
        ]


async def test_what_a_gap_swallowed_is_found_by_the_comparison(vendor, theirs, broker):
    async with listening() as heard:
        asked = request()
        broker.submit_order(asked)
        await until(lambda: heard.orders)
        vendor.stream.silent = True
        vendor.stream.drop()
        theirs.fill(asked.client_order_id, "2", "100")
        vendor.stream.silent = False
        await until(lambda: heard.gaps == ["connected", "reconnected"])
        assert heard.fills == []
        assert len(broker.list_orders([ref(asked)])[0].fills) == 1
        theirs.external("MSFT", "buy", "1")
        await until(lambda: len(heard.orders) == 2)


async def test_on_gap_comes_before_what_happens_after_it(vendor, theirs):
    heard = Listener()
    order: list[str] = []

    async def on_gap(why: str) -> None:
        theirs.external("AAPL", "buy", "1")
        await asyncio.sleep(0)
        order.append(why)

    async def on_update(update: BrokerOrder) -> None:
        order.append("update")
        heard.orders.append(update)

    task = asyncio.create_task(AlpacaStream(1, KEY, "paper").run(on_update, on_gap))
    await until(lambda: heard.orders)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert order == ["connected", "update"]


Cancel = Callable[[], None]


async def hears(monkeypatch: Any, start: Callable[[Any, Cancel], Any]) -> bool:
    """Whether a stream ends that is cancelled, once, in `start`, which it has for connecting."""

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    monkeypatch.setattr(stream.TradingStream, "_start_ws", lambda self: start(self, cancel))
    heard = Listener()
    task = asyncio.create_task(AlpacaStream(1, KEY, "paper").run(heard.on_update, heard.on_gap))
    await asyncio.wait({task}, timeout=5)
    ended = task.cancelled()
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)
    return ended


async def test_a_cancel_that_comes_as_connecting_fails_is_heard(vendor, monkeypatch):
    """Or a process that is told to end waits for a stream that goes on."""

    async def start(self: Any, cancel: Cancel) -> None:
        cancel()
        raise ConnectionError("cut off")

    assert await hears(monkeypatch, start)


async def test_so_is_one_that_comes_with_a_frame(vendor, monkeypatch):
    class Line:
        def __init__(self, cancel: Cancel) -> None:
            self.cancel, self.read = cancel, 0

        async def recv(self) -> str:
            self.read += 1
            if self.read == 1:
                self.cancel()
            else:
                await asyncio.sleep(0.01)
            return "{}"

        async def close(self) -> None:
            return None

    async def start(self: Any, cancel: Cancel) -> None:
        self._ws = Line(cancel)

    assert await hears(monkeypatch, start)


async def test_so_is_one_that_comes_while_the_line_of_a_refused_key_is_closed(vendor, monkeypatch):
    """The library takes it for the end of its own wait, and then the key would rest a minute."""
    calls: list[Cancel] = []

    async def start(self: Any, cancel: Cancel) -> None:
        calls.append(cancel)
        self._refused = True
        raise ValueError("failed to authenticate")

    async def close(self: Any) -> None:
        calls[0]()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    monkeypatch.setattr(stream.TradingStream, "close", close)
    assert await hears(monkeypatch, start)


@pytest.mark.fault("F6", "F7")
async def test_duplicates_and_reordered_frames_are_told_as_they_are(vendor, theirs):
    async with listening() as heard:
        vendor.stream.silent = True
        made = theirs.external("AAPL", "buy", "3")
        theirs.fill(made, "1", "100")
        theirs.fill(made, "2", "101")
        first, second = vendor.stream.sent[1:3]
        for raw in (second, first, second, first):
            vendor.stream.send(raw)
        await until(lambda: len(heard.orders) == 4)
        assert len(set(heard.fills)) == 2
        assert [one.fills[0].cum_qty for one in heard.orders] == [3, 1, 3, 1]


ODD = {
    "null": b"null",
    "no data": b'{"data":null}',
    "no data of an update": b'{"stream":"trade_updates","data":null}',
    "a list": b"[1,2]",
    "a number": b"17",
    "another stream": b'{"stream":"account_updates","data":{"id":"1"}}',
    "an answer": b'{"stream":"authorization","data":{"status":"authorized"}}',
}
GARBAGE = {
    "half a frame": b'{"stream":"trade_updates","data":{"ev',
    "no text": b"\xff\xfe\x00",
    "NaN": b'{"stream":"trade_updates","data":{"qty":NaN}}',
    "deep": b"[" * 100_000,
    "no order": b'{"stream":"trade_updates","data":{"event":"fill"}}',
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
async def test_frames_that_say_nothing_change_nothing(vendor, theirs, raw):
    async with listening() as heard:
        vendor.stream.send(raw)
        theirs.external("AAPL", "buy", "1")
        await until(lambda: heard.orders)
        assert heard.gaps == ["connected"] and vendor.stream.handshakes == 1


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
async def test_frames_that_cannot_be_read_are_a_gap(vendor, theirs, raw):
    async with listening() as heard:
        vendor.stream.send(raw)
        theirs.external("AAPL", "buy", "1")
        await until(lambda: heard.orders and len(heard.gaps) == 2)
        assert heard.gaps == ["connected", "unreadable"] and vendor.stream.handshakes == 1


async def test_words_that_nobody_knows(vendor, theirs):
    async with listening() as heard:
        made = theirs.external("AAPL", "buy", "1")
        made.status = "pondering"
        vendor.stream.send(frame(theirs, "order_pondered", made, novelty=1.5))
        await until(lambda: len(heard.orders) == 2)
        assert (heard.orders[1].state, heard.orders[1].raw_status) == (None, "pondering")


async def test_numbers_that_are_no_texts_stay_exact(vendor, theirs):
    async with listening() as heard:
        vendor.stream.silent = True
        made = theirs.external("AAPL", "buy", "1")
        fill = theirs.fill(made, "0.3", "100")
        raw = frame(theirs, "partial_fill", made, fill).replace(
            b'"price": "100"', b'"price": 100.00000000000000001'
        )
        vendor.stream.send(raw)
        await until(lambda: heard.fills)
        assert heard.orders[0].fills[0].price == Decimal("100.00000000000000001")


async def test_handlers_that_fail_never_end_it(theirs):
    async with listening() as heard:
        heard.broken = [RuntimeError("update"), RuntimeError("gap")]
        theirs.external("AAPL", "buy", "1")
        await until(lambda: heard.gaps == ["connected", "unhandled"])
        theirs.external("AAPL", "buy", "1")
        await until(lambda: heard.orders)


@pytest.mark.parametrize("status", [406, 429, 500, 503])
async def test_a_refused_connection_is_tried_again_and_does_not_storm(vendor, theirs, status):
    """Another connection of the key lives at the vendor until it is reaped."""
    vendor.stream.refusals = [status] * 4
    async with asyncio.timeout(20), listening() as heard:
        assert heard.gaps == ["connected"]
        assert vendor.stream.handshakes == 5


async def test_the_waits_grow_and_differ(settings):
    settings.BROKER_STREAM_BACKOFF = (1.0, 30.0)
    heard = Listener()
    ears = stream._Ears(KEY, "ws://127.0.0.1:1", heard.on_update, heard.on_gap)
    for retries in range(1, 12):
        waits = {ears._reconnect_delay(retries) for _ in range(20)}
        top = min(2.0 ** (retries - 1), 30.0)
        assert len(waits) == 20 and all(top / 2 <= wait <= top for wait in waits)
    ears._refused = True
    assert 60 <= ears._reconnect_delay(1) <= 120


async def test_one_connection_per_key(vendor, theirs):
    vendor.stream.single = True
    async with listening() as heard:
        vendor.stream.drop()
        await until(lambda: "reconnected" in heard.gaps)
        assert len(vendor.stream.listening) == 1


async def test_a_wrong_key_waits_for_long(vendor, monkeypatch):
    monkeypatch.setattr(stream, "REFUSED_WAIT", (30.0, 30.0))
    vendor.open_account("PKALICE", "another")
    heard = Listener()
    task = asyncio.create_task(AlpacaStream(1, KEY, "paper").run(heard.on_update, heard.on_gap))
    await until(lambda: vendor.stream.refused == 1)
    with pytest.raises(TimeoutError):
        await until(lambda: vendor.stream.handshakes > 1, 0.5)
    assert heard.gaps == [] and not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_server_that_never_answers_is_given_up(vendor, theirs, monkeypatch):
    monkeypatch.setattr(stream, "START_WITHIN", 0.2)
    vendor.stream.deaf = True
    heard = Listener()
    task = asyncio.create_task(AlpacaStream(1, KEY, "paper").run(heard.on_update, heard.on_gap))
    await until(lambda: vendor.stream.handshakes >= 3)
    monkeypatch.setattr(stream, "START_WITHIN", 10.0)
    vendor.stream.deaf = False
    await until(lambda: heard.gaps == ["connected"])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_quiet_line_is_compared_now_and_then(theirs, settings):
    settings.BROKER_STREAM_QUIET = timedelta(seconds=0.1)
    async with listening() as heard:
        await until(lambda: heard.gaps.count("quiet") >= 3)


class Line:
    """A line to the vendor that can go dead with both ends still up."""

    def __init__(self, port: int) -> None:
        self.port, self.dead = port, False
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def __aenter__(self) -> "Line":
        self.server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/stream"

    async def _join(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections += 1
        mine = self.connections
        far, on = await asyncio.open_connection("127.0.0.1", self.port)
        for source, sink in ((near, on), (far, back)):
            self.tasks.add(asyncio.create_task(self._pump(mine, source, sink)))

    async def _pump(
        self, mine: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(65536):
            if not (self.dead and mine == 1):
                sink.write(data)
                await sink.drain()


async def test_a_line_that_is_dead_on_one_side_is_noticed(vendor, theirs, settings):
    """No end, no reset, no word: only the missing answer to a ping tells."""
    settings.BROKER_STREAM_PING = timedelta(seconds=0.2)
    async with Line(int(vendor.stream_url.split(":")[2].split("/")[0])) as line:
        settings.ALPACA_STREAM_URL = line.url
        async with listening() as heard:
            line.dead = True
            await until(lambda: "reconnected" in heard.gaps)
            theirs.external("AAPL", "buy", "1")
            await until(lambda: heard.orders)
            assert line.connections == 2


async def test_a_vendor_that_starts_again(vendor, theirs):
    async with listening() as heard:
        vendor.stop()
        theirs.external("AAPL", "buy", "1")
        vendor.start()
        await until(lambda: heard.gaps[-1] == "reconnected")


async def test_paper_never_listens_at_the_live_address(vendor, settings):
    settings.ALPACA_STREAM_URL = "wss://api.alpaca.markets/stream"
    with pytest.raises(AuthFailed, match="ALPACA_STREAM_URL"):
        AlpacaStream(1, KEY, "paper")
    assert AlpacaStream(1, KEY, "live")._url == vendor.stream_url


async def test_a_redirect_leads_no_key_away(vendor, theirs):
    """Not even to a server that would take it."""
    with AlpacaVendor() as live:
        live.open_account("PKALICE", "secret")
        vendor.stream.leads_to = live.stream_url
        heard = Listener()
        task = asyncio.create_task(AlpacaStream(1, KEY, "paper").run(heard.on_update, heard.on_gap))
        await until(lambda: vendor.stream.handshakes >= 2)
        assert live.stream.handshakes >= 1 and live.stream.received == 0
        vendor.stream.leads_to = ""
        await until(lambda: heard.gaps == ["connected"])
        assert live.stream.received == 0
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_cancel_ends_it_and_its_connection(vendor, theirs):
    async with listening():
        assert len(vendor.stream.listening) == 1
    await until(lambda: not vendor.stream.listening)


def test_an_update_of_less_than_its_fill(theirs):
    made = theirs.external("AAPL", "buy", "3")
    fill = theirs.fill(made, "1", "100")
    message = json.loads(frame(theirs, "partial_fill", made, fill, qty="2"))
    with pytest.raises(parse.Unreadable):
        stream.update(message, theirs.now())


def test_the_adapter_and_the_stream_are_of_one_account(vendor, theirs):
    assert AlpacaStream(7, KEY, "paper").account_id == AlpacaBroker(7, KEY, "paper").account_id
