"""The door at /ws: quotes, the user's events and the live value of the portfolio.

Close codes: 4401 log in (again) · 4403 not yours, or not from one of our pages · 4408 too slow to
read or too long silent · 4429 too many sockets or messages · 1009 message too large · 4000 connect
anew.
A refusal before the handshake is an HTTP 403. Browsers say something (a ping) at least every
settings.WS_SILENCE; programs need not, their server's protocol pings find out who is gone.
"""

import asyncio
import contextlib
import json
import logging
import random
from typing import Any, Final

from channels.consumer import get_handler_name
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone

from marketdata.domain.symbols import symbol_candidates
from marketdata.hub import Reader
from marketdata.lobby import Lobby, lobby_here
from marketdata.selectors import instruments_split
from speedtrade.lib import live
from speedtrade.lib.admission import FORBIDDEN, TOO_MANY, Admission, Refused, admit
from speedtrade.lib.errors import title_of
from speedtrade.lib.strict_json import NamedTwice, object_read

logger = logging.getLogger(__name__)

CONNECT_ANEW: Final = 4000
TOO_SLOW: Final = 4408
TOO_LARGE: Final = 1009
#: How many unknown symbols an error names.
NAMED: Final = 5
#: A time limit is looked at so many seconds after it.
LIMIT_SLACK: Final = 0.01
ID_MOST: Final = 2**63 - 1


class MarketConsumer(AsyncWebsocketConsumer):
    """One socket of one user."""

    admission: Admission
    lobby: Lobby

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader = Reader(self._send_text, lambda: self.expel(TOO_SLOW))
        self._inside = self._closing = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._wake = asyncio.Event()
        self._heard = self._allowance_at = self._ends = 0.0
        self._allowance = float(settings.WS_MESSAGES_PER_SECOND)
        self._wants_portfolio = self._book_is_old = False
        self._holdings: live.Holdings | None = None
        self._account_id: int | None = None
        self._held_versions: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # However it ends, also when its server cancels it.
            self._leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does, without a look at the connections of the database before each message.

        Whoever reads the database here tidies up after himself. The look is a turn of the thread
        of all readers: a ping waited for it, and an event reached the sockets of its user one by
        one, each too late to share the look of the one before.
        """
        await getattr(self, get_handler_name(message))(message)

    # ── opening and closing ─────────────────────────────────────────────────

    async def connect(self) -> None:
        try:
            peer, *_ = self.scope.get("client") or [""]
            self.admission = await database_sync_to_async(admit)(self.scope["headers"], peer)
        except Refused as error:
            await self.close(code=error.code)
            return
        wanted = self.scope["url_route"]["kwargs"].get("user_id")
        if wanted is not None and wanted != str(self.admission.user_id):
            await self.close(code=FORBIDDEN)
            return
        self.lobby = lobby_here()
        self._inside = self.lobby.enter(self)
        if not self._inside:
            # Accepted first: a browser learns no code from a handshake that fails.
            await self.accept()
            await self.close(code=TOO_MANY)
            return
        for group in (live.user_group(self.admission.user_id), live.EVERYONE):
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()
        clock = asyncio.get_running_loop().time()
        self._heard = self._allowance_at = clock
        # Not all at the same moment, should all have come at the same moment.
        self._ends = clock + settings.WS_LIFETIME.total_seconds() * random.uniform(0.9, 1)  # noqa: S311
        self.lobby.hub.attach(self._reader)
        self._spawn(self._mind())

    async def disconnect(self, code: int) -> None:
        if self._inside:
            for group in (live.user_group(self.admission.user_id), live.EVERYONE):
                await self.channel_layer.group_discard(group, self.channel_name)
        self._leave()

    def expel(self, code: int) -> None:
        """Close it soon, with this code; nothing more is sent until then."""
        if not self._closing:
            self._closing = True
            self.lobby.hub.detach(self._reader)
            self._spawn(self.close(code=code))

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self.lobby.leave(self)
            self.lobby.hub.detach(self._reader)
        for task in self._tasks:
            task.cancel()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── what the client says ────────────────────────────────────────────────

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not self._inside or self._closing:
            return
        if not self._may_speak(self._heard):
            self.expel(TOO_MANY)
            return
        raw = text_data.encode() if text_data is not None else bytes_data or b""
        if len(raw) > settings.WS_MAX_MESSAGE:
            self.expel(TOO_LARGE)
            return
        try:
            message = object_read(raw)
        except NamedTwice as error:
            named = f"the name {error.name}" if error.name else "a name"
            await self._say_error(error.code, f"The message has {named} twice. Send it once.")
            return
        except ValueError:
            await self._say_error("invalid", "Send a JSON object.")
            return
        match message.get("action"):
            case "subscribe":
                await self._subscribe(message)
            case "unsubscribe":
                await self._unsubscribe(message)
            case "ping":
                await self._say({"type": "pong"})
            case _:
                await self._say_error("invalid", "The action is subscribe, unsubscribe or ping.")

    def _may_speak(self, clock: float) -> bool:
        """A bucket of WS_MESSAGES_PER_SECOND that refills as fast."""
        most = float(settings.WS_MESSAGES_PER_SECOND)
        refilled = self._allowance + (clock - self._allowance_at) * most
        self._allowance, self._allowance_at = min(most, refilled) - 1, clock
        return self._allowance >= 0

    async def _subscribe(self, message: dict[str, Any]) -> None:
        texts = await self._symbols(message)
        if texts is None:
            return
        rows, unknown = await database_sync_to_async(instruments_split)(texts)
        known = [row.symbol for row in rows]
        if len(self._reader.seen.keys() | set(known)) > settings.WS_MAX_SYMBOLS:
            await self._say_error("too_many_symbols", f"At most {settings.WS_MAX_SYMBOLS}.")
            return
        hub = self.lobby.hub
        await hub.load(known)
        symbols = list(dict.fromkeys([*self._reader.seen, *known]))
        await self._say({"type": "subscribed", "symbols": symbols})
        if known:
            # Nothing waits between the two: the first quotes of the new symbols are the snapshot.
            hub.follow(self._reader, known)
            await hub.snapshot(self._reader, known)
        if unknown:
            named = ", ".join(unknown[:NAMED]) + (" …" if len(unknown) > NAMED else "")
            await self._say_error("unknown_symbol", f"{title_of('unknown_symbol')}: {named}.")
        if asked := message.get("portfolio"):
            # True is the default account; a page names the one that it shows.
            wanted = asked if type(asked) is int and 0 < asked <= ID_MOST else None
            bound = self.admission.account_id
            if bound is not None and wanted not in (None, bound):
                await self._say_error("not_found", "You have no such account.")
                return
            self._account_id = bound if wanted is None else wanted
            self._wants_portfolio = self._book_is_old = True
            self._wake.set()

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        texts = await self._symbols(message)
        if texts is None:
            return
        named = {symbol for text in texts for symbol in symbol_candidates(text)}
        self.lobby.hub.unfollow(self._reader, named)
        if message.get("portfolio"):
            self._wants_portfolio, self._holdings = False, None
            self.lobby.hub.hold(self._reader, ())
        await self._say({"type": "subscribed", "symbols": list(self._reader.seen)})

    async def _symbols(self, message: dict[str, Any]) -> list[str] | None:
        """The symbols of a message; None, after an error was said, for what is no list of texts."""
        symbols = message.get("symbols", [])
        if not isinstance(symbols, list) or not all(isinstance(s, str) for s in symbols):
            await self._say_error("invalid", "symbols is a list of texts.")
            return None
        if len(symbols) > settings.WS_MAX_SYMBOLS:
            await self._say_error("too_many_symbols", f"At most {settings.WS_MAX_SYMBOLS}.")
            return None
        return symbols

    # ── what happens to the user ────────────────────────────────────────────

    async def live_event(self, event: dict[str, Any]) -> None:
        """An id from the channel layer; the owning app turns it into a message."""
        if event["kind"] == "logout" and not self._closing:
            await self.lobby.recheck([self])
            return
        await self._hear(event["kind"], event["id"])
        if event.get("account") is not None:  # one of before a restart has none
            await self._hear("portfolio", event["account"])

    async def _hear(self, kind: str, thing_id: int) -> None:
        """Say what has become of a thing of this user's."""
        if self._closing:
            return
        if self._wants_portfolio and kind in ("order", "portfolio"):
            self._book_is_old = True
            self._wake.set()
            if kind == "portfolio" and self._holdings is not None:
                return  # the fresh book says it
        try:
            user_id = self.admission.user_id
            message = await self.lobby.read(live.render_event, kind, user_id, thing_id)
            if message is not None and not self._elsewhere(message):
                await self._say(message)
        except Exception:
            # The page finds the truth when it refetches; the socket must not die of it.
            logger.exception("event_not_rendered", extra={"kind": kind})

    def _elsewhere(self, message: dict[str, Any]) -> bool:
        """Whether a message is about an account that the key of this socket does not see."""
        bound = self.admission.account_id
        if bound is None:
            return False
        return message["type"] == "alert" or _account_of(message) not in (None, bound)

    async def _mind(self) -> None:
        """When one comes due, or when woken: time limits, the portfolio if its prices moved."""
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            clock = asyncio.get_running_loop().time()
            if clock > self._ends:
                self.expel(CONNECT_ANEW)
            elif (
                self.admission.browser and clock - self._heard > settings.WS_SILENCE.total_seconds()
            ):
                self.expel(TOO_SLOW)
            elif self._wants_portfolio and not self._closing:
                try:
                    await self._push_portfolio()
                except Exception:
                    logger.exception("portfolio_not_pushed")

    def _pause(self) -> float:
        """Seconds in which nothing comes due: a thousand sockets that only hear quotes sleep on."""
        if self._wants_portfolio:
            return settings.PORTFOLIO_PUSH_PERIOD.total_seconds()
        due = self._ends
        if self.admission.browser:
            due = min(due, self._heard + settings.WS_SILENCE.total_seconds())
        # A moment more: at the limit itself nobody is late yet.
        return max(due - asyncio.get_running_loop().time(), 0) + LIMIT_SLACK

    async def _push_portfolio(self) -> None:
        hub, now = self.lobby.hub, timezone.now()
        over_at = self._holdings.over_at if self._holdings else None
        if self._book_is_old or (over_at is not None and now >= over_at):
            self._book_is_old = False
            user_id = self.admission.user_id
            self._holdings = await self.lobby.read(_holdings_now, user_id, self._account_id)
            symbols = self._holdings.symbols if self._holdings else ()
            await hub.load(symbols)
            hub.hold(self._reader, symbols)
            self._held_versions = []
        if self._holdings is None:
            return
        versions = hub.versions(self._holdings.symbols) or [0]
        if versions == self._held_versions:
            return
        self._held_versions = versions
        quotes = hub.quotes(self._holdings.symbols)
        message = live.holdings_value(self._holdings, quotes, now)
        if message is not None:
            await self._say(message)

    # ── what the server says ────────────────────────────────────────────────

    async def _send_text(self, text: str) -> None:
        # As `self.send(text_data=text)` does, which asks first what it is that is sent.
        await self.base_send({"type": "websocket.send", "text": text})

    async def _say(self, message: dict[str, Any]) -> None:
        """Send it; who does not take it in time is closed, or all else would wait behind it."""
        text = json.dumps(message, separators=(",", ":"))
        try:
            async with asyncio.timeout(settings.WS_SLOW_AFTER.total_seconds()):
                await self.send(text_data=text)
        except TimeoutError:
            self.expel(TOO_SLOW)

    async def _say_error(self, code: str, detail: str) -> None:
        await self._say({"type": "error", "code": code, "detail": detail})


class NowhereConsumer(AsyncWebsocketConsumer):
    """Every other address: refused, without a traceback of the router."""

    async def connect(self) -> None:
        await self.close(code=FORBIDDEN)


def _holdings_now(user_id: int, account_id: int | None) -> live.Holdings | None:
    return live.holdings_load(user_id, timezone.now(), account_id)


def _account_of(message: dict[str, Any]) -> int | None:
    """Which account a message is about; None for what no account has, such as an alert."""
    kind = message["type"]
    if kind == "account":
        return int(message["account"]["id"])
    if kind in ("order", "portfolio"):
        return int(message[kind]["account_id"])
    return None
