"""Orders that keep coming in by the API, whatever happens to what stands behind it."""

import http.client
import itertools
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from speedtrade.testing.waiting import wait_until

NO_ANSWER = 0  # in place of a status: refused, reset, or nothing in time
PATIENCE = 20  # seconds for one answer
READY_LOOK = 0.3  # seconds between two looks of a balancer at who is ready
#: Of a house that is asked this much: what is asked is not how many orders one may send.
HOUSE = {
    "SPEEDTRADE_ENV": "development",
    "LOG_LEVEL": "WARNING",
    "WEB_DRAIN_SECONDS": "5",
    "RATE_ORDERS_PER_USER": "1000/second",
    "RATE_API_PER_USER": "1000/second",
    "RISK_MAX_OPEN_ORDERS": "100000",
}
PASSWORD = "correct-horse-9-battery"
#: A limit needs no fresh price, so it is taken in while there are none; this one rests for good.
ORDER = {
    "symbol": "AAPL",
    "asset_type": "stock",
    "side": "buy",
    "order_type": "limit",
    "qty": "1",
    "limit_price": "10.00",
    "time_in_force": "gtc",
}


@dataclass(slots=True)
class Answer:
    """What one POST came to; `seconds` is how long it took, `at` when it came (monotonic)."""

    key: str
    status: int
    body: Any
    headers: dict[str, str]
    at: float
    seconds: float


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, Any, dict[str, str]]:
    """One request on a connection of its own; NO_ANSWER where none came."""
    connection: http.client.HTTPConnection
    if tls:
        connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=tls)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        data = None if body is None else json.dumps(body)
        head = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, data, head)
        reply = connection.getresponse()
        raw, names = reply.read(), {name.lower(): value for name, value in reply.getheaders()}
    except (OSError, http.client.HTTPException) as error:
        return NO_ANSWER, repr(error), {}
    finally:
        connection.close()
    try:
        return reply.status, json.loads(raw), names
    except ValueError:
        return reply.status, raw.decode(errors="replace"), names


class Trader:
    """A registered user, and what they send by the API of the web processes on these ports.

    With `tls` there is one port, that of a proxy before them.
    """

    def __init__(self, name: str, *ports: int, tls: ssl.SSLContext | None = None) -> None:
        self.name, self.ports, self.tls = name, ports, tls
        person = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        status, body, _ = call(ports[0], "POST", "/api/v1/auth/register", person, tls=tls)
        assert status == 201, body
        self.login()

    def login(self) -> None:
        person = {"username": self.name, "password": PASSWORD}
        status, body, _ = call(self.ports[0], "POST", "/api/v1/auth/login", person, tls=self.tls)
        assert status == 200, body
        self.bearer = {"Authorization": f"Bearer {body['access_token']}"}

    def order(self, key: str, port: int | None = None, body: Mapping[str, str] = ORDER) -> Answer:
        """Place the order of this key; the same key again is the same order."""
        began = time.monotonic()
        head = {**self.bearer, "Idempotency-Key": key}
        status, told, headers = call(
            port or self.ports[0], "POST", "/api/v1/orders", body, head, self.tls
        )
        now = time.monotonic()
        return Answer(key, status, told, headers, now, now - began)

    def orders(self) -> list[dict[str, Any]]:
        """All of this user's orders, page after page, by a new log-in: tokens end."""
        self.login()
        found: list[dict[str, Any]] = []
        path = "/api/v1/orders?limit=100"
        while path:
            status, body, _ = call(self.ports[0], "GET", path, None, self.bearer, self.tls)
            assert status == 200, body
            found += body["results"]
            after = urlsplit(body["next"] or "")
            path = f"{after.path}?{after.query}" if after.path else ""
        return found


@dataclass(slots=True)
class Traffic:
    """`rate` orders a second from so many hands, from `with` until its end.

    A key that got no 201 is tried again by its own hand at the end, as any client would.
    """

    trader: Trader
    rate: float
    hands: int = 1
    answers: list[Answer] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: Sequence[threading.Thread] = ()

    def __enter__(self) -> "Traffic":
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True)
            for number in range(self.hands)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    def port(self, number: int) -> int:
        """Whom to ask this time."""
        ports = self.trader.ports
        return ports[number % len(ports)]

    def _send(self, hand: int) -> None:
        began = time.monotonic()
        for number in itertools.count():
            due = began + (number * self.hands + hand) / self.rate
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            key = f"{self.trader.name}-{hand}-{number}"
            self.answers.append(self.order(key, self.port(number)))

    def order(self, key: str, port: int | None = None) -> Answer:
        """What the order of this key came to, this time."""
        return self.trader.order(key, port)

    def more(self, count: int, seconds: float = 120) -> None:
        """Wait for so many more answers."""
        wanted = len(self.answers) + count
        wait_until(
            lambda: len(self.answers) >= wanted, seconds, lambda: f"{count} more: {self.counts()}"
        )

    def until_taken(self, seconds: float) -> float:
        """Wait until an order that is sent from now on is taken; after how many seconds."""
        began, known = time.monotonic(), len(self.answers)
        wait_until(
            lambda: any(answer.status == 201 for answer in self.answers[known:]),
            seconds,
            lambda: f"an order is taken again: {self.counts()}",
        )
        return time.monotonic() - began

    def a_second(self) -> float:
        """How many answers there were in a second, from the first to the last."""
        moments = [answer.at for answer in self.answers]
        return len(moments) / (max(moments) - min(moments))

    def counts(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def taken(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 201]

    def again(self) -> list[Answer]:
        """Send once more what got no order; what each key has come to in the end."""
        ended = {answer.key: answer for answer in self.answers}
        for key, answer in ended.items():
            if answer.status not in {200, 201}:
                ended[key] = self.order(key)
        return list(ended.values())


@dataclass(slots=True)
class Balanced(Traffic):
    """Traffic through what a proxy does: it leaves a process alone that says it is not ready."""

    _ready: list[int] = field(default_factory=list)
    _checker: threading.Thread | None = None

    def __enter__(self) -> "Balanced":
        self._look()
        self._checker = threading.Thread(target=self._check, daemon=True)
        self._checker.start()
        Traffic.__enter__(self)
        return self

    def __exit__(self, *error: object) -> None:
        Traffic.__exit__(self, *error)
        assert self._checker is not None
        self._checker.join(PATIENCE)

    def _look(self) -> None:
        """Each word counts at once: the other one may be long in coming."""
        for port in self.trader.ports:
            well = ready(port)
            known = self._ready
            self._ready = [
                one for one in self.trader.ports if (well if one == port else one in known)
            ]

    def _check(self) -> None:
        while not self._over.wait(READY_LOOK):
            self._look()

    def port(self, number: int) -> int:
        chosen = self._ready or list(self.trader.ports)
        return chosen[number % len(chosen)]


def ready(port: int) -> bool:
    """Whether the web process there may be given requests."""
    return call(port, "GET", "/health/ready")[0] == 204
