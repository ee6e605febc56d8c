"""Frames on a line of TCP whose reading end the test holds: whole, in order, never for ever.

The socket of the web process (`speedtrade.web.PushProtocol`) on Twisted's own transport, turned by
hand: the test says when the kernel takes more.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from speedtrade.web import PushFactory, PushProtocol  # installs the reactor: before the others

HERE = IPv4Address("TCP", "127.0.0.1", 1)
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
BIG = 300_000  # more than the kernel takes at once here


class Turns(Clock):
    """A reactor without a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Nothing: the test hands over what comes in."""

    def removeReader(self, reader: Any) -> None:
        """Nothing."""

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)


class Line(Connection):
    connected = 1

    def getPeer(self) -> IPv4Address:
        return HERE

    def getHost(self) -> IPv4Address:
        return HERE


class Secret(ProtocolWrapper):
    """A layer of encryption, as TLS is: what it is not asked to write goes out in the clear."""

    def write(self, data: bytes) -> None:
        self.transport.write(data[::-1])


class HttpChannel:
    """Who asks for the line before the socket opens."""

    def pauseProducing(self) -> None:
        raise AssertionError("nobody asks the channel any more")

    resumeProducing = stopProducing = pauseProducing


class Ends:
    """An open socket and the other end of its line."""

    def __init__(self, *, secret: bool = False) -> None:
        ours, self.theirs = pair()
        self.reactor = Turns()
        self.gone: list[Any] = []
        server = SimpleNamespace(log_action=lambda *_: None, protocol_disconnected=self.gone.append)
        self.protocol: Any = PushFactory(server, reactor=self.reactor).buildProtocol(HERE)
        self.protocol.server, self.protocol.client_addr = server, None
        self.protocol.request = SimpleNamespace(path="/ws")
        self.protocol.application_queue = asyncio.Queue()
        self.line = Line(ours, self.protocol, self.reactor)
        if secret:
            wrapper = Secret(WrappingFactory(None), self.protocol)
            wrapper.makeConnection(self.line)
        else:
            self.protocol.makeConnection(self.line)
        self.line.registerProducer(HttpChannel(), True)
        self.protocol.state = PushProtocol.STATE_OPEN
        self.protocol.websocket_version = 13
        self.protocol.inside_message, self.protocol.current_frame = False, None
        self.protocol.onOpen()

    def hear(self, opcode: int, payload: bytes = b"") -> None:
        """A frame of the client's comes in (with a mask of zeros, which changes nothing)."""
        self.protocol.dataReceived(bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload)

    def fill(self) -> list[bytes]:
        """Send messages until the socket says that it is full; what they were."""
        sent = []
        while self.protocol.drained is None:
            sent.append(f"{len(sent)} ".encode().ljust(BIG, b"."))
            self.protocol.sendMessage(sent[-1])
        assert self.reactor.writers == {self.line}
        return sent

    def read(self) -> bytes:
        """All that comes, while the line sends what waits."""
        found = b""
        while True:
            try:
                data = self.theirs.recv(65536)
            except BlockingIOError:
                if not self.reactor.writers:
                    return found
                assert self.line.doWrite() is None
                continue
            if not data:
                return found
            found += data


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a line of TCP with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        theirs.connect(door.getsockname())
        ours, _ = door.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setblocking(False)
    return ours, theirs


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of each frame of a server; fails where one is not whole."""
    while data:
        opcode, length, start = data[0] & 0x0F, data[1], 2
        assert data[0] & 0x80
        if length == 126:
            (length,), start = struct.unpack("!H", data[2:4]), 4
        elif length == 127:
            (length,), start = struct.unpack("!Q", data[2:10]), 10
        assert len(data) >= start + length
        yield opcode, data[start : start + length]
        data = data[start + length :]


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.theirs.close()
    made.line.connectionLost(Failure(ConnectionLost()))


def test_a_message_is_with_the_kernel_at_once(ends: Ends) -> None:
    ends.protocol.sendMessage(b"hello")
    assert not ends.reactor.writers
    assert list(frames(ends.read())) == [(TEXT, b"hello")]
    assert ends.protocol.drained is None


def test_what_comes_after_a_frame_that_is_cut_waits_until_that_is_whole(ends: Ends) -> None:
    sent = ends.fill()
    ends.protocol.sendPing(b"are you there?")
    ends.hear(PING, b"and you?")
    ends.protocol.sendMessage(b"one more")
    ends.protocol.sendCloseFrame(code=4408)
    ends.protocol.handle_reply({"type": "websocket.send", "text": "too late"})
    assert list(frames(ends.read())) == [
        *((TEXT, message) for message in sent),
        (PING, b"are you there?"),
        (PONG, b"and you?"),
        (TEXT, b"one more"),
        (CLOSE, struct.pack("!H", 4408)),
    ]
    assert ends.protocol.drained is None


async def test_a_sender_goes_on_once_all_is_sent(ends: Ends) -> None:
    ends.fill()
    waiting = asyncio.ensure_future(ends.protocol.drained.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    ends.read()
    await asyncio.wait_for(waiting, 1)
    ends.protocol.sendMessage(b"at once again")
    assert list(frames(ends.read())) == [(TEXT, b"at once again")]


async def test_a_sender_goes_on_once_the_line_is_lost(ends: Ends) -> None:
    ends.fill()
    waiting = asyncio.ensure_future(ends.protocol.drained.wait())
    await asyncio.sleep(0)
    ends.line.connectionLost(Failure(ConnectionLost()))
    await asyncio.wait_for(waiting, 1)
    assert len(ends.gone) == 1
    ends.protocol.handle_reply({"type": "websocket.send", "text": "to nobody"})


def test_a_line_that_the_client_has_reset_is_found_lost_by_its_transport(ends: Ends) -> None:
    linger = struct.pack("ii", 1, 0)
    ends.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    ends.theirs.close()
    ends.protocol.sendMessage(b"to nobody")
    assert ends.reactor.writers == {ends.line}
    assert isinstance(ends.line.doWrite(), ConnectionLost)


def test_a_client_that_says_good_bye_and_reads_nothing_keeps_no_line(
    ends: Ends, settings: Any
) -> None:
    settings.WS_SLOW_AFTER = timedelta(seconds=10)
    ends.fill()
    ends.hear(CLOSE, struct.pack("!H", 1000))
    assert ends.protocol.drained is None  # nobody waits for it any longer
    ends.reactor.advance(9.9)
    assert not ends.gone
    ends.reactor.advance(0.1)
    ends.reactor.advance(0)
    assert len(ends.gone) == 1


def test_a_client_that_says_good_bye_is_sent_the_rest_first(ends: Ends, settings: Any) -> None:
    sent = ends.fill()
    ends.hear(CLOSE, struct.pack("!H", 1000))
    found = b""
    while ends.line.connected:
        found += chunk(ends.theirs)
        if (lost := ends.line.doWrite()) is not None:
            ends.line.connectionLost(Failure(lost))
    found += ends.read()
    close = (CLOSE, struct.pack("!H", 1000))
    assert list(frames(found)) == [*((TEXT, message) for message in sent), close]
    ends.reactor.advance(settings.WS_SLOW_AFTER.total_seconds())
    assert len(ends.gone) == 1


def chunk(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except BlockingIOError:
        return b""


def test_what_a_client_says_while_nobody_reads_it_is_not_kept_without_end(
    ends: Ends, settings: Any
) -> None:
    settings.WS_UNREAD_MOST = 3
    for _ in range(10):
        ends.hear(TEXT, b"{}")
    assert ends.protocol.application_queue.qsize() == 3
    assert list(frames(ends.read())) == [(CLOSE, struct.pack("!H", 4429))]


def test_nothing_goes_past_a_layer_of_encryption() -> None:
    ends = Ends(secret=True)
    ends.protocol.sendMessage(b"hello")
    assert list(frames(ends.read()[::-1])) == [(TEXT, b"hello")]
    ends.theirs.close()
