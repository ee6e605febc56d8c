"""The trade updates of the Alpaca-like vendor: binary frames of JSON, after authentication.

Faults: `drop()` cuts every connection, `silent` swallows what happens, `refusals` answers the next
handshakes with a status, `leads_to` redirects them, `single` refuses a second connection of one
key, `deaf` never answers the authentication, and `send` puts any frame on the line.
"""

import json
import logging
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from speedtrade.testing.vendors import alpaca_wire as wire
from speedtrade.testing.vendors import spec
from speedtrade.testing.vendors.alpaca_book import VendorAccount, VendorFill, VendorOrder

if TYPE_CHECKING:
    from speedtrade.testing.vendors.alpaca import AlpacaVendor

# Clients that go away are what the tests make: no news.
logging.getLogger("websockets.server").setLevel(logging.CRITICAL)


class UpdateServer:
    """The web socket door; one per vendor."""

    def __init__(self, vendor: "AlpacaVendor", port: int = 0) -> None:
        self.vendor, self._port = vendor, port
        self.listening: dict[ServerConnection, VendorAccount] = {}
        self.connected: set[ServerConnection] = set()
        self.handshakes = 0
        self.received = 0  # messages
        self.refused = 0  # keys that were not taken
        self.refusals: list[int] = []
        self.leads_to = ""  # a handshake is redirected to this address
        self.single = False
        self.deaf = False
        self.silent = False
        self.sent: list[bytes] = []
        self._server: Server | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/stream"

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", self._port, process_request=self._handshake)
        self._port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.drop()  # first: the server waits for a polite end of what is still connected
        if self._server is not None:
            self._server.shutdown()

    def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes += 1
        if self.refusals:
            return connection.respond(HTTPStatus(self.refusals.pop(0)), "connection limit exceeded")
        if self.leads_to:
            reply = connection.respond(HTTPStatus.FOUND, "")
            reply.headers["Location"] = self.leads_to
            return reply
        if self.single and self.listening:
            return connection.respond(HTTPStatus.NOT_ACCEPTABLE, "connection limit exceeded")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        account: VendorAccount | None = None
        self.connected.add(connection)
        try:
            for raw in connection:
                self.received += 1
                message = json.loads(raw)
                data = message.get("data") or {}
                if self.deaf:
                    continue
                if message.get("action") in {"authenticate", "auth"}:
                    account = self._authenticate(connection, data)
                elif message.get("action") == "listen" and account is not None:
                    streams = data.get("streams", [])
                    answer = {"stream": "listening", "data": {"streams": streams}}
                    with self._lock:  # the answer comes first, then all that happens after it
                        self.listening[connection] = account
                        self._send(connection, answer)
        except ConnectionClosed:
            pass
        finally:
            self.listening.pop(connection, None)
            self.connected.discard(connection)

    def _authenticate(
        self, connection: ServerConnection, data: dict[str, Any]
    ) -> VendorAccount | None:
        account = self.vendor.accounts.get(data.get("key_id", ""))
        if account is not None and account.secret != data.get("secret_key"):
            account = None
        status = "authorized" if account else "unauthorized"
        self.refused += account is None
        reply = {"status": status, "action": "authenticate"}
        self._send(connection, {"stream": "authorization", "data": reply})
        return account

    def _send(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        connection.send(json.dumps(message).encode())  # bytes: a binary frame

    def tell(
        self, account: VendorAccount, event: str, order: VendorOrder, fill: VendorFill | None
    ) -> None:
        """Something happened to an order of this account."""
        message = wire.update(event, order, fill, self.vendor.now())
        try:
            spec.check_named("Order", message["data"]["order"])
        except spec.Drift as drift:
            if order.status != "pending_review":  # alpaca-py knows it, the document does not
                self.vendor.drift.append(f"{event}: {drift}")
        frame = json.dumps(message).encode()
        self.sent.append(frame)
        if not self.silent:
            self.send(frame, account)

    def send(self, frame: bytes, account: VendorAccount | None = None) -> None:
        """Any frame to whoever listens (to this account)."""
        with self._lock:
            for connection, owner in list(self.listening.items()):
                if account is None or owner is account:
                    with suppress(ConnectionClosed):
                        connection.send(frame)

    def drop(self) -> None:
        """Cut every connection, without a word of goodbye."""
        for connection in list(self.connected):
            with suppress(OSError):
                connection.socket.shutdown(2)
