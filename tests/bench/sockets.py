"""The hub, beside a bare one on picows and beside groups of the channel layer.

The server has one core; the publisher and the client, which counts, share the other one. Only one
server is sent ticks at a time: each listens on a channel of its own.
"""

import contextlib
import json
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from tests.bench.context import Bench
from tests.bench.stack import CLIENT, EXTRAS, SERVER, Child, free_port
from tests.bench.table import Limit, Row, judge

SOCKETS, MORE = 1_000, 2_000
WINDOWS = 20  # a second, with every symbol in each: 10,000 ticks a second
FLUSH, PER_SOCKET = 0.1, 0.0001  # as settings.WS_FLUSH_PERIOD and pace.PER_SOCKET
FULL_FLUSH_MS = 10  # a period that no server keeps up with, and windows of as long:
FULL_TURNS = 5  # a fifth of the symbols in each, so that every socket has news in every window
GROUP_TICKS = 500  # a second: 10,000 messages to deliver
FLOOR_CHANNEL = "bench:ticks"
FRAMES = Limit(15, 22, "%", least=True)
GROUPS = Limit(15, 40, least=True)
AGE, AGE_ABSOLUTE = Limit(1.5, 1.1), Limit(100, 100, "ms")
AGE_MORE = Limit(100, 75, "ms")
MEMORY = Limit(60, 40, "KB")


class Client:
    """The process with the sockets."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def ask(self, **command: Any) -> dict[str, Any]:
        pipes = self._child.popen
        assert pipes.stdin is not None and pipes.stdout is not None
        pipes.stdin.write(json.dumps(command) + "\n")
        pipes.stdin.flush()
        line = pipes.stdout.readline()
        if not line:
            raise RuntimeError(f"the client ended: {self._child.log.read_text()[-1500:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def client_of(bench: Bench, port: int, path: str = "/ws") -> Iterator[Client]:
    wishes = bench.folder / "wishes.json"
    wishes.write_text(json.dumps(bench.world.subscriptions(MORE)))
    argv = [sys.executable, "-m", "tests.bench.socket_client", "--port", str(port)]
    argv += ["--path", path, "--wishes", str(wishes)]
    with bench.stack.child("sockets", argv, cores=CLIENT, talk=True) as child:
        yield Client(child)


@contextlib.contextmanager
def floor_hub(bench: Bench, *, full: bool) -> Iterator[Child]:
    """The bare hub; `full`: with a period that fills it up."""
    port = free_port()
    argv = [sys.executable, "-m", "tests.bench.picows_hub", "--port", str(port)]
    argv += ["--url", bench.environment["REDIS_URL"], "--channel", FLOOR_CHANNEL]
    argv += ["--period", str(FULL_FLUSH_MS / 1000 if full else FLUSH)]
    argv += ["--per-socket", str(0 if full else PER_SOCKET)]

    def ready(child: Child) -> bool:
        return "ready" in child.log.read_text()

    with bench.stack.child("picows", argv, cores=SERVER, ready=ready, port=port) as child:
        yield child


def measured(
    bench: Bench, server: Child, client: Client, channel: str, seconds: float, *more: str
) -> dict[str, Any]:
    """Publish, count, and add the server's and the publisher's share of a core."""
    symbols = bench.folder / "symbols.json"
    symbols.write_text(json.dumps(bench.world.symbols))
    argv = [sys.executable, "-m", "tests.bench.publisher", "--url", bench.environment["REDIS_URL"]]
    argv += ["--channel", channel, "--symbols", str(symbols), "--seconds", str(seconds + 3), *more]
    if "--rate" not in more:
        argv += ["--rate", str(WINDOWS)]
    with bench.stack.child("publisher", argv, cores=CLIENT, talk=True) as publisher:
        client.ask(do="measure", seconds=0.5)  # the publisher has begun when this second is over
        before = server.cpu()
        told = client.ask(do="measure", seconds=seconds)
        told["server"] = (server.cpu() - before) / (seconds + 1)
        assert publisher.popen.stdout is not None
        published = json.loads(publisher.popen.stdout.readline())
    if told["closed"]:
        raise RuntimeError(f"{told['closed']} sockets were closed")
    return told | {"ticks": published["ticks"], "publisher": published["share"]}


def _shares(told: list[dict[str, Any]]) -> str:
    parts = (
        (name, statistics.median(one[key] for one in told))
        for name, key in (("client", "share"), ("publisher", "publisher"), ("server", "server"))
    )
    ticks = statistics.median(one["ticks"] for one in told)
    return (
        f"{ticks:,.0f} ticks/s; "
        + ", ".join(f"{name} {share:.0%}" for name, share in parts)
        + " of a core"
    )


def _median(told: list[dict[str, Any]], key: str) -> float:
    return statistics.median(one[key] for one in told)


def _seconds(bench: Bench) -> float:
    return 3 if bench.quick else 4


def _channel() -> str:
    from marketdata.quote_store import TICKS_CHANNEL

    return TICKS_CHANNEL


def saturated(bench: Bench) -> Iterator[Row]:
    """hub_frames: frames a second of a full core.

    Divided by what the server used of its core, or a machine that does other things would say less.
    """
    ours, floors = [], []
    more = ("--rate", str(WINDOWS * FULL_TURNS), "--turns", str(FULL_TURNS))
    with (
        bench.stack.web(EXTRAS, BENCH_FLUSH_MS=str(FULL_FLUSH_MS)) as web,
        client_of(bench, web.port) as client,
        floor_hub(bench, full=True) as floor,
        client_of(bench, floor.port) as floor_client,
    ):
        client.ask(do="open", count=SOCKETS)
        floor_client.ask(do="open", count=SOCKETS)
        for _ in range(bench.repetitions):
            for told, server, its, channel in (
                (ours, web, client, _channel()),
                (floors, floor, floor_client, FLOOR_CHANNEL),
            ):
                told.append(measured(bench, server, its, channel, _seconds(bench), *more))
    yield judge(
        "hub_frames",
        statistics.median(one["frames"] / one["server"] for one in ours),
        FRAMES,
        unit="/s",
        floor=statistics.median(one["frames"] / one["server"] for one in floors),
        note=f"per core; {SOCKETS:,} sockets, a period of {FULL_FLUSH_MS} ms; ours, "
        f"{_median(ours, 'frames'):,.0f}/s: {_shares(ours)}; floor, picows, "
        f"{_median(floors, 'frames'):,.0f}/s: {_shares(floors)}",
    )


def ages(bench: Bench) -> Iterator[Row]:
    """socket_memory, quote_age_p99_1000, quote_age_p99_2000."""
    ours, floors = [], []
    with (
        bench.stack.web() as web,
        client_of(bench, web.port) as client,
        floor_hub(bench, full=False) as floor,
        client_of(bench, floor.port) as floor_client,
    ):
        client.ask(do="open", count=SOCKETS // 10)
        client.ask(do="measure", seconds=1)
        before = web.rss()
        client.ask(do="open", count=SOCKETS)
        client.ask(do="measure", seconds=1)
        floor_client.ask(do="open", count=SOCKETS)
        for _ in range(bench.repetitions):
            ours.append(measured(bench, web, client, _channel(), _seconds(bench)))
            floors.append(measured(bench, floor, floor_client, FLOOR_CHANNEL, _seconds(bench)))
        each = (web.rss() - before) / (SOCKETS - SOCKETS // 10)
        client.ask(do="open", count=MORE)
        more = [
            measured(bench, web, client, _channel(), _seconds(bench))
            for _ in range(bench.repetitions)
        ]
    yield judge(
        "quote_age_p99_1000",
        _median(ours, "age_p99") * 1000,
        AGE,
        unit="ms",
        floor=_median(floors, "age_p99") * 1000,
        also=AGE_ABSOLUTE,
        note=f"p50 {_median(ours, 'age_p50') * 1000:.0f} ms; {_median(ours, 'frames'):,.0f} frames "
        f"and {_median(ours, 'quotes'):,.0f} quotes a second; ours: {_shares(ours)}; "
        f"floor, picows: {_shares(floors)}",
    )
    yield judge(
        "quote_age_p99_2000",
        _median(more, "age_p99") * 1000,
        AGE_MORE,
        unit="ms",
        note=f"p50 {_median(more, 'age_p50') * 1000:.0f} ms; {_median(more, 'frames'):,.0f} frames "
        f"a second; {_shares(more)}",
    )
    yield judge(
        "socket_memory",
        each / 1000,
        MEMORY,
        unit="KB",
        note=f"what {SOCKETS // 10} to {SOCKETS:,} sockets add to the web process, each",
    )


def groups(bench: Bench) -> Iterator[Row]:
    """hub_vs_groups: quotes that arrive a second, at 1,000 sockets."""
    ours, floors = [], []
    with (
        bench.stack.web() as web,
        client_of(bench, web.port) as client,
        bench.stack.web(EXTRAS) as other,
        client_of(bench, other.port, "/ws/bench/groups") as other_client,
    ):
        client.ask(do="open", count=SOCKETS)
        other_client.ask(do="open", count=SOCKETS)
        for _ in range(bench.repetitions):
            ours.append(measured(bench, web, client, _channel(), _seconds(bench)))
            more = ("--groups", "--rate", str(GROUP_TICKS))
            floors.append(measured(bench, other, other_client, "-", _seconds(bench), *more))
    yield judge(
        "hub_vs_groups",
        _median(ours, "quotes"),
        GROUPS,
        unit="/s",
        floor=_median(floors, "quotes"),
        note=f"{SOCKETS:,} sockets, 10 symbols each; ours: {_shares(ours)}; groups, which were "
        f"offered {GROUP_TICKS * SOCKETS * 10 // len(bench.world.symbols):,} a second: "
        f"{_shares(floors)}",
    )
