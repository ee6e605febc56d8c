"""One subscription to the ticks per web process, and the newest value of each symbol for all.

Sockets pull. The hub keeps one encoded value and a version per symbol; each reader remembers the
versions that it was sent. Readers live in cohorts that take turns within the flush period: at its
turn a reader is sent what is new to it, newest value only. Nothing ever queues, so a slow reader
skips values and delays nobody, and there is no moment at which all are sent to at once.

A reader's `send` begins in the turn itself and goes on in a task only where it has to wait: what it
does before it waits must not depend on the task that it runs in (no `asyncio.timeout` there).
"""

import asyncio
import contextlib
import logging
import random
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterable
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as json_text
from operator import itemgetter
from typing import Any, Final

import orjson
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from marketdata.domain.quotes import Quote, moment_to_wire, quote_from_wire
from marketdata.pace import Pace
from marketdata.quote_store import QUOTES_KEY, TICKS_CHANNEL, WATCHED_KEY
from speedtrade.lib.redis import async_redis

logger = logging.getLogger(__name__)

FIELDS: Final = ("symbol", "bid", "ask", "last", "change", "change_pct", "as_of")
_shown: Final = itemgetter(*FIELDS)
_TEXTS: Final = {str}
RESYNC: Final = '{"type":"resync"}'
#: So often the hub says which symbols are watched; well within settings.WATCHED_FOR.
WATCH_EVERY: Final = 2.0
#: So often it looks for values that have grown stale.
AGE_EVERY: Final = 0.5
#: A channel that is silent for so long may be a dead connection: connect anew.
SILENCE: Final = 10.0
#: Pause before connecting anew, doubled each time up to the second figure, with jitter.
RECONNECT: Final = (0.2, 5.0)
CANCEL_EVERY: Final = 0.5
AWAY: Final = (RedisError, OSError, TimeoutError)

Send = Callable[[str], Awaitable[None]]


class Latest:
    """The newest quote of a symbol; its text and its parsed form are made at most once."""

    __slots__ = ("_quote", "_text", "stale", "version", "wire")

    def __init__(self, wire: dict[str, Any], version: int, stale: bool) -> None:
        self.wire = wire
        self.version = version
        self.stale = stale
        self._text: str | None = None
        self._quote: Quote | None = None

    def text(self) -> str:
        """The JSON object that sockets are sent."""
        if self._text is None:
            # Every field is a text, as _take_wire saw: json.dumps would cost three times as much.
            parts = [f'"{name}":{json_text(self.wire[name])}' for name in FIELDS]
            self._text = f'{{{",".join(parts)},"stale":{"true" if self.stale else "false"}}}'
        return self._text

    def quote(self) -> Quote:
        """The quote without depth; raises ValueError for a malformed one."""
        if self._quote is None:
            self._quote = quote_from_wire(self.wire)
        return self._quote

    def age(self, version: int) -> None:
        """Turn stale: a new version with another text."""
        self.stale, self.version, self._text = True, version, None


class Reader:
    """One socket's side of the hub: what it wants, and which versions it was sent."""

    __slots__ = (
        "caught_up",
        "cohort",
        "held",
        "resync",
        "seen",
        "send",
        "sending",
        "since",
        "too_slow",
    )

    def __init__(self, send: Send, too_slow: Callable[[], None]) -> None:
        self.send = send
        self.too_slow = too_slow  # called when one message takes longer than settings.WS_SLOW_AFTER
        self.seen: dict[str, int] = {}  # symbol -> version sent, 0 before the first
        self.held: frozenset[str] = frozenset()  # symbols it wants kept fresh but not sent
        self.caught_up = 0  # version of the hub at which it had everything
        self.cohort: set[Reader] | None = None
        self.resync = False  # it may have missed something, and is told so at its next turn
        self.sending: asyncio.Task[None] | None = None
        self.since = 0.0  # when that began, by the loop's clock


class Hub:
    """Belongs to one event loop; `start` before the first reader, `stop` at the end."""

    def __init__(
        self,
        *,
        client: "Redis[str] | None" = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.version = 0
        self._now = now
        self._latest: dict[str, Latest] = {}
        self._interest: Counter[str] = Counter()  # symbol -> how many readers want it
        self._cohorts: list[set[Reader]] = [set() for _ in range(settings.WS_COHORTS)]
        self._readers = 0
        self._someone = asyncio.Event()
        self._client = client or async_redis()
        self._tasks: list[asyncio.Task[None]] = []
        self._subscribed = False  # before, without a chosen end
        self._away = False

    def start(self) -> None:
        """Begin to listen and to send; again is harmless."""
        if not self._tasks:
            duties = (self._listen, self._pace, self._age, self._watch)
            self._tasks = [asyncio.create_task(self._guard(duty)) for duty in duties]

    async def stop(self) -> None:
        """End all of it and wait; readers are left with what they have."""
        sending = [r.sending for cohort in self._cohorts for r in cohort if r.sending]
        left, self._tasks = {*self._tasks, *sending}, []
        while left:
            # More than once: a client of Redis that fails while it closes swallows a cancellation.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=CANCEL_EVERY)
        await self._client.aclose()  # type: ignore[attr-defined] # newer than its stubs

    # ── readers ─────────────────────────────────────────────────────────────

    def attach(self, reader: Reader) -> None:
        """Give a reader its turns, in the smallest cohort."""
        reader.cohort = min(self._cohorts, key=len)
        reader.cohort.add(reader)
        self._readers += 1
        self._someone.set()

    def detach(self, reader: Reader) -> None:
        """Take a reader out; again is harmless."""
        if reader.cohort is None:
            return
        self.unfollow(reader, list(reader.seen))
        self.hold(reader, ())
        reader.cohort.discard(reader)
        reader.cohort = None
        self._readers -= 1
        if not self._readers:
            self._someone.clear()

    def follow(self, reader: Reader, symbols: Iterable[str]) -> None:
        """Send these symbols from now on, beginning with their newest values."""
        if reader.cohort is None:
            return
        for symbol in symbols:
            self._interest[symbol] += symbol not in reader.seen
            reader.seen[symbol] = 0
        reader.caught_up = -1

    def unfollow(self, reader: Reader, symbols: Iterable[str]) -> None:
        """Send these symbols no more."""
        for symbol in symbols:
            if reader.seen.pop(symbol, None) is not None:
                self._drop_interest(symbol)

    def hold(self, reader: Reader, symbols: Collection[str]) -> None:
        """Keep these fresh for the reader without sending them; replaces the former ones."""
        held = frozenset(symbols) if reader.cohort is not None else frozenset()
        for symbol in held - reader.held:
            self._interest[symbol] += 1
        for symbol in reader.held - held:
            self._drop_interest(symbol)
        reader.held = held

    async def load(self, symbols: Iterable[str]) -> None:
        """Get the values that are missing from the store, and say that all are watched.

        Without Redis there is nothing to get; what comes later is sent like any tick.
        """
        wanted = list(symbols)
        missing = [symbol for symbol in wanted if symbol not in self._latest]
        with contextlib.suppress(*AWAY):
            await self._say_watched(wanted)
            await self._read_store(missing)

    async def snapshot(self, reader: Reader, symbols: Collection[str]) -> None:
        """Send at once what is new to the reader, maybe nothing, after what is being sent.

        Only where a turn came first and sent these symbols already, no message is left to send.
        """
        while reader.sending is not None:
            await asyncio.wait({reader.sending})
        frame = self.take(reader)
        if frame is None and not any(reader.seen.get(symbol) for symbol in symbols):
            frame = frame_of([])
        if frame is not None:
            rest = self._deliver(reader, frame)
            if rest is not None:
                await asyncio.wait({rest})

    def take(self, reader: Reader) -> str | None:
        """The message with everything new to this reader, counted as sent; None without news."""
        if reader.caught_up == self.version:
            return None
        reader.caught_up = self.version
        parts = []
        for symbol, sent in reader.seen.items():
            latest = self._latest.get(symbol)
            if latest is not None and latest.version != sent:
                reader.seen[symbol] = latest.version
                parts.append(latest.text())
        return frame_of(parts) if parts else None

    def versions(self, symbols: Iterable[str]) -> list[int]:
        """The versions of these symbols, to see later whether one of them moved."""
        return [self._latest[s].version if s in self._latest else 0 for s in symbols]

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """The newest quotes, without depth, of those symbols that have one."""
        found = {}
        for symbol in symbols:
            with contextlib.suppress(KeyError, ValueError):
                found[symbol] = self._latest[symbol].quote()
        return found

    def _drop_interest(self, symbol: str) -> None:
        self._interest[symbol] -= 1
        if not self._interest[symbol]:
            del self._interest[symbol]

    # ── sending ─────────────────────────────────────────────────────────────

    async def _pace(self) -> None:
        loop, turn, pace = asyncio.get_running_loop(), 0, Pace(len(self._cohorts))
        due = loop.time()
        while True:
            if not self._readers:
                await self._someone.wait()
                due = loop.time()
            self._send_to(self._cohorts[turn])
            turn = (turn + 1) % len(self._cohorts)
            due += pace.between(self._readers)
            now = loop.time()
            await asyncio.sleep(due - now)
            pace.heard(loop.time() - due)
            due = max(due, now)  # late turns are not made up for: they would come in a burst

    def _send_to(self, cohort: set[Reader]) -> None:
        for reader in tuple(cohort):  # one whose socket turns out to be gone leaves meanwhile
            if reader.sending is None and reader.resync:
                reader.resync = False
                self._deliver(reader, RESYNC)
            if reader.sending is None and (frame := self.take(reader)) is not None:
                self._deliver(reader, frame)

    def _deliver(self, reader: Reader, frame: str) -> "asyncio.Task[None] | None":
        """Send it; gives the rest of that, `reader.sending`, where it is not done at once."""
        delivery = self._deliver_one(reader, frame)
        # daphne takes a message at once, and a task for each would cost as much as the message. Who
        # has to wait waits in a task, so that a slow client delays nobody else.
        try:
            awaited = delivery.send(None)
        except StopIteration:
            return None
        reader.since = asyncio.get_running_loop().time()
        reader.sending = asyncio.create_task(_finish(delivery, awaited))
        # A task that is cancelled before it began has never heard of what it was to finish.
        reader.sending.add_done_callback(lambda _: delivery.close())
        return reader.sending

    async def _deliver_one(self, reader: Reader, frame: str) -> None:
        try:
            await reader.send(frame)
        except Exception:
            # The socket is gone in a way its server did not say; it takes no more turns.
            logger.warning("socket_send_failed", exc_info=True)
            self.detach(reader)
        finally:
            reader.sending = None

    # ── receiving ───────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        pause, longest = RECONNECT
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(TICKS_CHANNEL)
                    while (message := await pubsub.get_message(timeout=SILENCE)) is not None:
                        pause = RECONNECT[0]
                        if message["type"] == "subscribe":
                            # The first one, or one more after the client connected anew by itself.
                            await self._resync()
                        else:
                            self._take_ticks(message["data"])
                # Silence alone is no loss: nobody need fetch anything anew.
                self._subscribed = False
            except AWAY as error:
                if not self._away:
                    logger.warning("hub_without_redis", extra={"error": str(error)})
                self._away = True
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(longest, pause * 2)

    async def _resync(self) -> None:
        """After subscribing, so that nothing falls in between: what was missed, from the store."""
        self._latest = {s: v for s, v in self._latest.items() if s in self._interest}
        await self._say_watched(list(self._interest))
        await self._read_store(list(self._interest))
        if self._away:
            self._away = False
            logger.info("hub_has_redis_again")
        if self._subscribed:
            # Events of users may be lost as well: pages fetch anew what they show. Each hears it at
            # its turn, so that one who is being sent something just now hears it too.
            for reader in (reader for cohort in self._cohorts for reader in cohort):
                reader.resync = True
        self._subscribed = True

    def _take_ticks(self, text: str) -> None:
        try:
            wires = orjson.loads(text)
        except ValueError:
            wires = None
        if not isinstance(wires, list):
            logger.warning("ticks_unreadable", extra={"start": text[:80]})
            return
        cutoff = self._cutoff()
        for wire in wires:
            self._take_wire(wire, cutoff)

    def _take_wire(self, wire: Any, cutoff: str) -> None:
        try:
            readable = set(map(type, _shown(wire))) == _TEXTS
        except (TypeError, KeyError):
            readable = False
        if not readable:
            logger.warning("tick_unreadable")
            return
        latest = self._latest.get(wire["symbol"])
        if latest is not None and latest.wire == wire:
            return
        self.version += 1
        stale = wire["as_of"] < cutoff
        self._latest[wire["symbol"]] = Latest(wire, self.version, stale)

    async def _read_store(self, symbols: list[str]) -> None:
        if not symbols:
            return
        cutoff = self._cutoff()
        async with asyncio.timeout(settings.REDIS_TIMEOUT.total_seconds()):
            texts = await self._client.hmget(QUOTES_KEY, symbols)
        for text in texts:
            if text is None:
                continue
            with contextlib.suppress(ValueError, TypeError, KeyError):
                wire = orjson.loads(text)
                wire.pop("bids", None)
                wire.pop("asks", None)
                latest = self._latest.get(wire["symbol"])
                # A tick may have overtaken the answer of the store.
                if latest is None or latest.wire["as_of"] < wire["as_of"]:
                    self._take_wire(wire, cutoff)

    # ── ageing, watching ────────────────────────────────────────────────────

    def _cutoff(self) -> str:
        """The `as_of` before which a quote is stale. Wire times sort as texts: fixed width, UTC."""
        return moment_to_wire(self._now() - settings.QUOTE_STALE_AFTER)

    async def _age(self) -> None:
        while True:
            cutoff = self._cutoff()
            for latest in self._latest.values():
                if not latest.stale and latest.wire["as_of"] < cutoff:
                    self.version += 1
                    latest.age(self.version)
            self._find_slow()
            await asyncio.sleep(AGE_EVERY)

    def _find_slow(self) -> None:
        oldest = asyncio.get_running_loop().time() - settings.WS_SLOW_AFTER.total_seconds()
        for cohort in self._cohorts:
            for reader in list(cohort):
                if reader.sending is not None and reader.since < oldest:
                    reader.too_slow()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):  # the listener says it, once
                await self._say_watched(list(self._interest))
            await asyncio.sleep(WATCH_EVERY)

    async def _say_watched(self, symbols: list[str]) -> None:
        if symbols:
            marks: dict[Any, Any] = dict.fromkeys(symbols, self._now().timestamp())
            async with asyncio.timeout(settings.REDIS_TIMEOUT.total_seconds()):
                await self._client.zadd(WATCHED_KEY, marks)

    async def _guard(self, duty: Callable[[], Awaitable[None]]) -> None:
        """A fault of ours in one duty must not end it for the life of the process."""
        while True:
            try:
                await duty()
            except Exception:
                logger.exception("hub_failed", extra={"duty": duty.__name__})
                await asyncio.sleep(1)


async def _finish(begun: Coroutine[Any, Any, None], awaited: Any) -> None:
    """What is left of a coroutine that began outside a task and waits for `awaited` now."""
    await _rest(begun, awaited)


@types.coroutine
def _rest(begun: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    try:
        while True:
            try:
                answer = yield awaited
            except BaseException as error:
                awaited = begun.throw(error)
            else:
                awaited = begun.send(answer)
    except StopIteration:
        return


def frame_of(parts: list[str]) -> str:
    """The message with these encoded quotes."""
    return f'{{"type":"quote","quotes":[{",".join(parts)}]}}'
