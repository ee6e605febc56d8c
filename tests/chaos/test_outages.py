"""What stands behind the doors is killed, wiped, stopped or told to end, and orders keep coming.

Every order that was answered is there afterwards, once, here and at the venue.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from speedtrade.datafolder import PROJECT
from speedtrade.env import read_json
from speedtrade.processes import BEAT, WEB
from speedtrade.testing.product import free_port
from speedtrade.testing.running import Running
from speedtrade.testing.waiting import wait_until
from tests.chaos.nginx import nginx_before
from tests.chaos.proxy import proxied
from tests.chaos.traffic import HOUSE, NO_ANSWER, Balanced, Trader, Traffic, call, ready

pytestmark = pytest.mark.chaos

BACK = 60  # seconds in which what was restarted has caught up
WEB_ENDED = r"web \| ended with code 0; starting it again"
SLOWEST = 10  # orders a second that a busy machine sends on
UNAVAILABLE = {NO_ANSWER, 503}
REDIS_GIVEN_UP = 5  # seconds that an order may wait for a Redis that is silent
RECONNECTS = int(os.environ.get("RECONNECTS", "10"))
SNAPSHOT_WITHIN = 2  # seconds from the new socket to the first prices
ROLLING = 50  # orders a second while web processes are restarted one after the other
HELD = 0.95  # of them, at least, must really have been asked and answered
HANDS = 32  # so many may wait for an answer before fewer are sent


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One running product, for all tests here: each leaves it well."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o700)
    running = Running(folder, free_port(), **HOUSE)
    try:
        running.until(r"ready after|it serves, but")
        running.until_well()
        yield running
    finally:
        running.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(60)
        running.end()


def settled(house: Running, trader: Trader) -> None:
    """Every order that was answered stands once, and the venue has just those; the books add up."""
    expected = len({order["id"] for order in trader.orders()})

    def at_the_venue() -> Any:
        return house.database(
            "SELECT count(*), count(DISTINCT p.client_order_id) FROM trading_paperorder p"
            " JOIN trading_order o ON o.client_order_id = p.client_order_id"
            " JOIN accounts_user u ON u.id = o.placed_by_id WHERE u.username = %s",
            trader.name,
        )

    began = time.monotonic()
    wait_until(
        lambda: at_the_venue() == (expected, expected),
        BACK + expected / SLOWEST,
        lambda: f"{expected} orders at the venue: {at_the_venue()}\n{told(house, trader)}",
    )
    print(f"{expected} orders were at the venue after {time.monotonic() - began:.1f} s")
    checked = subprocess.run(
        [sys.executable, "manage.py", "check_ledger"],
        cwd=PROJECT,
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def told(house: Running, trader: Trader) -> str:
    """Where the orders are, for the message of a test that failed, and what the processes said."""
    states = house.database(
        "SELECT string_agg(DISTINCT concat_ws(' ', o.state, s.claimed_at, s.done_at, s.attempts,"
        " s.sends, s.last_error), '; ') FROM trading_order o"
        " JOIN trading_submission s ON s.order_id = o.id"
        " JOIN accounts_user u ON u.id = o.placed_by_id"
        " WHERE u.username = %s AND s.done_at IS NULL",
        trader.name,
    )
    return f"{states}\n{''.join(house.lines[-60:])}"


def once_each(traffic: Traffic, *before: str) -> None:
    """Each key has one order in the end, and no answer was taken back; `before` came earlier."""
    ended = traffic.again()
    assert {answer.status for answer in ended} <= {200, 201}, traffic.counts()
    ids = [answer.body["id"] for answer in ended]
    assert len(set(ids)) == len(ids)
    ids += [traffic.trader.order(key).body["id"] for key in before]
    assert {order["id"] for order in traffic.trader.orders()} == set(ids)


@pytest.mark.fault("F9")
def test_orders_are_taken_while_redis_is_killed_and_wiped(house: Running) -> None:
    trader = Trader("trader-f9", house.port)
    with Traffic(trader, rate=4, hands=2) as traffic:
        traffic.more(4)
        for number in (1, 2):
            house.child("valkey-server").kill()
            house.until(r"valkey \| was ended by SIGKILL; starting it again", 60, number)
            traffic.more(8)
        flushed(house)
        traffic.more(8)
    house.until_well()
    assert set(traffic.counts()) == {201}, traffic.counts()
    once_each(traffic)
    settled(house, trader)


def flushed(house: Running) -> None:
    """Everything that Redis knew is gone: queue, prices, counters."""
    import redis

    redis.Redis.from_url(read_json(house.folder / "runtime.json")["REDIS_URL"]).flushall()


@pytest.mark.fault("F11")
def test_no_answered_order_is_lost_when_postgres_stops_at_once(house: Running) -> None:
    trader = Trader("trader-f11", house.port)
    with Traffic(trader, rate=20, hands=4) as traffic:
        traffic.more(40)
        house.child("bin/postgres").send_signal(signal.SIGQUIT)  # an immediate shutdown
        house.until(r"postgres \| .*starting it again", 60)
        wait_until(lambda: answers(house), 30, "PostgreSQL answers again")
        took = traffic.until_taken(30)
        traffic.more(40)
    print(f"orders are taken {took:.1f} s after PostgreSQL; {dict(traffic.counts())}")
    assert set(traffic.counts()) <= {201} | UNAVAILABLE, traffic.counts()
    refused = [answer for answer in traffic.answers if answer.status == 503]
    assert all("retry-after" in answer.headers for answer in refused)
    once_each(traffic)
    house.until_well()
    settled(house, trader)


def answers(house: Running) -> bool:
    try:
        house.database("SELECT 1")
    except psycopg.Error:
        return False
    return True


@pytest.mark.fault("F13")
def test_a_socket_that_comes_back_gets_a_snapshot_at_once(house: Running) -> None:
    trader = Trader("trader-f13", house.port)

    def opened() -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{house.port}/ws", additional_headers=trader.bearer, open_timeout=10
        )

    def first_prices(socket: ClientConnection) -> list[str]:
        """The symbols of the first prices after subscribing."""
        socket.send(json.dumps({"action": "subscribe", "symbols": ["AAPL"]}))
        while (message := json.loads(socket.recv(10)))["type"] != "quote":
            pass
        return [quote["symbol"] for quote in message["quotes"]]

    with pytest.raises(ConnectionClosed), opened() as socket:
        # A house that has just begun may have no price yet: then the snapshot is an empty one.
        found = wait_until(lambda: first_prices(socket), BACK, "the feed has told a price")
        assert found == ["AAPL"]
        house.child("speedtrade.web").kill()
        while True:
            socket.recv(10)

    def back() -> float | None:
        began = time.monotonic()
        try:
            with opened() as socket:
                assert first_prices(socket) == ["AAPL"]
        except (OSError, WebSocketException):
            return None  # it is starting, or the dying one took the call
        return time.monotonic() - began

    assert wait_until(back, BACK, "the web process takes sockets again") < SNAPSHOT_WITHIN
    house.until_well()
    took = sorted(seconds for _ in range(RECONNECTS) if (seconds := back()) is not None)
    assert len(took) == RECONNECTS
    latest = took[(99 * len(took) - 1) // 100]  # of a hundred the second to last
    print(f"{len(took)} more times: p99 {latest:.3f} s, at most {took[-1]:.3f} s")
    assert latest < SNAPSHOT_WITHIN


@pytest.mark.drill
@pytest.mark.fault("F28")
def test_two_beats_make_each_order_once_and_no_beat_is_told(house: Running) -> None:
    trader = Trader("trader-f28", house.port)
    argv = BEAT.command({"folder": str(house.folder / "second"), "bind": "", "port": ""})
    (house.folder / "second").mkdir()
    second = subprocess.Popen(
        [sys.executable, *argv[1:]],
        cwd=PROJECT,
        env=house.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Traffic(trader, rate=4, hands=2) as traffic:
            traffic.more(24)
        once_each(traffic)
        settled(house, trader)
    finally:
        second.kill()
        second.wait()
    beat = house.child("speedtrade beat")
    beat.suspend()
    try:
        wait_until(lambda: health(house)["worker"].startswith("last seen"), 45, "it is told")
        assert trader.order("f28-without-beat").status == 201  # a wake-up needs no beat
    finally:
        beat.resume()
    house.until_well()
    settled(house, trader)


def health(house: Running) -> dict[str, str]:
    checks: dict[str, str] = call(house.port, "GET", "/health")[1]["checks"]
    return checks


@contextlib.contextmanager
def behind(way: str, house: Running, other: "Second", folder: Path) -> Iterator[Traffic]:
    """50 orders a second to two web processes, along the way that a proxy chooses among them."""
    if way == "nginx":
        with nginx_before(folder, house.port, other.port) as nginx:
            trader = Trader("trader-f29-nginx", nginx.port, tls=nginx.tls)
            yield Traffic(trader, rate=ROLLING, hands=HANDS)
    else:
        yield Balanced(Trader("trader-f29", house.port, other.port), rate=ROLLING, hands=HANDS)


@pytest.mark.fault("F29")
@pytest.mark.parametrize(
    "way",
    [
        pytest.param("balancer", marks=pytest.mark.drill),
        pytest.param("nginx", marks=pytest.mark.nginx),
    ],
)
def test_a_rolling_restart_loses_and_doubles_nothing(
    house: Running, tmp_path: Path, way: str
) -> None:
    """Two web processes are told to end, one after the other, with 50 requests a second coming."""
    ended = len(house.said(WEB_ENDED))
    other = Second(house)
    try:
        with behind(way, house, other, tmp_path) as traffic:
            with traffic:
                traffic.more(100)
                other.restart()
                traffic.more(50)
                house.child("speedtrade.web").terminate()
                house.until(WEB_ENDED, 60, ended + 1)
                wait_until(lambda: ready(house.port), 60, "the first one is ready again")
                traffic.more(100)
            print(f"{way}: {dict(traffic.counts())}, {traffic.a_second():.0f} orders a second")
            once_each(traffic)
            settled(house, traffic.trader)
    finally:
        other.end()
    if way == "nginx":  # with nothing beside it, `make chaos` sees to that
        assert traffic.a_second() >= ROLLING * HELD, "less was asked than must be held"
    retried = len(traffic.answers) - len(traffic.taken())
    assert retried <= len(traffic.answers) / 1000, traffic.counts()


@pytest.mark.fault("F29")
def test_a_connection_that_a_proxy_keeps_is_given_up_before_the_end(house: Running) -> None:
    """Fails where answers stay silent: requests along it are cut off when the patience is over."""
    other = Second(house)
    kept = http.client.HTTPConnection("127.0.0.1", other.port, timeout=20)

    def answer() -> tuple[int, bool]:
        kept.request("GET", "/health/live")
        reply = kept.getresponse()
        reply.read()
        return reply.status, kept.sock is None  # the client closes what is told to be the last

    try:
        assert [answer() for _ in range(3)] == [(204, False)] * 3
        other.process.terminate()
        wait_until(lambda: not ready(other.port), BACK, "it leaves the service")
        assert answer() == (204, True)
        assert other.process.wait(BACK) == 0
    finally:
        kept.close()
        other.end()


@pytest.mark.fault("F10")
def test_a_redis_that_swallows_everything_costs_an_order_seconds_at_most(house: Running) -> None:
    address = urlsplit(read_json(house.folder / "runtime.json")["REDIS_URL"])
    with proxied(address.port or 0) as proxy:
        through = address._replace(
            netloc=address.netloc.replace(f":{address.port}", f":{proxy.port}")
        )
        other = Second(house, REDIS_URL=through.geturl())
        try:
            trader = Trader("trader-f10", other.port)
            assert trader.order("f10-before").status == 201
            proxy.swallowing = True
            with Traffic(trader, rate=2, hands=2) as traffic:
                traffic.more(10)
                proxy.swallowing = False
                traffic.more(4)
            assert set(traffic.counts()) == {201}, traffic.counts()
            slowest = max(answer.seconds for answer in traffic.answers)
            print(f"the slowest answer took {slowest:.1f} s")
            assert slowest <= REDIS_GIVEN_UP
            once_each(traffic, "f10-before")
            settled(house, trader)
        finally:
            other.end()


class Second:
    """Another web process of the same house, on a port of its own; `settings` are its alone."""

    def __init__(self, house: Running, **settings: str) -> None:
        self.house, self.port, self.settings = house, free_port(), settings
        self.start()

    def start(self) -> None:
        argv = WEB.command({"bind": "127.0.0.1", "port": str(self.port), "folder": ""})
        self.process = subprocess.Popen(
            [sys.executable, *argv[1:]],
            cwd=PROJECT,
            env=self.house.environment | self.settings,
        )
        wait_until(lambda: ready(self.port), BACK, "the second web process is ready")

    def restart(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.start()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
