"""Mutants of code whose tests need PostgreSQL and Redis: the second half of `make mutants`.

One pytest starts the servers and the test database and holds no connection when it forks; each fork
has one mutant, runs the tests that pass through the changed statement, the fastest first, and ends
at the first that fails. First a fork with the code as it is must pass every test, and per file one
whose functions only raise must fail. `mutants/forked.jsonl` keeps what was found.
"""

import gc
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.mutants_made import Mutant, mutants_of
from tests.mutants_swapped import Swap


def tests(app: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{app}/tests/test_{name}.py" for name in names)


#: Code, and the tests that a mutant of it may meet.
GROUPS = (
    (
        ("speedtrade/lib/ratelimit.py", "accounts/services/tries.py"),
        (
            *tests("speedtrade", "ratelimit"),
            *tests("accounts", "tries", "api_keys", "logins", "second_factor"),
            "trading/tests/test_guard.py::test_what_a_rate_lets_pass_at_most",
        ),
    ),
    (
        ("accounts/tokens.py", "accounts/services/families.py"),
        (*tests("accounts", "tokens"), *tests("speedtrade", "rotation")),
    ),
    (
        tuple(sorted(str(path) for path in Path("portfolio/services").glob("[!_]*.py"))),
        (
            *tests("portfolio", "adjustments", "api", "books", "many_lots", "owned", "pockets"),
            *tests("portfolio", "snapshots", "transfers", "two_owners"),
        ),
    ),
)
FOUND = Path("mutants/forked.jsonl")
KILLED = ("killed", "time", "crash")  # by a test, by the clock, with the whole process
WANTED = 90  # per cent of them
LEAST_SECONDS, TIMES_AS_LONG = 90, 30  # what a test may take, by its time of the processor
SLOW = 0.5  # seconds; such tests measure or race, and fail now and then: they must do so twice
ENOUGH = 10  # seconds of tests: who outlives the fastest counts as alive, to be on the safe side
UNFIT_AT_MOST = 2  # tests that fail without a mutant; they are said, and left out


class Forks:
    """The pytest plugin in the place of the ordinary loop over tests."""

    def __init__(self, paths: list[str], tests: list[str]) -> None:
        self.paths, self.state = paths, fingerprint(tests)
        self.failure = ""
        self.seconds: dict[str, float] = {}
        self.reached: dict[str, dict[int, list[str]]] = {}
        self.killers = Counter[tuple[str, str]]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failure = self.failure or f"{report.nodeid}\n{report.longreprtext}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.session = session
        self.items = {item.nodeid: item for item in session.items}
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all
        first = next(one for one in session.items if "db" in one.fixturenames)  # type: ignore[attr-defined]
        self.test(first)  # the database is there from now on
        self.swaps = {path: Swap(path) for path in self.paths}
        self.clean()
        gc.collect()
        gc.freeze()  # what forks share stays shared
        self.prove()
        found = self.run()
        if not report(found):
            session.testsfailed += 1
        return True

    def test(self, item: pytest.Item) -> bool:
        """Whether it passes; what the session has is kept."""
        self.failure = ""
        limit = LEAST_SECONDS + TIMES_AS_LONG * self.seconds.get(item.nodeid, 60)
        signal.setitimer(signal.ITIMER_REAL, limit)  # it ends the process
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return not self.failure

    def clean(self) -> None:
        """Whatever a fork left: its sessions, its rows. And we hold no connection."""
        from django.db import connection, connections
        from django.test import TransactionTestCase
        from pytest_django.plugin import blocking_manager_key

        with self.session.config.stash[blocking_manager_key].unblock():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            TransactionTestCase._fixture_teardown(None)  # type: ignore[attr-defined, arg-type]  # ours
            connections.close_all()

    def prove(self) -> None:
        """Code as it is passes, put in place as a mutant is; code that only raises fails."""
        clean = forked(self._record)
        if clean["fate"] != "survived":
            raise self.session.Failed(f"without a mutant: {clean.get('unfit', clean)}")
        self.seconds, self.reached = clean["seconds"], clean["reached"]
        self.clean()
        for failure in clean["unfit"]:
            say(f"left out, for it fails without a mutant: {failure}")
        say(f"{len(self.seconds)} tests pass, {sum(self.seconds.values()):.0f} s")
        for path, swap in self.swaps.items():
            through = {one for some in self.reached[path].values() for one in some}
            broken = self.tried(swap, swap.broken(), self._quickest(through))
            if broken["fate"] not in KILLED:
                raise self.session.Failed(f"no test sees that {path} is broken")

    def _record(self) -> dict[str, Any]:
        import coverage

        for swap in self.swaps.values():
            swap.to(swap.text)
        files = [swap.file for swap in self.swaps.values()]
        cover = coverage.Coverage(data_file=None, include=files, config_file=False)
        cover.start()
        seconds, unfit = {}, []
        for name, item in self.items.items():
            for swap in self.swaps.values():
                swap.forget()
            cover.switch_context(name)
            begun = time.process_time()
            if self.test(item):
                seconds[name] = time.process_time() - begun
            else:
                unfit.append(self.failure)
        cover.stop()
        data = cover.get_data()
        reached = {path: data.contexts_by_lineno(swap.file) for path, swap in self.swaps.items()}
        fate = "survived" if len(unfit) <= UNFIT_AT_MOST else "failed"
        return {"fate": fate, "unfit": unfit, "seconds": seconds, "reached": reached}

    def tried(self, swap: Swap, source: str, tests: list[str]) -> dict[str, Any]:
        answer = forked(lambda: self._try(swap, source, tests))
        if answer["fate"] == "broken":  # by us: no kill
            raise self.session.Failed(answer["by"])
        if answer["fate"] in ("time", "crash"):  # its last test did not tidy up
            self.clean()
        return answer

    def _try(self, swap: Swap, source: str, tests: list[str]) -> dict[str, Any]:
        try:
            swap.to(source)
        except Exception as error:
            return {"fate": "killed", "by": f"import: {error}"}
        for name in tests:
            if not self.test(self.items[name]):
                return {"fate": "killed", "by": name}
        return {"fate": "survived"}

    def run(self) -> list[dict[str, Any]]:
        """What became of each mutant; what is known is not tried again."""
        known, found = earlier(), []
        for path in self.paths:
            for mutant in mutants_of(path):
                old = known.get(mutant.key)
                if old is None or (old["fate"] not in KILLED and old["tests"] != self.state):
                    old = self.fate(mutant) | {"tests": self.state}
                    keep(old)
                found.append(old)
            say(line_of(path, [one for one in found if one["path"] == path]))
        return found

    def fate(self, mutant: Mutant) -> dict[str, Any]:
        """Kills by a slow test count when they happen again: it may have been the machine."""
        swap, tests = self.swaps[mutant.path], self._tests(mutant)
        answer = {"fate": "unreached"}
        if tests:
            answer = self.tried(swap, mutant.source, tests)
        by = answer.get("by", "")
        if self.seconds.get(by, 0) > SLOW:
            again = [by, *(one for one in tests if one != by)]
            answer = self.tried(swap, mutant.source, again)
        self.killers[mutant.function, by] += 1
        about = {"key": mutant.key, "path": mutant.path, "function": mutant.function}
        if answer["fate"] not in KILLED:
            say(f"{answer['fate']}: {mutant.path} {mutant.function}\n{mutant.diff}")
        return about | {"diff": mutant.diff, "of": len(tests)} | answer

    def _tests(self, mutant: Mutant) -> list[str]:
        lines = self.reached[mutant.path]
        through = {one for line in mutant.lines for one in lines.get(str(line), ())}
        quickest = self._quickest(through, mutant.function)
        until = accumulate(self.seconds[one] for one in quickest)
        known = zip(quickest, until, strict=True)
        return [one for one, sofar in known if sofar < ENOUGH] or quickest[:1]

    def _quickest(self, through: set[str], function: str = "") -> list[str]:
        """First who has killed others of that function."""
        known = [one for one in through if one in self.seconds]
        return sorted(known, key=lambda one: (-self.killers[function, one], self.seconds[one]))


def forked(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns in a fork of this process, which ends without a farewell to anybody."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            with os.fdopen(write, "w") as answer:
                json.dump(answered(work), answer)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"fate": "time" if os.WTERMSIG(status) == signal.SIGALRM else "crash"}
    return dict(json.loads(told)) if told else {"fate": "crash"}


def answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` returns, or that this machinery failed: what a test raises, pytest has caught."""
    try:
        return work()
    except BaseException:
        return {"fate": "broken", "by": traceback.format_exc()}


def fingerprint(tests: list[str]) -> str:
    """Who survived other tests is tried again."""
    texts = b"".join(Path(name.partition("::")[0]).read_bytes() for name in tests)
    return hashlib.sha256(texts).hexdigest()[:16]


def earlier() -> dict[str, dict[str, Any]]:
    lines = FOUND.read_text().splitlines() if FOUND.exists() else []
    return {one["key"]: one for one in map(json.loads, lines)}


def keep(found: dict[str, Any]) -> None:
    FOUND.parent.mkdir(exist_ok=True)
    with FOUND.open("a") as file:
        file.write(json.dumps(found) + "\n")


def report(found: list[dict[str, Any]]) -> bool:
    """The table of docs/mutants.md, and who lived; whether enough were killed."""
    for one in found:
        if one["fate"] not in KILLED:
            say(f"{one['fate']}: {one['path']} {one['function']}\n{one['diff']}")
    for path in dict.fromkeys(one["path"] for one in found):
        say(line_of(path, [one for one in found if one["path"] == path]))
    say(line_of("all", found))
    killed = sum(one["fate"] in KILLED for one in found)
    return 100 * killed >= WANTED * len(found)


def line_of(path: str, found: list[dict[str, Any]]) -> str:
    fates = Counter(one["fate"] for one in found)
    killed = sum(fates[fate] for fate in KILLED)
    share = 100 * killed / max(1, len(found))
    more = "".join(f", {fates[fate]} by {fate}" for fate in KILLED[1:] if fates[fate])
    return f"| `{path}` | {len(found)} | {killed} ({share:.1f} %{more}) |"


def say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


def main(wanted: list[str]) -> int:
    paths, tests = [], dict[str, None]()
    for code, theirs in GROUPS:
        mine = [path for path in code if not wanted or any(one in path for one in wanted)]
        paths += mine
        tests |= dict.fromkeys(theirs if mine else ())
    if not paths:
        say(f"nothing is named like {', '.join(wanted)}; parts of paths of GROUPS are")
        return 2
    options = ["-q", "-s", "-p", "no:cacheprovider", "-m", "not (e2e or lives or chaos or serial)"]
    return int(pytest.main([*options, *tests], plugins=[Forks(paths, list(tests))]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
