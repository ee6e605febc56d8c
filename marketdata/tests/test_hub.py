"""The hub, with sockets in memory and a real Redis."""

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from marketdata import hub as hub_module
from marketdata import quote_store
from marketdata.domain.quotes import quote_to_wire
from marketdata.hub import RESYNC, Hub, Reader
from marketdata.tests.factories import make_quote
from speedtrade.lib.redis import async_redis, redis_client


class FakeSocket:
    """Remembers what it was sent; `pause` makes each message take as long: a slow reader."""

    def __init__(self, pause=0.0):
        self.pause = pause
        self.messages = []
        self.dropped = 0
        self.reader = Reader(self.send, self.drop)

    async def send(self, text):
        if self.pause:
            await asyncio.sleep(self.pause)
        self.messages.append((time.monotonic(), text))

    def drop(self):
        self.dropped += 1

    def quotes(self):
        """Every quote object received, oldest first."""
        frames = [json.loads(text) for _, text in self.messages]
        return [quote for frame in frames for quote in frame.get("quotes", [])]

    def last(self, symbol):
        """The newest last price of a symbol that it was sent."""
        prices = [quote["last"] for quote in self.quotes() if quote["symbol"] == symbol]
        return prices[-1] if prices else None


@contextlib.asynccontextmanager
async def running_hub(**options):
    hub = Hub(**options)
    hub.start()
    await until(subscribed, "the hub listens")
    try:
        yield hub
    finally:
        await hub.stop()


def subscribed():
    return dict(redis_client().pubsub_numsub(quote_store.TICKS_CHANNEL))[quote_store.TICKS_CHANNEL]


async def until(ask, what, seconds=30.0):
    """Wait for a condition, never for a time."""
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


async def join(hub, socket, *symbols):
    hub.attach(socket.reader)
    await hub.load(symbols)
    hub.follow(socket.reader, symbols)
    await hub.snapshot(socket.reader, symbols)


def put(symbol, last, at=None):
    quote_store.quotes_put([make_quote(symbol, last, at=at or datetime.now(UTC))])


async def test_the_first_message_is_a_snapshot_from_the_store():
    put("AAPL", "10")
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL", "NOPRICE")
        assert len(socket.messages) == 1
        (quote,) = socket.quotes()
        assert quote["symbol"] == "AAPL"
        assert quote["last"] == "10"
        assert quote["stale"] is False
        assert set(quote) == {
            "symbol", "bid", "ask", "last", "change", "change_pct", "as_of", "stale",
        }  # fmt: skip


async def test_a_snapshot_without_any_price_is_empty_and_prices_follow():
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        assert json.loads(socket.messages[0][1]) == {"type": "quote", "quotes": []}
        put("AAPL", "11")
        await until(lambda: socket.last("AAPL") == "11", "the tick arrives")


async def test_ten_thousand_ticks_end_with_the_newest_value_at_every_socket():
    symbols = [f"S{number:02}" for number in range(50)]
    async with running_hub() as hub:
        sockets = [FakeSocket() for _ in range(100)]
        slow = FakeSocket(pause=0.4)
        for number, socket in enumerate([*sockets, slow]):
            await join(hub, socket, *(symbols[(number + k) % 50] for k in range(10)))

        def flood():
            for step in range(200):
                now = datetime.now(UTC)
                quote_store.quotes_put(
                    make_quote(symbol, f"{100 + step}", at=now) for symbol in symbols
                )

        await asyncio.to_thread(flood)
        for socket in sockets:
            await until(
                lambda socket=socket: all(socket.last(s) == "299" for s in socket.reader.seen),
                "every socket has the newest value",
            )
        await until(
            lambda: all(slow.last(s) == "299" for s in slow.reader.seen), "the slow one too"
        )
        # The slow one skipped values; the others were sent many more, and each frame only once.
        fast = min(len(socket.messages) for socket in sockets)
        assert len(slow.messages) < fast
        for socket in sockets:
            pairs = [(quote["symbol"], quote["last"]) for quote in socket.quotes()]
            assert len(pairs) == len(set(pairs))


@pytest.mark.fault("F14")
async def test_a_slow_socket_delays_nobody():
    async with running_hub() as hub:
        stuck, quick = FakeSocket(pause=60), FakeSocket()
        for socket in (stuck, quick):
            hub.attach(socket.reader)
            hub.follow(socket.reader, ["AAPL"])
        for step in range(1, 6):
            put("AAPL", str(step))
            sent = time.monotonic()
            await until(lambda step=step: quick.last("AAPL") == str(step), "the quick one has it")
            assert time.monotonic() - sent < 30  # the slow one takes 60
        assert stuck.messages == []


async def test_one_message_that_takes_too_long_is_told_to_its_socket(settings, monkeypatch):
    settings.WS_SLOW_AFTER = timedelta(milliseconds=50)
    monkeypatch.setattr(hub_module, "AGE_EVERY", 0.02)
    async with running_hub() as hub:
        stuck, quick = FakeSocket(pause=60), FakeSocket()
        for socket in (stuck, quick):
            hub.attach(socket.reader)
            hub.follow(socket.reader, ["AAPL"])
        put("AAPL", "1")
        await until(lambda: stuck.dropped, "the slow one is told")
        assert quick.dropped == 0


async def test_unsubscribing_stops_the_stream():
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL", "MSFT")
        hub.unfollow(socket.reader, ["AAPL"])
        put("AAPL", "5")
        put("MSFT", "6")
        await until(lambda: socket.last("MSFT") == "6", "the other one still comes")
        assert socket.last("AAPL") is None


async def test_a_quote_that_ages_is_sent_once_more_as_stale(monkeypatch):
    monkeypatch.setattr(hub_module, "AGE_EVERY", 0.02)
    clock = [datetime.now(UTC)]
    put("AAPL", "10", at=clock[0])
    async with running_hub(now=lambda: clock[0]) as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        clock[0] += timedelta(seconds=5, milliseconds=1)
        await until(lambda: len(socket.messages) == 2, "it turns stale")
        assert [quote["stale"] for quote in socket.quotes()] == [False, True]
        put("AAPL", "11", at=clock[0])
        await until(lambda: len(socket.messages) == 3, "a fresh one follows")
        assert socket.quotes()[-1]["stale"] is False


async def test_the_same_quote_again_is_not_sent_again():
    at = datetime.now(UTC)
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL", "MSFT")
        for _ in range(5):
            put("AAPL", "10", at=at)
        put("MSFT", "1")
        await until(lambda: socket.last("MSFT"), "a later tick is through")
        assert [quote["symbol"] for quote in socket.quotes()].count("AAPL") == 1


async def test_what_sockets_want_counts_as_watched(monkeypatch):
    monkeypatch.setattr(hub_module, "WATCH_EVERY", 0.02)
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        hub.hold(socket.reader, ["KO"])
        await until(
            lambda: quote_store.watched_symbols(datetime.now(UTC)) == {"AAPL", "KO"},
            "both are watched",
        )
        hub.detach(socket.reader)
        redis_client().delete(quote_store.WATCHED_KEY)
        other = FakeSocket()
        await join(hub, other, "BTC/USD")
        await until(
            lambda: quote_store.watched_symbols(datetime.now(UTC)) == {"BTC/USD"},
            "only what somebody still wants",
        )


async def test_garbage_on_the_channel_is_skipped():
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        for text in ("{", "7", '[{"symbol":"AAPL"}]', "[7]", '[{"symbol":["AAPL"]}]'):
            redis_client().publish(quote_store.TICKS_CHANNEL, text)
        redis_client().hset(quote_store.QUOTES_KEY, "BAD", '{"symbol":')
        await hub.load(["BAD"])
        put("AAPL", "12")
        await until(lambda: socket.last("AAPL") == "12", "the good one comes through")


class Wire:
    """A TCP line to Redis that can be cut and mended."""

    def __init__(self):
        self.kwargs = redis_client().connection_pool.connection_kwargs
        self.port = 0
        self.open = set()

    async def mend(self):
        self.server = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def connect(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.kwargs["port"])
        self.open |= {writer, far_writer}
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))

    async def pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def cut(self):
        self.server.close()
        for writer in self.open:
            writer.close()
        self.open.clear()
        await asyncio.sleep(0)

    def client(self):
        made = async_redis()
        made.connection_pool.connection_kwargs |= {"host": "127.0.0.1", "port": self.port}
        return made


async def test_a_lost_connection_is_made_anew_and_what_was_missed_is_fetched(monkeypatch, caplog):
    monkeypatch.setattr(hub_module, "RECONNECT", (0.05, 0.1))
    wire = Wire()
    await wire.mend()
    async with running_hub(client=wire.client()) as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        put("AAPL", "1")
        await until(lambda: socket.last("AAPL") == "1", "the tick arrives")
        await wire.cut()
        await until(lambda: "hub_without_redis" in caplog.text, "the hub notices")
        put("AAPL", "2")  # nobody hears this one
        await wire.mend()
        await until(lambda: socket.last("AAPL") == "2", "the missed one is fetched")
        await until(lambda: RESYNC in [text for _, text in socket.messages], "pages are told")
        put("AAPL", "3")
        await until(lambda: socket.last("AAPL") == "3", "ticks arrive again")
    await wire.cut()


async def test_a_connection_that_redis_closed_is_noticed_even_when_it_heals_itself():
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        redis_client().client_kill_filter(_type="pubsub")
        await until(lambda: RESYNC in [text for _, text in socket.messages], "pages are told")
        put("AAPL", "3")
        await until(lambda: socket.last("AAPL") == "3", "ticks arrive again")


async def test_a_silent_channel_is_listened_to_anew(monkeypatch):
    monkeypatch.setattr(hub_module, "SILENCE", 0.05)
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        calls = redis_client().info("stats")["total_connections_received"]
        await until(
            lambda: redis_client().info("stats")["total_connections_received"] > calls,
            "another connection",
        )
        put("AAPL", "4")
        await until(lambda: socket.last("AAPL") == "4", "ticks arrive")


async def test_without_redis_a_socket_still_gets_its_empty_snapshot(monkeypatch):
    hub = Hub()
    hub._client.connection_pool.connection_kwargs["port"] = 1
    hub.start()
    socket = FakeSocket()
    await asyncio.wait_for(join(hub, socket, "AAPL"), 2)
    assert json.loads(socket.messages[0][1])["quotes"] == []
    await hub.stop()


async def test_a_socket_that_breaks_is_taken_out():
    async with running_hub() as hub:
        socket, other = FakeSocket(), FakeSocket()

        async def broken(text):
            raise RuntimeError("closed")

        socket.reader.send = broken
        for each in (socket, other):
            hub.attach(each.reader)
            hub.follow(each.reader, ["AAPL"])
        put("AAPL", "1")
        await until(lambda: socket.reader.cohort is None, "the broken one is out")
        await until(lambda: other.last("AAPL") == "1", "the other one lives")
        hub.detach(socket.reader)
        assert hub._readers == 1


async def test_quotes_for_a_valuation_are_parsed_once_and_complete():
    put("AAPL", "10")
    async with running_hub() as hub:
        await hub.load(["AAPL", "NOPRICE"])
        first, second = hub.quotes(["AAPL", "NOPRICE"]), hub.quotes(["AAPL"])
        assert set(first) == {"AAPL"}
        assert first["AAPL"] is second["AAPL"]
        assert str(first["AAPL"].last) == "10"


async def test_sockets_are_spread_over_the_cohorts(settings):
    async with running_hub() as hub:
        for _ in range(2 * settings.WS_COHORTS):
            hub.attach(FakeSocket().reader)
        assert {len(cohort) for cohort in hub._cohorts} == {2}


async def test_a_fault_in_one_duty_does_not_end_it(monkeypatch, caplog):
    async with running_hub() as hub:
        socket = FakeSocket()
        await join(hub, socket, "AAPL")
        taken = hub.take

        def fail_once(reader):
            monkeypatch.setattr(hub, "take", taken)
            raise RuntimeError("a bug")

        monkeypatch.setattr(hub, "take", fail_once)
        await until(lambda: "hub_failed" in caplog.text, "the fault is logged")
        put("AAPL", "8")
        await until(lambda: socket.last("AAPL") == "8", "ticks arrive")


@pytest.mark.parametrize("readers", [1, 3000])
async def test_the_flush_period_grows_with_the_number_of_sockets(readers, monkeypatch):
    hub = Hub()
    pauses = []

    async def note(seconds):
        pauses.append(seconds)
        if len(pauses) == 20:
            raise asyncio.CancelledError

    monkeypatch.setattr(hub_module.asyncio, "sleep", note)
    for _ in range(readers):
        hub.attach(FakeSocket().reader)
    with pytest.raises(asyncio.CancelledError):
        await hub._pace()
    # Nobody waited, so the pauses add up to the period of one round: 1 + 2 + … of one turn.
    turn = max(0.1, readers * 0.0001) / 20
    assert max(pauses) <= 20 * turn + 0.001
    assert pauses[-1] > 15 * turn
    await hub.stop()


# ── one turn, without Redis ─────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def idle_hub(settings, *sockets):
    """A hub that does nothing by itself; its sockets are of one cohort and want AAPL at 1."""
    settings.WS_COHORTS = 1
    hub = Hub()
    for socket in sockets:
        hub.attach(socket.reader)
        hub.follow(socket.reader, ["AAPL"])
    tick(hub, "1")
    try:
        yield hub
    finally:
        await hub.stop()


def tick(hub, last):
    hub._take_ticks(json.dumps([quote_to_wire(make_quote("AAPL", last, at=datetime.now(UTC)))]))


def turn(hub):
    hub._send_to(hub._cohorts[0])


class Held(FakeSocket):
    """Takes a message only once it is let go on."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()
        self.begun = 0
        self.ends = []

    async def send(self, text):
        self.begun += 1
        try:
            await self.go_on.wait()
        except BaseException as error:
            self.ends.append(type(error))
            raise
        self.messages.append((time.monotonic(), text))


async def test_who_takes_a_message_at_once_costs_no_task(settings):
    quick = FakeSocket()
    async with idle_hub(settings, quick) as hub:
        turn(hub)
        assert quick.last("AAPL") == "1"
        assert quick.reader.sending is None


async def test_a_reader_that_leaves_while_its_cohort_is_sent_to_is_sent_nothing(settings):
    sockets = [FakeSocket(), FakeSocket(), FakeSocket()]
    async with idle_hub(settings, *sockets) as hub:

        def leaving(socket):
            async def send(text):
                for other in sockets:
                    if other is not socket:
                        hub.detach(other.reader)
                await FakeSocket.send(socket, text)

            return send

        for socket in sockets:
            socket.reader.send = leaving(socket)
        turn(hub)
        assert sorted(len(socket.messages) for socket in sockets) == [0, 0, 1]
        assert hub._readers == 1


async def test_a_delivery_that_waited_goes_on_with_the_newest_value_only(settings):
    held = Held()
    async with idle_hub(settings, held) as hub:
        turn(hub)
        for last in ("2", "3"):
            tick(hub, last)
            turn(hub)
        held.go_on.set()
        await until(lambda: held.reader.sending is None, "the first one is taken")
        turn(hub)
        assert [quote["last"] for quote in held.quotes()] == ["1", "3"]


async def test_a_socket_that_breaks_while_it_is_waited_for_is_taken_out(settings, caplog):
    held = Held()
    async with idle_hub(settings, held) as hub:

        async def broken(text):
            await held.go_on.wait()
            raise RuntimeError("closed")

        held.reader.send = broken
        turn(hub)
        sending = held.reader.sending
        held.go_on.set()
        await asyncio.wait({sending})
        assert held.reader.cohort is None
        assert held.reader.sending is None
        assert sending.exception() is None
        assert "socket_send_failed" in caplog.text


@pytest.mark.parametrize("begun", [False, True])
async def test_a_delivery_that_is_cancelled_ends_what_it_had_begun(settings, begun):
    held = Held()
    async with idle_hub(settings, held) as hub:
        turn(hub)
        sending = held.reader.sending
        if begun:
            await asyncio.sleep(0)  # the task waits now in the place of the hub
        sending.cancel()
        await asyncio.wait({sending})
        assert sending.cancelled()
        assert len(held.ends) == 1
        assert held.reader.sending is None


async def test_a_snapshot_waits_for_what_is_being_sent(settings):
    held = Held()
    async with idle_hub(settings, held) as hub:
        turn(hub)
        tick(hub, "2")
        asked = asyncio.ensure_future(hub.snapshot(held.reader, ["AAPL"]))
        await asyncio.wait({asked}, timeout=0.05)
        assert not asked.done()
        assert held.begun == 1  # one message at a time
        held.go_on.set()
        await asyncio.wait_for(asked, 2)
        assert [quote["last"] for quote in held.quotes()] == ["1", "2"]


async def test_who_is_sent_something_just_now_is_told_to_fetch_anew_all_the_same(settings):
    held = Held()
    async with idle_hub(settings, held) as hub:
        turn(hub)
        hub._subscribed = True  # there was a time before
        await hub._resync()
        turn(hub)
        held.go_on.set()
        await until(lambda: held.reader.sending is None, "the first one is taken")
        for _ in range(2):
            turn(hub)
        texts = [text for _, text in held.messages]
        assert texts[1:] == [RESYNC]
