"""The wire of the loopback exchanges: one small HTTP server, and the bad answers it can give."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from speedtrade.testing.vendors.kraken_faults import Fault, Faults

DRIP_EVERY = 0.2  # seconds
HANG_MAX = 30.0  # seconds; a test that forgets to free a line does not hold the run


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
    """

    answer: Callable[[Request, str], Reply]
    name: Callable[[Request], str]
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the port given or on a free one; starting again takes the same port."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening; what hangs is let go."""
        self.faults.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(loop: Loopback) -> type[BaseHTTPRequestHandler]:
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
            loop.requests.append(request)
            fault = loop.faults.next(loop.name(request))
            freed = loop.faults.freed
            if fault is not None and not fault.after:
                refusal = fault.text if fault.kind == "error" else "-"
                reply = loop.answer(request, refusal)
            else:
                reply = loop.answer(request, "")
            if fault is None or (fault.kind == "error" and not fault.after):
                self._send(reply.status, json.dumps(reply.body))
            else:
                self._spoil(fault, request, reply, freed)

        do_GET = do_POST = do_DELETE = do_PUT = _serve

        def _spoil(
            self, fault: Fault, request: Request, reply: Reply, freed: threading.Event
        ) -> None:
            body = json.dumps(reply.body)
            if fault.kind in {"drop", "hang"}:
                if fault.kind == "hang":
                    freed.wait(HANG_MAX)
                self.close_connection = True
                return
            if fault.kind == "drip":
                self._drip(body.encode(), freed)
                return
            html = f"<html><body><h1>{fault.status}</h1></body></html>"
            if fault.kind == "status":
                self._send(fault.status, fault.text or html, fault.headers)
            elif fault.kind == "error":  # carried out, and yet an error is what it says
                self._send(200, json.dumps(loop.answer(request, fault.text).body))
            elif fault.kind == "change" and fault.change is not None:
                self._send(reply.status, json.dumps(fault.change(json.loads(body))))
            else:
                bodies = {
                    "empty": "",
                    "truncated": body[: len(body) * 2 // 3],
                    "html": html,
                    "raw": fault.text,
                }
                self._send(200, bodies[fault.kind], fault.headers)

        def _drip(self, body: bytes, freed: threading.Event) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for byte in body:
                if freed.wait(DRIP_EVERY):
                    return
                try:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                except OSError:
                    return  # whoever waited has gone

        def _send(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
            raw = text.encode()
            self.send_response(status)
            kind = "application/json" if text[:1] in "{[" else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

    return Handler
