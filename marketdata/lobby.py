"""Everybody with an open socket in this process: how many there are, and whether they may stay."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from marketdata.hub import Hub
from speedtrade.lib.admission import LOG_IN, Admission, still_admitted

logger = logging.getLogger(__name__)
Found = TypeVar("Found")


class Member(Protocol):
    """An open socket."""

    admission: Admission

    def expel(self, code: int) -> None:
        """Close it soon, with this code."""


class Lobby:
    """The hub and the sockets of one event loop. One query asks for all of them together."""

    def __init__(self) -> None:
        self.hub = Hub()
        self._members: dict[int, set[Member]] = {}  # user id -> sockets
        self._reads: dict[tuple[Any, ...], asyncio.Task[Any]] = {}  # that have not begun
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; again is harmless."""
        if self._task is None:
            self.hub.start()
            self._task = asyncio.create_task(self._recheck_always())

    async def stop(self) -> None:
        """End the hub and the rechecks; sockets are left to their server."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.hub.stop()

    def enter(self, member: Member) -> bool:
        """Let a socket in, unless its user has settings.WS_MAX_PER_USER here already."""
        sockets = self._members.setdefault(member.admission.user_id, set())
        if len(sockets) >= settings.WS_MAX_PER_USER:
            return False
        sockets.add(member)
        return True

    def leave(self, member: Member) -> None:
        """Forget a socket; again is harmless."""
        sockets = self._members.get(member.admission.user_id, set())
        sockets.discard(member)
        if not sockets:
            self._members.pop(member.admission.user_id, None)

    async def read(self, look: Callable[..., Found], *asked: Any) -> Found:
        """What `look(*asked)` finds in the database, looked up once for all who ask together.

        An event comes to every socket of its user in one turn of the loop. Only who asks before the
        look begins shares it: whoever hears of something later must not be told of before.
        """
        key = (look, *asked)
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(self._look(key))
        found: Found = await asyncio.shield(task)
        return found

    async def _look(self, key: tuple[Any, ...]) -> Any:
        del self._reads[key]
        look, *asked = key
        return await database_sync_to_async(look)(*asked)

    async def recheck(self, members: Iterable[Member]) -> None:
        """Close the sockets of those who logged out, changed their password or were put out."""
        asked = list(members)
        if not asked:
            return
        admissions = {member.admission for member in asked}
        try:
            alive = await database_sync_to_async(still_admitted)(admissions, timezone.now())
        except DatabaseError:
            # Nobody can log out either while it is away; the next round asks again.
            logger.warning("sockets_not_rechecked")
            return
        for member in asked:
            if member.admission not in alive:
                member.expel(LOG_IN)

    async def _recheck_always(self) -> None:
        while True:
            await asyncio.sleep(settings.WS_RECHECK.total_seconds())
            try:
                await self.recheck([m for sockets in self._members.values() for m in sockets])
            except Exception:
                logger.exception("recheck_failed")


_LOBBIES: "WeakKeyDictionary[asyncio.AbstractEventLoop, Lobby]" = WeakKeyDictionary()


def sockets_open() -> int:
    """How many sockets this process has; for any thread."""
    lobbies = list(_LOBBIES.values())
    return sum(len(sockets) for lobby in lobbies for sockets in list(lobby._members.values()))


def lobby_here() -> Lobby:
    """The lobby of the running event loop, started."""
    loop = asyncio.get_running_loop()
    lobby = _LOBBIES.get(loop)
    if lobby is None:
        lobby = _LOBBIES[loop] = Lobby()
    lobby.start()
    return lobby
