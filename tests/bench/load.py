"""`make load`: a market that opens, on this machine, for two minutes, and what it promises then.

A thousand sockets with ten symbols each while every price moves twenty times a second, clients who
place market orders one after the other, readers of pages; web, worker, beat and venue as the
product runs them. Sockets have a web process of their own, as they may in production. Exit code 1
when a goal is missed.
"""

import argparse
import itertools
import json
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import django

from speedtrade.processes import BEAT
from tests.bench.context import Bench
from tests.bench.http_client import Connection, request_bytes
from tests.bench.sockets import Client, client_of
from tests.bench.stack import CLIENT, SERVER, Child, Stack
from tests.bench.table import section_write

SOCKETS, BUYERS, READERS = 1_000, 32, 20
WINDOWS = 20  # a second, with every symbol in each: 10,000 ticks a second
BUYER_PAUSE, READER_PAUSE = 2.0, 5.0  # seconds between an answer and the next request, on average
PAGES = ("/dashboard", "/orders", "/portfolio", "/markets/AAPL", "/activity")
WARM = 15.0  # seconds before anything counts
FILL_PATIENCE = 60.0
API_MEAN, PAGE_P95, AGE_P99 = 100.0, 500.0, 150.0  # milliseconds
GROWTH, SHARE = 1.15, 0.6  # of memory from the warm start to the end; of a core, for a load client


@dataclass
class Tally:
    """What one kind of client saw while it counted."""

    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, status: int, body: bytes, seconds: float, counts: bool) -> None:
        with self.lock:
            if status >= 400:
                self.errors.append(f"{status} {body[:200]!r}")
            elif status == 201:
                self.ids.append(json.loads(body)["id"])
            if counts:
                self.latencies.append(seconds)

    def quantile(self, share: float) -> float:
        found = sorted(self.latencies)
        return found[min(len(found) - 1, int(share * len(found)))] * 1000 if found else 0.0


class Crowd:
    """Threads that ask, wait a while, and ask again, until told to stop."""

    def __init__(self, port: int, tally: Tally, pause: float) -> None:
        self._port, self.tally, self._pause = port, tally, pause
        self._stop, self.counting = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, streams: Sequence[Iterator[bytes]]) -> None:
        for number, stream in enumerate(streams):
            first = self._pause * number / len(streams)
            thread = threading.Thread(target=self._run, args=(stream, first), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, stream: Iterator[bytes], first: float) -> None:
        self._stop.wait(first)
        connection = Connection(self._port)
        for request in stream:
            if self._stop.is_set():
                break
            counts, began = self.counting.is_set(), time.perf_counter()
            try:
                status, body = connection.ask(request)
            except OSError as error:
                self.tally.add(599, str(error).encode(), 0.0, False)
                connection = Connection(self._port)
                continue
            self.tally.add(status, body, time.perf_counter() - began, counts)
            self._stop.wait(self._pause)
        connection.close()


def pages_of(cookie: str, first: int) -> Iterator[bytes]:
    """Endless requests of one reader, each the next page."""
    for path in itertools.islice(itertools.cycle(PAGES), first, None):
        yield request_bytes("GET", path, more=f"{cookie}Accept-Encoding: gzip\r\n")


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table."""

    name: str
    value: str
    goal: str
    kept: bool

    def line(self) -> str:
        return f"| {self.name} | {self.value} | {self.goal} | {'kept' if self.kept else 'MISSED'} |"


def run(bench: Bench, seconds: float, buyer_pause: float) -> list[Goal]:
    """Set everything up, wait until it is warm, measure for so long, count what became of it."""
    from tests.bench.world import cookie_of

    stack, world = bench.stack, bench.world
    world.fresh()
    cookies = [cookie_of(trader.user) for trader in world.traders[:READERS]]
    beat = [sys.executable if part == "python" else part for part in BEAT.argv]
    beat = [part.format(folder=bench.folder) for part in beat]
    every = SERVER | CLIENT  # nothing is bound to a core, as in production
    with (
        stack.web(cores=every) as sockets_web,
        stack.web(cores=every) as web,
        stack.worker() as worker,
        stack.venue() as venue,
        stack.child("beat", beat, cores=every),
        client_of(bench, sockets_web.port) as client,
    ):
        client.ask(do="open", count=SOCKETS)
        buyers, readers = (
            Crowd(web.port, Tally(), buyer_pause),
            Crowd(web.port, Tally(), READER_PAUSE),
        )
        # Prices move until the last order has had its time to fill.
        with _publisher(bench, seconds + WARM + 2 * FILL_PATIENCE):
            buyers.start([world.orders(n, BUYERS, market=True) for n in range(BUYERS)])
            readers.start([pages_of(cookie, n) for n, cookie in enumerate(cookies)])
            time.sleep(WARM)
            children = {
                "web": web,
                "web for sockets": sockets_web,
                "worker": worker,
                "venue": venue,
            }
            told = _measured(children, client, (buyers, readers), seconds)
            buyers.stop()
            readers.stop()
            fate = _fate(buyers.tally.ids)
    return _goals(buyers.tally, readers.tally, told, fate, seconds)


@dataclass
class Told:
    """What was measured beside latencies: ages, shares of cores, memory."""

    sockets: dict[str, float]
    own_share: float
    shares: dict[str, float]
    before: dict[str, int]
    after: dict[str, int]


def _measured(
    children: dict[str, Child], client: Client, crowds: tuple[Crowd, ...], seconds: float
) -> Told:
    before = {name: child.rss() for name, child in children.items()}
    cpu = {name: child.cpu() for name, child in children.items()}
    began, own = time.perf_counter(), time.process_time()
    for crowd in crowds:
        crowd.counting.set()
    sockets = client.ask(do="measure", seconds=seconds)
    for crowd in crowds:
        crowd.counting.clear()
    wall = time.perf_counter() - began
    return Told(
        sockets,
        (time.process_time() - own) / wall,
        {name: (child.cpu() - cpu[name]) / wall for name, child in children.items()},
        before,
        {name: child.rss() for name, child in children.items()},
    )


def _publisher(bench: Bench, seconds: float):  # type: ignore[no-untyped-def]
    """The feed's commands with the feed's bytes, 10,000 ticks a second."""
    from marketdata.quote_store import TICKS_CHANNEL

    symbols = bench.folder / "symbols.json"
    symbols.write_text(json.dumps(bench.world.symbols))
    argv = [sys.executable, "-m", "tests.bench.publisher", "--url", bench.environment["REDIS_URL"]]
    argv += ["--channel", TICKS_CHANNEL, "--symbols", str(symbols)]
    argv += ["--rate", str(WINDOWS), "--seconds", str(seconds)]
    return bench.stack.child("publisher", argv, cores=CLIENT)


def _fate(ids: list[int]) -> dict[str, int]:
    """What the books say of the orders that were answered with 201, once all had time to fill."""
    from django.db.models import Count

    from trading.models import Order

    orders = Order.objects.filter(placed_by__username__startswith="bench")
    until = time.monotonic() + FILL_PATIENCE
    while orders.exclude(state="filled").exists() and time.monotonic() < until:
        time.sleep(0.5)
    states = orders.values_list("state").annotate(number=Count("pk"))
    print("states of the orders:", dict(states), flush=True)
    known = set(orders.values_list("pk", flat=True))
    return {
        "answered": len(ids),
        "missing": len(set(ids) - known),
        "unanswered": len(known - set(ids)),
        "unfilled": orders.exclude(state="filled").count(),
        "filled": orders.filter(state="filled").count(),
    }


def _goals(
    orders: Tally, pages: Tally, told: Told, fate: dict[str, int], seconds: float
) -> list[Goal]:
    mean = statistics.mean(orders.latencies) * 1000 if orders.latencies else float("inf")
    p95, age = pages.quantile(0.95), told.sockets["age_p99"] * 1000
    errors = [*orders.errors, *pages.errors]
    if errors:
        print("first error:", errors[0], flush=True)
    lost = fate["missing"] + fate["unanswered"] + fate["unfilled"]
    sums = f"{fate['answered']} answered, {fate['filled']} filled, {lost} lost"
    rate = len(orders.latencies) / seconds
    goals = [
        Goal(
            f"API mean, {BUYERS} clients, {rate:.0f} orders/s",
            f"{mean:.0f} ms",
            f"< {API_MEAN:.0f} ms",
            mean < API_MEAN,
        ),
        Goal("API p99", f"{orders.quantile(0.99):.0f} ms", "–", True),
        Goal(
            f"page p95, {READERS} readers, {len(pages.latencies) / seconds:.1f} pages/s",
            f"{p95:.0f} ms",
            f"< {PAGE_P95:.0f} ms",
            0 < p95 < PAGE_P95,
        ),
        Goal(
            f"quote age p99, {SOCKETS:,} sockets, {told.sockets['quotes']:,.0f} quotes/s",
            f"{age:.0f} ms",
            f"< {AGE_P99:.0f} ms",
            age < AGE_P99,
        ),
        Goal("errors", str(len(errors)), "0", not errors),
        Goal("sockets closed", f"{told.sockets['closed']:.0f}", "0", not told.sockets["closed"]),
        Goal("orders", sums, "none lost", not lost),
        Goal(
            "load client, orders and pages",
            f"{told.own_share:.0%} of a core",
            f"< {SHARE:.0%}",
            told.own_share < SHARE,
        ),
        Goal(
            "load client, sockets",
            f"{told.sockets['share']:.0%} of a core",
            f"< {SHARE:.0%}",
            told.sockets["share"] < SHARE,
        ),
    ]
    for name, share in told.shares.items():
        before, after = told.before[name] / 1e6, told.after[name] / 1e6
        goals.append(
            Goal(
                f"{name}: memory, from warm to the end",
                f"{before:.0f} → {after:.0f} MB, {share:.0%} of a core",
                f"≤ {GROWTH - 1:.0%} more",
                after <= before * GROWTH,
            )
        )
    return goals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pause", type=float, default=BUYER_PAUSE, help="of a buyer, in seconds")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # all that runs ends with us
    with Stack() as stack:
        django.setup()
        goals = run(Bench(stack), asked.seconds, asked.pause)
        lines = [
            "| figure | measured | goal | |",
            "|---|---|---|---|",
            *(goal.line() for goal in goals),
        ]
        table = "\n".join(lines)
        print(table, flush=True)
        if asked.seconds >= 120:
            from tests.bench.machine import machine_lines

            section_write(
                "Load",
                f"{machine_lines()}\n- {asked.seconds:.0f} s, a buyer waits "
                f"{asked.pause:g} s between two orders\n\n{table}",
            )
    return 0 if all(goal.kept for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
