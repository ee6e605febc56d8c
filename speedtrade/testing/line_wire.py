"""The wire between a real package and a loopback vendor, folded into one process or over HTTP.

Folded, a request is handed to the vendor's own handler without a socket: the same package, the
same parsing, the same faults, at a tenth of the cost and without a clock that could matter. Either
way `before` and `after` run around each request: there the process may be killed, or others may do
something while this one waits.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import RemoteDisconnected
from io import BytesIO
from typing import Any, Protocol
from unittest import mock

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_http import Handler
from speedtrade.testing.vendors.faults import Fault
from speedtrade.testing.vendors.kraken_http import NONE, Loopback, Reply, handler_of

Hook = Callable[[requests.PreparedRequest], None]


class Folded(Protocol):
    """What became of a request: an error, or (status, body, headers)."""

    error: Exception | None
    answer: tuple[int, bytes, dict[str, str]]


def broken(reply: object) -> Exception | None:
    """What a client sees of a fault that is no answer."""
    if reply in ("hang", "drip"):
        return requests.ReadTimeout("Read timed out.")
    if reply == "drop":
        gone = RemoteDisconnected("Remote end closed connection without response")
        return requests.ConnectionError(ProtocolError("Connection aborted.", gone))
    return None


class FoldedCall(Handler):
    """One request at the Alpaca-like vendor's door, without a door."""

    def __init__(self, vendor: AlpacaVendor, request: requests.PreparedRequest) -> None:
        self.vendor, self.command, self.path = vendor, request.method or "", request.path_url
        self.headers: Any = request.headers
        body: Any = request.body or b""
        self.rfile: Any = BytesIO(body if isinstance(body, bytes) else body.encode())
        self.error: Exception | None = None
        self.answer: tuple[int, bytes, dict[str, str]] = (0, b"", {})
        self._answer()

    def _fail(self, fault: Fault, status: int, reply: Any) -> None:
        self.error = broken(fault.reply)
        if self.error is None:
            super()._fail(fault, status, reply)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json; charset=UTF-8",
    ) -> None:
        length = {"Content-Length": str(len(body))} if status != 204 else {}
        kind = {"Content-Type": content_type} if status != 204 else {}
        self.answer = (status, body, self._limits() | (headers or {}) | length | kind)


def folded_kraken(loop: Loopback) -> Callable[[requests.PreparedRequest], Folded]:
    """The same for the Kraken-like vendor."""

    class FoldedPost(handler_of(loop)):  # type: ignore[misc]
        def __init__(self, request: requests.PreparedRequest) -> None:
            self.command, self.path = request.method or "", request.path_url
            self.headers: Any = request.headers
            body: Any = request.body or b""
            self.rfile: Any = BytesIO(body if isinstance(body, bytes) else body.encode())
            self.error: Exception | None = None
            self.answer: tuple[int, bytes, dict[str, str]] = (0, b"", {})
            self._serve()

        def _spoil(self, fault: Fault, reply: Reply) -> None:
            self.error = broken(fault.reply)
            if self.error is None:
                super()._spoil(fault, reply)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] = NONE) -> None:
            self.answer = (status, body, {"Content-Length": str(len(body)), **headers})

    return FoldedPost


class Wire(HTTPAdapter):
    """Mounted on the session of an account's adapter; `down`: nobody listens at the other end.

    `fold` carries a request out; without it they go over HTTP.
    """

    def __init__(self, fold: Callable[[requests.PreparedRequest], Folded] | None) -> None:
        super().__init__()
        self.fold, self.down = fold, False
        self.before: Hook = lambda request: None
        self.after: Hook = lambda request: None

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        self.before(request)
        if self.down:
            refused: Any = NewConnectionError(None, "Connection refused")  # type: ignore[arg-type]
            raise requests.ConnectionError(MaxRetryError(None, request.url, refused))  # type: ignore[arg-type]
        if self.fold is None:
            reply = super().send(request, *args, **kwargs)
            self.after(request)
            return reply
        call = self.fold(request)
        self.after(request)
        if call.error is not None:
            raise call.error
        status, body, headers = call.answer
        raw = HTTPResponse(
            body=BytesIO(body),
            headers=headers,
            status=status,
            preload_content=False,
            decode_content=False,
            request_method=request.method,
        )
        return self.build_response(request, raw)


@contextmanager
def crashing(point: Callable[[str], None]) -> Iterator[None]:
    """Let `point` decide what happens at the named points of the services."""
    with ExitStack() as stack:
        for name in ("submissions", "executions", "orders"):
            stack.enter_context(mock.patch(f"trading.services.{name}.crash_point", point))
        yield
