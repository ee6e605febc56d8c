"""What the sockets of a process look up together."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from marketdata.lobby import Lobby


class Shelf:
    """A value that is looked up in a thread; `hold` lets a look begin and not end."""

    def __init__(self) -> None:
        self.value, self.looks = "old", 0
        self.begun, self.free = threading.Event(), threading.Event()
        self.free.set()

    def look(self, number: int) -> str:
        found = f"{self.value} {number}"
        self.looks += 1
        self.begun.set()
        assert self.free.wait(20)
        if number < 0:
            raise ValueError("there is no such thing")
        return found


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    made.free.set()


async def begun(shelf: Shelf) -> None:
    while not shelf.begun.is_set():
        await asyncio.sleep(0.001)


async def test_who_asks_together_is_told_by_one_look(shelf):
    lobby = Lobby()
    assert await asyncio.gather(*(lobby.read(shelf.look, 7) for _ in range(20))) == ["old 7"] * 20
    assert shelf.looks == 1
    assert set(await asyncio.gather(lobby.read(shelf.look, 7), lobby.read(shelf.look, 8))) == {
        "old 7",
        "old 8",
    }
    assert shelf.looks == 3


async def test_who_asks_after_a_look_began_is_not_told_of_before(shelf):
    lobby = Lobby()
    shelf.free.clear()
    first = asyncio.create_task(lobby.read(shelf.look, 7))
    await begun(shelf)
    shelf.value = "new"
    second = asyncio.create_task(lobby.read(shelf.look, 7))
    await asyncio.sleep(0)
    shelf.free.set()
    assert (await first, await second) == ("old 7", "new 7")


async def test_a_look_that_fails_fails_for_all_and_only_once(shelf):
    lobby = Lobby()
    told = await asyncio.gather(
        *(lobby.read(shelf.look, -1) for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in told] == [ValueError] * 3
    assert shelf.looks == 1
    assert await lobby.read(shelf.look, 1) == "old 1"


async def test_a_socket_that_goes_takes_the_look_from_nobody(shelf):
    lobby = Lobby()
    shelf.free.clear()
    gone, left = (asyncio.create_task(lobby.read(shelf.look, 7)) for _ in range(2))
    await begun(shelf)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    shelf.free.set()
    assert await left == "old 7"
    assert shelf.looks == 1
