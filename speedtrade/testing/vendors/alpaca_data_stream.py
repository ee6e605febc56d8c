"""The stream of the Alpaca-like data vendor: one connection, msgpack frames, and faults."""

import contextlib
import threading
import time
from datetime import datetime
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from speedtrade.testing.vendors.alpaca_data_spec import check_data_message


class DataStreamServer:
    """Faults: `mute` accepts and says nothing more, `silent_greeting` not even that it is there,
    `refuse` answers the key with that code (406: another connection stands), `drop_after` ends
    each connection that many seconds after it was let in.
    """

    def __init__(self, key: str, secret: str) -> None:
        self.mute = self.silent_greeting = False
        self.refuse = 0
        self.drop_after: float | None = None
        self.opened: list[float] = []  # monotonic times at which somebody dialled
        self.let_in: list[float] = []
        self.subscribed: dict[str, set[str]] = {"quotes": set(), "trades": set()}
        self._key, self._secret = key, secret
        self._connections: set[ServerConnection] = set()
        self._lock = threading.Lock()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None, "not started"
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v2/iex"

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", 0)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
        self.drop_all()

    def drop_all(self) -> None:
        """Every connection ends without a word."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.socket.close()

    def send(self, messages: list[dict[str, Any]]) -> None:
        """To whoever subscribed; a datetime in `t` goes out as a msgpack timestamp."""
        wanted = [
            message
            for message in messages
            if message["S"] in self.subscribed["quotes" if message["T"] == "q" else "trades"]
        ]
        if wanted and not self.mute:
            wires = [_wire(message) for message in wanted]
            for wire in wires:
                check_data_message(wire)
            self.send_raw(msgpack.packb(wires, datetime=False))

    def send_raw(self, frame: bytes) -> None:
        """Any bytes, to everybody."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(ConnectionClosed, OSError):
                connection.send(frame)

    def _serve(self, connection: ServerConnection) -> None:
        self.opened.append(time.monotonic())
        with contextlib.suppress(ConnectionClosed, OSError):
            if self.silent_greeting:
                connection.recv()
                return
            self._say(connection, {"T": "success", "msg": "connected"})
            if not self._admitted(connection):
                return
            self.let_in.append(time.monotonic())
            with self._lock:
                self._connections.add(connection)
            if self.drop_after is not None:
                threading.Timer(self.drop_after, connection.close).start()
            for frame in connection:
                self._subscribe(connection, msgpack.unpackb(frame))
        with self._lock:
            self._connections.discard(connection)

    def _admitted(self, connection: ServerConnection) -> bool:
        said = msgpack.unpackb(connection.recv())
        if self.refuse:
            words = {406: "connection limit exceeded", 402: "auth failed"}[self.refuse]
            self._say(connection, {"T": "error", "code": self.refuse, "msg": words})
            return False
        if (said.get("key"), said.get("secret")) != (self._key, self._secret):
            self._say(connection, {"T": "error", "code": 402, "msg": "auth failed"})
            return False
        self._say(connection, {"T": "success", "msg": "authenticated"})
        return True

    def _subscribe(self, connection: ServerConnection, said: dict[str, Any]) -> None:
        for channel, symbols in self.subscribed.items():
            if said.get("action") == "subscribe":
                symbols.update(said.get(channel, []))
            else:
                symbols.difference_update(said.get(channel, []))
        lists = {channel: sorted(symbols) for channel, symbols in self.subscribed.items()}
        self._say(connection, {"T": "subscription"} | lists)

    def _say(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        connection.send(msgpack.packb([message]))


def _wire(message: dict[str, Any]) -> dict[str, Any]:
    at = message.get("t")
    if isinstance(at, datetime):
        return message | {"t": msgpack.Timestamp.from_datetime(at)}
    return message
