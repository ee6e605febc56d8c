"""From a POST to the moment at which its owner's socket says that the order has filled.

Web, worker and venue run as the product runs them, on both cores; one client, one market order at
a time, at a price that stands still.
"""

import json
import statistics
import time
from collections.abc import Iterator

from tests.bench.context import Bench
from tests.bench.http_client import Connection
from tests.bench.stack import Child
from tests.bench.table import Limit, Row, judge
from tests.bench.world import Trader
from tests.bench.ws import TEXT, frames, opened

RATIO, ABSOLUTE = Limit(8, 8), Limit(60, 25, "ms")
PATIENCE = 10.0  # seconds for one fill


class Owner:
    """One trader with an API connection and an open socket."""

    def __init__(self, port: int, trader: Trader, orders: Iterator[bytes]) -> None:
        self._api = Connection(port)
        self._socket = opened(port, "/ws", trader.token)
        self._socket.settimeout(PATIENCE)
        self._orders = orders
        self._rest = b""

    def trade(self) -> tuple[float, float]:
        """One order: seconds until the answer, and until the socket says filled."""
        request = next(self._orders)
        asked = time.perf_counter()
        status, body = self._api.ask(request)
        answered = time.perf_counter() - asked
        if status != 201:
            raise RuntimeError(f"refused: {body[:300]!r}")
        self._until_filled(json.loads(body)["id"])
        return answered, time.perf_counter() - asked

    def _until_filled(self, order_id: object) -> None:
        while True:
            end, done = 0, False
            for opcode, start, end in frames(self._rest):
                if opcode == TEXT:
                    said = json.loads(self._rest[start:end])
                    order = said.get("order", {}) if said.get("type") == "order" else {}
                    done |= order.get("id") == order_id and order.get("status") == "filled"
            self._rest = self._rest[end:]
            if done:
                return
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the socket was closed")
            self._rest += data

    def close(self) -> None:
        self._api.close()
        self._socket.close()


def rows(bench: Bench) -> Iterator[Row]:
    """post_to_filled_socket."""
    bench.world.fresh()
    each = 10 if bench.quick else 20
    posts, fills = [], []
    with bench.stack.web() as web, bench.stack.worker(), bench.stack.venue():
        owner = _owner(bench, web)
        for _ in range(5):
            owner.trade()
        for _ in range(bench.repetitions):
            made = [owner.trade() for _ in range(each)]
            posts.append(statistics.median(post for post, _ in made))
            fills.append(statistics.median(fill for _, fill in made))
        owner.close()
    yield judge(
        "post_to_filled_socket",
        statistics.median(fills) * 1000,
        RATIO,
        unit="ms",
        floor=statistics.median(posts) * 1000,
        also=ABSOLUTE,
        note="p50, one client; beside the p50 of the POSTs themselves, with all processes at work",
    )


def _owner(bench: Bench, web: Child) -> Owner:
    trader = bench.world.traders[0]
    orders = bench.world.orders(0, len(bench.world.traders), market=True)
    return Owner(web.port, trader, orders)
