"""The REST door of the Alpaca-like vendor: the keys, faults, and a check of all that it says."""

import json
import socket
import struct
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from speedtrade.testing.vendors import spec
from speedtrade.testing.vendors.alpaca_answers import Call, route
from speedtrade.testing.vendors.alpaca_book import Refused
from speedtrade.testing.vendors.faults import Fault

if TYPE_CHECKING:
    from speedtrade.testing.vendors.alpaca import AlpacaVendor


class Handler(BaseHTTPRequestHandler):
    """One connection; `vendor` is set on the class that the server is made with."""

    vendor: "AlpacaVendor"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests read what the vendor remembers, not a log."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_PATCH = do_GET

    def setup(self) -> None:
        super().setup()
        self.vendor.sockets.add(self.connection)

    def finish(self) -> None:
        self.vendor.sockets.discard(self.connection)
        super().finish()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        path = unquote(parts.path)
        found = route(self.command, path)
        if found is None:
            self._send(404, b'{"message": "endpoint not found."}')
            return
        document, name, answer, which = found
        vendor = self.vendor
        vendor.calls.append((name, self.command, self.path, raw))
        fault = vendor.faults.take(name)
        if fault is not None and not fault.accept:
            self._fail(fault, 200, None)
            return
        try:
            account = vendor.account_of(
                self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY")
            )
            vendor.count_call(account)
            body = json.loads(raw) if raw else None
            query = dict(parse_qsl(parts.query))
            call = Call(vendor, account, query, body, which)
            with account.lock:
                status, reply = answer(call)
        except Refused as refused:
            status, reply = refused.status, refused.body
        try:
            spec.check_reply(document, self.command.lower(), status, reply)
        except spec.Drift as drift:
            vendor.drift.append(f"{self.command} {path}: {drift}")
        if fault is not None:
            self._fail(fault, status, reply)
        else:
            self._send(status, b"" if reply is None else json.dumps(reply).encode())

    def _fail(self, fault: Fault, status: int, reply: Any) -> None:
        if fault.reply == "hang":
            self.vendor.faults.hang(fault)
        if fault.reply == "drip":
            self._drip(fault)
        if fault.reply in {"hang", "drop", "drip"}:
            # A reset rather than a polite end: what a broken line looks like.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        body = b"" if reply is None else json.dumps(reply).encode()
        if fault.reply == "truncated":
            body = body[: len(body) // 2]
        elif isinstance(fault.reply, bytes):
            body = fault.reply
        elif callable(fault.reply):
            body = json.dumps(fault.reply(reply)).encode()
        self._send(fault.status or status, body, dict(fault.headers), fault.content_type)

    def _drip(self, fault: Fault) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        until = time.monotonic() + fault.seconds
        with suppress(OSError):
            while time.monotonic() < until and not self.vendor.faults.released.wait(0.05):
                self.wfile.write(b" ")

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json; charset=UTF-8",
    ) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        for name, value in (self._limits() | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def _limits(self) -> dict[str, str]:
        if not self.vendor.tells_limits:
            return {}
        return {
            "X-RateLimit-Limit": str(self.vendor.per_minute),
            "X-RateLimit-Remaining": str(self.vendor.remaining()),
            "X-RateLimit-Reset": str(int(time.time() // 60 + 1) * 60),
        }
