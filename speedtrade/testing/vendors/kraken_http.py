"""The wire of the loopback exchanges: one small HTTP server, and the bad answers it can give."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.protocol import SERVER, Protocol
from websockets.sync.connection import Connection

from speedtrade.testing.vendors.faults import Fault, FaultScript, Refusal

DRIP_EVERY = 0.2  # seconds
NONE: Mapping[str, str] = MappingProxyType({})
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. `text` is the body, or the query of a GET, before decoding."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    text: str

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.text, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a body that is JSON, and a status."""

    body: Any
    status: int = 200


@dataclass
class Loopback:
    """A server on 127.0.0.1 that asks `answer` and spoils what comes back as `faults` say.

    `answer(request, refusal)` carries the request out; with a refusal it must not, and only says
    it in the venue's words. `name(request)` is the endpoint that faults and counts go by.
    `upgrade(request)` may take a request for a web socket: (a status that refuses it or 101, who
    serves the line then).
    """

    answer: Callable[[Request, str], Reply]
    name: Callable[[Request], str]
    faults: FaultScript = field(default_factory=FaultScript)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    upgrade: Callable[[Request], tuple[int, Callable[[Connection], None]]] | None = None
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port given or on a free one; starting again takes the same port."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), handler_of(self))
        server.daemon_threads = True
        self.port = server.server_address[1]
        self.faults.released.clear()
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening; what hangs is let go."""
        self.faults.clear()
        self.faults.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def handler_of(loop: Loopback) -> type[BaseHTTPRequestHandler]:
    """What answers one request after the other of a connection to `loop`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            return  # quiet: the truth log is what tests read

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length).decode()
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                {key.lower(): value for key, value in self.headers.items()},
                text or parts.query,
            )
            if loop.upgrade is not None and request.headers.get("upgrade") == "websocket":
                self._open(*loop.upgrade(request))
                return
            loop.requests.append(request)
            fault = loop.faults.take(loop.name(request))
            words = fault.reply.text if fault and isinstance(fault.reply, Refusal) else ""
            if fault is None or fault.accept:
                reply = loop.answer(request, "")
            else:
                reply = loop.answer(request, words or "-")
            if fault is None or (words and not fault.accept):
                self._send(reply.status, json.dumps(reply.body).encode())
            elif words:  # carried out, and yet a refusal is what it says
                self._send(200, json.dumps(loop.answer(request, words).body).encode())
            else:
                self._spoil(fault, reply)

        def _open(self, status: int, serve: Callable[[Connection], None]) -> None:
            self.close_connection = True
            if status != 101:
                self._send(status, b"")
                return
            key = self.headers.get("Sec-WebSocket-Key", "") + WEBSOCKET
            accept = hashlib.sha1(key.encode()).digest()  # noqa: S324 (RFC 6455 says so)
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
            self.end_headers()
            serve(Connection(self.connection, Protocol(SERVER), ping_interval=None))

        do_GET = do_POST = do_DELETE = do_PUT = _serve

        def _spoil(self, fault: Fault, reply: Reply) -> None:
            good = json.dumps(reply.body).encode()
            if fault.reply == "drip":
                self._drip(good)
            elif fault.reply == "truncated":
                self._send(200, good[: len(good) * 2 // 3])
            elif isinstance(fault.reply, bytes):
                self._send(fault.status or reply.status, fault.reply, fault.headers)
            elif callable(fault.reply):
                self._send(reply.status, json.dumps(fault.reply(json.loads(good))).encode())
            else:
                if fault.reply == "hang":
                    loop.faults.hang(fault)
                self.close_connection = True

        def _drip(self, body: bytes) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for byte in body:
                if loop.faults.released.wait(DRIP_EVERY):
                    return
                try:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                except OSError:
                    return  # whoever waited has gone

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] = NONE) -> None:
            self.send_response(status)
            kind = "application/json" if body[:1] in (b"{", b"[") else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler
