"""An Alpaca-like market-data vendor on the loopback: REST and the stream, with faults on demand.

It answers as Alpaca's Market Data API v2 is documented to (msgpack frames, times as msgpack
timestamps, JSON numbers); assets come from the same address. Each answer is checked against
Alpaca's own document: what it would never say stands in `drifts`. Tests move its market:

    with AlpacaDataVendor() as vendor:
        settings.ALPACA_DATA_URL = settings.ALPACA_TRADING_URL = vendor.url
        settings.ALPACA_DATA_STREAM_URL = vendor.stream_url
        vendor.price("AAPL", bid=189.5, ask=189.6)
"""

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from speedtrade.testing.vendors.alpaca_data_market import DataMarket
from speedtrade.testing.vendors.alpaca_data_spec import check_data_reply
from speedtrade.testing.vendors.alpaca_data_stream import DataStreamServer
from speedtrade.testing.vendors.spec import Drift

KEY, SECRET = "AKDATA", "data-secret"


class AlpacaDataVendor:
    """`faults` maps a path to what happens there: a status, "hang", or a body to send instead."""

    def __init__(self, port: int = 0) -> None:
        self.market = DataMarket()
        self.stream = DataStreamServer(KEY, SECRET)
        self.faults: dict[str, Any] = {}
        self.headers: dict[str, str] = {}  # sent along with every answer
        self.calls: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.drifts: list[str] = []  # answers that the real one would never give
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def stream_url(self) -> str:
        return self.stream.url

    def __enter__(self) -> Self:
        self._thread.start()
        self.stream.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self.stream.stop()
        self._server.shutdown()
        self._server.server_close()

    def price(
        self, symbol: str, *, bid: float, ask: float, at: datetime | None = None, size: int = 100
    ) -> None:
        """A quote at these prices, and a trade in the middle: in snapshots and on the stream."""
        at = at or datetime.now(UTC)
        quote, trade = self.market.move(symbol, bid, ask, at, size)
        self.stream.send([{"T": "q", "S": symbol} | quote, {"T": "t", "S": symbol} | trade])

    def _answer(self, path: str, asked: dict[str, str], headers: Any) -> tuple[int, Any]:
        self.calls[path] += 1
        self.asked.append((path, asked))
        fault = self.faults.get(path)
        if fault == "hang":
            self._ending.wait(30)
            return 503, {"message": "ending"}
        if isinstance(fault, int):
            return fault, {"message": f"fault {fault}"}
        if fault is not None:
            return 200, fault
        if (headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")) != (KEY, SECRET):
            return 401, {"message": "unauthorized"}
        status, body = self.market.answer(path, asked)
        if status == 200:
            try:
                check_data_reply(path, body)
            except Drift as drift:
                self.drifts.append(f"{path}: {drift}")
        return status, body

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                status, body = vendor._answer(parts.path, asked, self.headers)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in vendor.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: tests look at `calls`."""

        return Handler


def reset_header(seconds: float) -> dict[str, str]:
    """What Alpaca sends with 429: when its budget is whole again."""
    whole = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"X-RateLimit-Reset": str(int(whole.timestamp())), "X-RateLimit-Remaining": "0"}
