"""The web process and a client that does not read: nothing is kept for it without end."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from socket import SHUT_RDWR

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from speedtrade.datafolder import PROJECT
from speedtrade.testing.product import free_port
from speedtrade.testing.waiting import wait_until
from speedtrade.tests.pushing import MESSAGE, MOST

#: What may be on the way: the kernel's buffers of both ends, and one of the server.
ON_THE_WAY = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    where = ("-b", "127.0.0.1", "-p", str(port), "-v", "0")
    web = subprocess.Popen(
        [sys.executable, "-m", "speedtrade.web", *where, "speedtrade.tests.pushing:application"],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "speedtrade.settings"},
    )
    try:

        def up() -> bool:
            with contextlib.suppress(OSError), opened(port, "/ws/told"):
                return True
            return False

        wait_until(up, 30, "the server takes sockets")
        yield port
    finally:
        web.kill()
        web.wait()


def opened(port: int, path: str) -> ClientConnection:
    """A socket that reads ahead two messages at most.

    One that says good-bye with more unread never reads the answer: it hangs up when `close_timeout`
    is over, by itself only after ten seconds.
    """
    return connect(
        f"ws://127.0.0.1:{port}{path}",
        max_queue=2,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
    )


def told(port: int) -> tuple[str, str]:
    """How many messages were taken before one had to wait, and how it ended."""
    with opened(port, "/ws/told") as socket:
        socket.send("?")
        sent, ended = str(socket.recv(10)).split()
        return sent, ended


def full(port: int) -> int:
    """Wait until the server takes no more, and say how many messages it took."""
    wait_until(lambda: told(port)[0] != "None", 30, "the server takes no more")
    return int(told(port)[0])


def ended(port: int) -> None:
    wait_until(lambda: told(port)[1] == "websocket.disconnect", 10, "the sender hears of the end")


def test_a_server_whose_client_does_not_read_makes_its_sender_wait(port: int) -> None:
    with opened(port, "/ws/flood/read") as socket:
        taken = full(port)
        assert 0 < taken * MESSAGE < ON_THE_WAY
        # And none of it is lost, cut or out of order, and none comes twice.
        for number in range(taken + 1):
            message = str(socket.recv(10))
            assert len(message) == MESSAGE
            assert int(message.partition(" ")[0]) == number
        socket.send("That was all.")
        with pytest.raises(ConnectionClosedOK):
            socket.recv(10)
    assert taken + 1 < MOST


def test_a_sender_does_not_wait_for_a_client_that_is_gone(port: int) -> None:
    with opened(port, "/ws/flood/gone") as socket:
        full(port)
        socket.socket.shutdown(SHUT_RDWR)
        ended(port)


def test_a_client_that_says_good_bye_is_let_go_though_it_has_not_read_all(port: int) -> None:
    with opened(port, "/ws/flood/gone"):
        full(port)
    ended(port)


def test_a_client_that_reads_nothing_more_is_closed_all_the_same(port: int) -> None:
    with opened(port, "/ws/flood/closed"):
        full(port)
        ended(port)
