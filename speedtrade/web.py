"""The web process: daphne, which by itself cuts every request off at SIGTERM, ending in order.

SIGTERM takes it out of service first (`/health/ready` says 503 while all is still served, for
WEB_DRAIN_WAIT, so that a proxy looks elsewhere); then nobody new is let in, sockets are told to
come back (1012) and requests in hand are finished, within WEB_DRAIN_REQUESTS.

    python -m speedtrade.web -b 127.0.0.1 -p 8000 … speedtrade.asgi:application
"""

import asyncio
import json
import logging
import uuid
from functools import partial
from typing import Any

from daphne import server
from daphne.cli import CommandLineInterface  # installs the reactor: before anything of Twisted
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Connection

from speedtrade import health
from speedtrade.lib.admission import TOO_MANY

logger = logging.getLogger(__name__)
SERVICE_RESTART = 1012  # RFC 6455's registry of close codes: come back, perhaps to another process
LAST_ANSWER = (b"Connection", b"close")  # RFC 9112, 9.6: nothing more is sent along this one
LOOK_AGAIN = 0.02  # seconds between two looks at the requests in hand
QUIET = 0.5  # seconds without one before the end: what was let in may not have been read yet


#: Headers that daphne obeys whoever sends them, and that are not for us: where we are mounted, and
#: a choice among protocols of a socket, which has one. A byte beyond ASCII in either is a fault.
OBEYED = (b"Daphne-Root-Path", b"Sec-WebSocket-Protocol")


def too_large(path: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """(headers, body) of the answer to a body that is too large, in the manner of its door."""
    # Late: our library reads the settings' applications, which `speedtrade.asgi` sets up.
    from speedtrade.lib.api import PROBLEM_JSON, problem
    from speedtrade.lib.errors import CATALOGUE

    request_id, words = uuid.uuid4().hex, CATALOGUE["too_large"].remedy
    kind, body = "text/plain; charset=utf-8", words
    if path.startswith(b"/api/"):
        kind = PROBLEM_JSON
        body = json.dumps(
            problem(status_code=413, code="too_large", detail=words, request_id=request_id)
        )
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body.encode())),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
    }
    logger.info("body_too_large", extra={"request_id": request_id})
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    return [*told, LAST_ANSWER], body.encode()


class PlainRequest(WebRequest):
    """Daphne's request, which believes less of its client and takes no more than it may send.

    By itself Twisted keeps a body of any size until its end, daphne copies it into memory, and only
    then Django looks. Ours is answered as soon as it is known to be too large, unread.
    """

    _refused = False

    def gotLength(self, length: int | None) -> None:
        """Twisted: the head is there, with the length of the body, or None where that will tell."""
        if (length or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()
            length = 0  # of what is kept of it
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Twisted: a piece of the body."""
        if self._refused:
            return
        if self.content.tell() + len(data) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Twisted: the end of the body."""
        if not self._refused:
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        """413, and the end of the line.

        It is shut for writing alone at first, and what still comes is thrown away: to close it with
        words unread would take our answer from its client, too.
        """
        self._refused = True
        self.requestHeaders.removeHeader(b"Expect")  # or Twisted asks for the body after all
        line, (headers, body) = self.channel.transport, too_large(self.channel._path)
        self.channel.writeHeaders(b"HTTP/1.1", b"413", b"Content Too Large", headers)
        self.channel.write(body)
        line.loseWriteConnection()
        clock: Any = reactor
        clock.callLater(settings.WEB_REFUSED_FOR.total_seconds(), line.abortConnection)

    def process(self) -> Any:
        """Twisted: all of the request is there."""
        for name in OBEYED:
            self.requestHeaders.removeHeader(name)
        return super().process()


class PlainFactory(HTTPFactory):
    """Daphne's, less two things of Twisted's that nobody reads and that cost an order a tenth.

    They are a line of an access log (django_structlog writes ours), and the fields of a form, which
    Django parses itself, with its limits and in a thread.
    """

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = partial(PlainRequest, parsePOSTFormSubmission=False)
        return protocol

    def log(self, request: Any) -> None:
        """Nothing."""


class PushProtocol(WebSocketProtocol):
    """Daphne's socket, with two things that it lacks: it sends at once, and says when it is full.

    Twisted alone asks the kernel first, by two more calls to it and a turn of the loop for each
    message, and keeps in memory without end what a client does not read.
    """

    #: Set once what waits here is sent; None where nothing has to wait.
    drained: asyncio.Event | None = None
    #: Whether frames may go to the kernel as they are; through TLS only its own layer may write.
    plain = False

    def onOpen(self) -> None:
        super().onOpen()
        self.plain = isinstance(self.transport, Connection) and not self.transport.TLS
        # Until now it was the HTTP channel that asked for this socket, kept for nothing else.
        self.unregisterProducer()
        self.registerProducer(self, True)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Daphne: what the application says; nothing to a socket that is closing, as to a lost one.

        Autobahn would raise, in whoever had waited for the client and goes on now.
        """
        if self.state not in (self.STATE_CLOSING, self.STATE_CLOSED):
            super().handle_reply(message)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Counted: a consumer that waits for its client does not read what that says meanwhile."""
        if self.application_queue.qsize() < settings.WS_UNREAD_MOST:
            super().onMessage(payload, isBinary)
        else:
            self.serverClose(TOO_MANY)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        if self.plain and self.state == self.STATE_OPEN and not (sync or chopsize):
            data = self._sent_at_once(data)
        if data:
            super().sendData(data, sync, chopsize)

    def _sent_at_once(self, data: bytes) -> bytes:
        """Where nothing waits before it, give the kernel what it takes; what is left of it."""
        line = self.transport
        if line.dataBuffer or line._tempDataBuffer or self.send_queue or not line.connected:
            return data
        sent = line.writeSomeData(data)
        # No number: the line is lost, as the transport will find by itself.
        return data[sent:] if isinstance(sent, int) else data

    def pauseProducing(self) -> None:
        """The transport: more than its buffer waits."""
        if self.drained is None:
            self.drained = asyncio.Event()

    def resumeProducing(self) -> None:
        """The transport: all is sent."""
        if self.drained is not None:
            self.drained.set()
            self.drained = None

    def stopProducing(self) -> None:
        """The transport: the line is lost, nobody need wait any longer."""
        self.resumeProducing()

    def dropConnection(self, abort: bool = False) -> None:
        """Autobahn: the end. A client that never reads the rest does not keep the line for ever."""
        super().dropConnection(abort)
        if not abort:
            seconds = settings.WS_SLOW_AFTER.total_seconds()
            self.factory.reactor.callLater(seconds, self.transport.abortConnection)

    def unregisterProducer(self) -> None:
        """Autobahn: the line is given up."""
        super().unregisterProducer()
        self.resumeProducing()


class PushFactory(WebSocketFactory):
    """Makes them."""

    protocol = PushProtocol


server.HTTPFactory = PlainFactory  # daphne asks nobody which ones to take
server.WebSocketFactory = PushFactory


class DrainingServer(server.Server):
    """Daphne with an end in order; everything else is daphne's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ports: list[Any] = []
        self._ending = False

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def kill_all_applications(self) -> "Deferred[None]":
        """What Twisted waits for before it stops: daphne kills here what we let finish."""
        return Deferred.fromFuture(asyncio.ensure_future(self._end_in_order()))

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Daphne's own, and from the end's beginning each answer takes its connection along.

        A proxy keeps connections and would send new requests along them after the port is closed,
        so that there is always one in hand, and at last one that is cut off.
        """
        if self._ending and message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), LAST_ANSWER]}
        await super().handle_reply(protocol, message)
        drained = getattr(protocol, "drained", None)
        if drained is not None:
            await drained.wait()

    async def _end_in_order(self) -> None:
        self._ending = True
        health.leave_service()
        await asyncio.sleep(settings.WEB_DRAIN_WAIT.total_seconds())
        for port in self._ports:
            port.stopListening()
        for protocol in list(self.connections):
            # One that still shakes hands takes no frame, and its error would end the farewell here.
            if isinstance(protocol, WebSocketProtocol) and protocol.state == protocol.STATE_OPEN:
                protocol.sendCloseFrame(
                    code=SERVICE_RESTART, reasonUtf8=b"restarting", isReply=False
                )
        await asyncio.sleep(LOOK_AGAIN)  # and that they hear it
        clock = asyncio.get_running_loop().time
        quiet_from = clock()
        deadline = quiet_from + settings.WEB_DRAIN_REQUESTS.total_seconds()
        while (left := self._in_hand()) or clock() < quiet_from + QUIET:
            if left:
                quiet_from = clock()
            if quiet_from > deadline:
                logger.error("requests_cut_off", extra={"requests": len(left)})
                break
            await asyncio.sleep(LOOK_AGAIN)
        sockets = [one for one in self._unfinished().values() if one not in left]
        for application in (*left, *sockets):
            application.cancel()
        await asyncio.gather(*left, *sockets, return_exceptions=True)

    def _unfinished(self) -> dict[Any, "asyncio.Future[None]"]:
        """{connection: what serves it}, of those that are still served."""
        found = {
            protocol: details.get("application_instance")
            for protocol, details in self.connections.items()
        }
        return {protocol: one for protocol, one in found.items() if one and not one.done()}

    def _in_hand(self) -> list["asyncio.Future[None]"]:
        """The requests that have no answer yet."""
        return [
            application
            for protocol, application in self._unfinished().items()
            if not isinstance(protocol, WebSocketProtocol)
        ]


class Web(CommandLineInterface):
    """Daphne's own command line, for our server."""

    server_class = DrainingServer


if __name__ == "__main__":
    Web.entrypoint()
