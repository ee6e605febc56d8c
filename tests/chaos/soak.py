"""`make soak`: half an hour of orders on the whole product, while its processes are killed by dice.

Several users trade by the API, each order with its own key; every few seconds a process of a random
kind gets SIGKILL, and Redis too. Then all is left in peace, and what must hold is looked at, a line
each. Exit code 1 when something does not.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import psutil

from speedtrade.datafolder import PROJECT
from speedtrade.processes import BROKERS, WEB, WORKER, Process
from speedtrade.supervisor import MARK
from speedtrade.testing.product import free_port
from speedtrade.testing.running import Running
from speedtrade.testing.waiting import wait_until
from tests.bench.load import Goal
from tests.bench.table import section_write
from tests.chaos.memory import Memory, tree
from tests.chaos.traffic import HOUSE, NO_ANSWER, Answer, Trader, Traffic, ready

DOCS = PROJECT / "docs" / "reliability.md"
FULL = 1800  # seconds from which a run counts, and is written down
TRADERS, RATE, HANDS = 8, 20.0, 2
HEAD = ("| figure | measured | goal | |", "|---|---|---|---|")
SETTLED = 300  # seconds in which the backlog is worked off, once nobody kills any more
OLD = 60  # seconds that no row of the outbox may wait, at the end
PAUSE = (4.0, 14.0)  # seconds between two kills
#: What is killed: the words of its command line, and how often it is chosen.
VICTIMS = {
    "web": ("speedtrade.web", 3),
    "worker": ("--concurrency=2", 3),
    "brokers": ("--queues=brokers", 1),
    "feed": ("run_feed", 2),
    "venue": ("run_brokers", 3),
    "beat": ("speedtrade beat", 1),
    "redis": ("valkey-server", 2),
}
#: Of these there is only one, so that nothing of theirs would live long enough to be measured.
SPARED_AT_THE_END = {"feed", "venue", "beat"}


class Hand(Traffic):
    """Buys two, sells one, small market orders; logs in again when its token has run out."""

    def order(self, key: str, port: int | None = None) -> Answer:
        side = "sell" if int(key.rpartition("-")[2]) % 3 == 2 else "buy"
        body = {
            "symbol": "AAPL",
            "asset_type": "stock",
            "side": side,
            "order_type": "market",
            "qty": "0.1",
            "time_in_force": "gtc",
        }
        answer = self.trader.order(key, port, body)
        if answer.status == 401:
            with suppress(AssertionError):  # nobody answers: the next one tries again
                self.trader.login()
            answer = self.trader.order(key, port, body)
        return answer


@dataclass
class Killer:
    """Ends a process of the house now and then, in a thread of its own, until `over`."""

    house: Running
    dice: random.Random
    seconds: float
    spared: set[int]
    over: threading.Event = field(default_factory=threading.Event)
    kills: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        began = time.monotonic()
        while not self.over.wait(self.dice.uniform(*PAUSE)):
            at = time.monotonic() - began
            names = list(VICTIMS)
            name = self.dice.choices(names, [VICTIMS[one][1] for one in names])[0]
            if at > self.seconds * 2 / 3 and name in SPARED_AT_THE_END:
                continue
            victim = self._victim(VICTIMS[name][0])
            if victim is not None:
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                    self.kills[name] += 1
                    print(f"{at:6.0f} s  kill {name} ({victim.pid})", flush=True)

    def _victim(self, part: str) -> psutil.Process | None:
        """The process of this kind, or one of its pool; None where it is starting just now."""
        found = [one for one in self.house.children(part) if one.pid not in self.spared]
        return self.dice.choice(found) if found else None


@contextmanager
def beside(house: Running, process: Process, folder: Path, port: int) -> Iterator[int]:
    """One more process of a kind, which nobody kills: its memory is what is measured."""
    values = {"bind": "127.0.0.1", "port": str(port), "folder": str(folder)}
    argv = [part.replace("brokers@%h", "more-brokers@%h") for part in process.command(values)]
    if process is WORKER:
        argv.append("--hostname=more@%h")
    with (folder / f"more-{process.name}.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, *argv[1:]],
            cwd=PROJECT,
            env=house.environment | {MARK: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def run(folder: Path, seconds: float, seed: int) -> list[Goal]:
    """Start everything, trade and kill for so long, wait for quiet, and look."""
    house = Running(folder, free_port(), **HOUSE)
    try:
        house.until(r"ready after|it serves, but")
        house.until_well()
        with ExitStack() as more:
            port = free_port()
            kept = {
                process.name: more.enter_context(beside(house, process, folder, port))
                for process in (WEB, WORKER, BROKERS)
            }
            wait_until(lambda: ready(port), 60, "the second web process is ready")
            traders = [Trader(f"soak-{n}", house.port, port) for n in range(TRADERS)]
            spared = {one.pid for pid in kept.values() for one in tree(pid)}
            killer = Killer(house, random.Random(seed), seconds, spared)
            return _measured(killer, traders, Memory(folder, seconds, kept))
    finally:
        house.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            house.process.wait(60)
        house.end()


def _measured(killer: Killer, traders: list[Trader], memory: Memory) -> list[Goal]:
    house = killer.house
    threads = [threading.Thread(target=one, daemon=True) for one in (killer.run, memory.run)]
    with ExitStack() as hands:
        traffic = [hands.enter_context(Hand(trader, RATE / TRADERS, HANDS)) for trader in traders]
        for thread in threads:
            thread.start()
        time.sleep(killer.seconds)  # the length of the run is the point of it
        killer.over.set()
        memory.over.set()
    for thread in threads:
        thread.join(30)
    house.until_well()
    ended = [list(_ended(one)) for one in traffic]
    kills = ", ".join(f"{n} {k}" for k, n in killer.kills.most_common())
    goals = chain(
        [Goal("orders asked for", f"{sum(len(t.answers) for t in traffic)}", "–", True)],
        [Goal("kills", kills, "–", True)],
        (Goal(*row) for row in memory.rows()),
        _books(house, traders, traffic, ended),
    )
    return [_told(goal) for goal in goals]


def _told(goal: Goal) -> Goal:
    """Printed at once: a look that breaks takes none of those before it along."""
    print(goal.line(), flush=True)
    return goal


def _ended(hand: Hand) -> Iterator[Answer]:
    """What each key came to: what nobody answered is asked again, as a client would."""
    for answer in hand.answers:
        again = answer.status == NO_ANSWER or answer.status >= 500 or answer.status == 401
        yield hand.order(answer.key) if again else answer


def _books(
    house: Running, traders: list[Trader], traffic: list[Hand], ended: list[list[Answer]]
) -> Iterator[Goal]:
    """Every order that was answered is there once, here and at the venue, and all adds up."""
    began = time.monotonic()
    with suppress(AssertionError):
        wait_until(lambda: not _open(house), SETTLED, "all is told")
    left = _open(house)
    if left:
        print(_words(house), flush=True)
    yield Goal(
        "quiet after the last order",
        f"{time.monotonic() - began:.0f} s, {left} left open",
        f"≤ {SETTLED} s, 0",
        not left,
    )
    statuses = Counter(answer.status for hand in traffic for answer in hand.answers)
    told = ", ".join(f"{n} × {status}" for status, n in statuses.most_common())
    yield Goal("answers (0: none)", told, "–", True)
    final = [answer for answers in ended for answer in answers if answer.status in {200, 201}]
    bad = [a for answers in ended for a in answers if a.status == NO_ANSWER or a.status >= 500]
    yield Goal("without an answer when asked again", str(len(bad)), "0", not bad)
    first = {a.key: a.body["id"] for hand in traffic for a in hand.answers if a.status == 201}
    ids = {answer.key: answer.body["id"] for answer in final}
    moved = [key for key in first if ids.get(key) != first[key]]
    doubled = len(ids) - len(set(ids.values()))
    listed = Counter(order["id"] for trader in traders for order in trader.orders())
    lost = set(ids.values()) - listed.keys()
    stray = listed.keys() - set(ids.values())
    kept = not (lost or moved or doubled or stray)
    yield Goal(
        "orders answered",
        f"{len(ids)}; {len(lost)} lost, {doubled} doubled, {len(stray)} of no key",
        "each there once",
        kept and bool(ids),
    )
    yield from _venue(house)
    yield from _old(house)
    yield _ledger(house)


def _open(house: Running) -> int:
    """What has not come to its end: submissions, and orders here and at the venue."""
    found = house.database(
        "SELECT (SELECT count(*) FROM trading_submission WHERE done_at IS NULL)"
        " + (SELECT count(*) FROM trading_order WHERE closed_at IS NULL)"
    )
    return int(found[0])


def _words(house: Running) -> str:
    """How what is left stands, for whoever must find out why."""
    rows = house.database(
        "SELECT string_agg(concat_ws(' ', o.id, o.state, o.updated_at, s.claimed_at, s.done_at,"
        " s.attempts, s.sends, s.last_error), E'\\n') FROM trading_order o"
        " JOIN trading_submission s ON s.order_id = o.id WHERE o.closed_at IS NULL"
    )
    return f"{rows[0]}\n{''.join(house.lines[-80:])}"


def _venue(house: Running) -> Iterator[Goal]:
    ours = house.database(
        "SELECT count(*), count(*) FILTER (WHERE n = 0 AND sent), count(*) FILTER (WHERE n > 1)"
        " FROM (SELECT o.id, o.submitted_at IS NOT NULL AND o.reject_code = '' AS sent,"
        " (SELECT count(*) FROM trading_paperorder p"
        " WHERE p.client_order_id = o.client_order_id) AS n FROM trading_order o) AS counted"
    )
    stray = house.database(
        "SELECT count(*) FROM trading_paperorder p WHERE NOT EXISTS (SELECT FROM trading_order o"
        " WHERE o.client_order_id = p.client_order_id)"
    )[0]
    missing, doubled = ours[1:]
    yield Goal(
        "at the venue",
        f"{missing} missing, {doubled} doubled, {stray} not ours",
        "0, 0, 0",
        not (missing or doubled or stray),
    )
    fills = house.database(
        "SELECT (SELECT count(*) FROM trading_fill), (SELECT count(*) FROM trading_paperfill),"
        " (SELECT coalesce(sum(qty), 0) FROM trading_fill)"
        " - (SELECT coalesce(sum(qty), 0) FROM trading_paperfill)"
    )
    yield Goal(
        "fills, here and at the venue",
        f"{fills[0]} and {fills[1]}",
        "the same",
        fills[0] == fills[1] and not fills[2],
    )


def _old(house: Running) -> Iterator[Goal]:
    old = house.database(
        "SELECT count(*) FROM trading_submission WHERE done_at IS NULL"
        " AND created_at < now() - make_interval(secs => %s)",
        OLD,
    )[0]
    parked = house.database("SELECT count(*) FROM trading_parkedtask")[0]
    flying = house.database(
        "SELECT count(*) FROM trading_order WHERE state IN ('pending', 'submitting', 'lost')"
    )[0]
    yield Goal(f"outbox rows older than {OLD} s", str(old), "0", not old)
    yield Goal(
        "orders in flight, lost; work put aside",
        f"{flying}; {parked}",
        "0; 0",
        not flying and not parked,
    )
    queued = _queued(house)
    yield Goal("tasks that wait at the end", str(queued), "≤ 20", queued <= 20)


def _queued(house: Running) -> int:
    import redis
    from django.conf import settings

    from speedtrade.env import read_json

    client = redis.Redis.from_url(read_json(house.folder / "runtime.json")["REDIS_URL"])
    names = (settings.CELERY_TASK_DEFAULT_QUEUE, settings.BROKERS_QUEUE)
    return sum(int(client.llen(f"{settings.QUEUE_PREFIX}{name}")) for name in names)  # type: ignore[arg-type]


def _ledger(house: Running) -> Goal:
    began = time.monotonic()
    checked = subprocess.run(
        [sys.executable, "manage.py", "check_ledger"],
        cwd=PROJECT,
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if checked.returncode:
        print(checked.stdout + checked.stderr, flush=True)
    words = "0 differences" if not checked.returncode else f"{checked.stdout[-200:]}".strip()
    took = f", in {time.monotonic() - began:.0f} s"
    return Goal("check_ledger", words + took, "0 differences", not checked.returncode)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")  # names of queues
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL)
    parser.add_argument("--seed", type=int, default=None, help="of the kills")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # all that runs ends with us
    print(f"seed {seed}, {asked.seconds:.0f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="speedtrade-soak-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        figures = run(folder, asked.seconds, seed)
    table = "\n".join([*HEAD, *(one.line() for one in figures)])
    kept = all(figure.kept for figure in figures)
    print("everything held" if kept else "SOMETHING BROKE", flush=True)
    if asked.seconds >= FULL:
        when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        loads = " / ".join(f"{load:.2f}" for load in os.getloadavg())
        words = f"{asked.seconds:.0f} s, seed {seed}, {os.cpu_count()} cores, {when}"
        section_write("The last soak", f"{words}, load at the end {loads}.\n\n{table}", DOCS)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
