"""The servers and processes of a run: what is measured has one core, who measures the other.

PostgreSQL and Valkey are the embedded ones, with fsync on, in a folder of their own, and may run on
either core. All processes end with the run.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from speedtrade.datafolder import PROJECT, secrets_ensure
from speedtrade.embedded import die_with_parent, embedded_servers
from speedtrade.processes import VENUE, WEB, WORKER, Process
from speedtrade.testing.product import free_port
from speedtrade.testing.waiting import wait_until

PRODUCT, EXTRAS = "speedtrade.asgi:application", "tests.bench.asgi:application"
WORKER_SIGN = "st:heartbeat:worker"
START = 90.0  # seconds
CORES = sorted(os.sched_getaffinity(0))
SERVER, CLIENT = {CORES[0]}, {CORES[-1]}


@dataclass
class Child:
    """A process of ours. `tree` is it and what it forked."""

    name: str
    popen: "subprocess.Popen[Any]"
    port: int = 0
    log: Path = Path()
    process: psutil.Process = field(init=False)

    def __post_init__(self) -> None:
        self.process = psutil.Process(self.popen.pid)

    def tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of processor that its tree has used so far."""
        total = 0.0
        for one in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def rss(self) -> int:
        """Bytes of memory that its tree has to itself."""
        total = 0
        for one in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_full_info().uss
        return total


class Stack:
    """Everything that a run starts. Inside its `with`, `django.setup()` finds the servers."""

    def __init__(self) -> None:
        self._exits = contextlib.ExitStack()
        self.environment: dict[str, str] = {}
        self.folder = Path()

    def __enter__(self) -> "Stack":
        _forget_surroundings()
        self.folder = Path(tempfile.mkdtemp(prefix="speedtrade-bench-"))
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        database_url, redis_url = self._exits.enter_context(embedded_servers(self.folder))
        secrets = secrets_ensure(self.folder)
        self.environment = {
            "SPEEDTRADE_ENV": "development",
            "SPEEDTRADE_DATA_DIR": str(self.folder),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
            "CELERY_SKIP_CHECKS": "1",
            "PYTHONWARNINGS": "ignore",
            **{name: secrets[name] for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "FIELD_KEYS")},
        }
        os.environ.update(self.environment)
        (self.folder / "static").mkdir()
        self.run_once([sys.executable, "manage.py", "prepare"])
        os.sched_setaffinity(0, CLIENT)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def run_once(self, argv: Sequence[str]) -> None:
        """A command to its end; raises CalledProcessError, its output on the terminal."""
        subprocess.run(argv, cwd=PROJECT, env={**os.environ}, check=True, stdout=subprocess.DEVNULL)

    @contextlib.contextmanager
    def child(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cores: set[int],
        ready: Callable[["Child"], bool] = lambda child: True,
        extra: Mapping[str, str] | None = None,
        talk: bool = False,
        port: int = 0,
    ) -> Iterator[Child]:
        """A process while the block runs. With `talk`, its stdin and stdout are pipes of text."""
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        pipe = subprocess.PIPE if talk else None
        tie = die_with_parent(signal.SIGKILL)

        def before() -> None:
            os.sched_setaffinity(0, cores)
            if tie is not None:
                tie()

        with log.open("w") as out:
            popen = subprocess.Popen(
                argv,
                cwd=PROJECT,
                env={**os.environ, **(extra or {})},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or out,
                stderr=out,
                text=talk,
                preexec_fn=before,
            )
        child = Child(name, popen, port, log)
        try:
            wait_until(
                lambda: popen.poll() is not None or ready(child), START, f"{name} is not ready"
            )
            if popen.poll() is not None:
                raise RuntimeError(f"{name} ended: {log.read_text()[-2000:]}")
            yield child
        finally:
            self._end(child)

    def _end(self, child: Child) -> None:
        if child.popen.poll() is None:
            child.popen.terminate()
            try:
                child.popen.wait(10)
            except subprocess.TimeoutExpired:
                for one in child.tree():
                    one.kill()
                child.popen.wait()
        for pipe in (child.popen.stdin, child.popen.stdout):
            if pipe is not None:
                pipe.close()

    @contextlib.contextmanager
    def web(self, app: str = PRODUCT, *, cores: set[int] = SERVER, **extra: str) -> Iterator[Child]:
        """One web process of the product, on the core of the servers unless told otherwise."""
        port = free_port()
        argv = [*self._command(WEB, port)[:-1], app]
        with self.child("web", argv, cores=cores, ready=_answers, extra=extra, port=port) as web:
            yield web

    @contextlib.contextmanager
    def worker(self, *more: str, app: str = "speedtrade") -> Iterator[Child]:
        """One worker, as the product runs it; ready when it has swept once."""
        from speedtrade.lib.redis import redis_client

        redis_client().delete(WORKER_SIGN)
        argv = [app if part == "speedtrade" else part for part in self._command(WORKER, 0)]
        cores = {*SERVER, *CLIENT}
        with self.child("worker", [*argv, *more], cores=cores, ready=_took_work) as worker:
            yield worker

    @contextlib.contextmanager
    def venue(self) -> Iterator[Child]:
        """The venue process."""
        cores = {*SERVER, *CLIENT}
        with self.child("venue", self.venue_command(), cores=cores, ready=venue_started) as venue:
            yield venue

    def venue_command(self) -> list[str]:
        """Its command line, for who starts more than one."""
        return self._command(VENUE, 0)

    def _command(self, process: Process, port: int) -> list[str]:
        values = {"bind": "127.0.0.1", "port": str(port), "folder": str(self.folder)}
        return [sys.executable if part == "python" else part for part in process.command(values)]


def _forget_surroundings() -> None:
    """Settings in the shell of whoever measures must not change what is measured."""
    for line in (PROJECT / ".env.example").read_text().splitlines():
        name = line.lstrip("# ").partition("=")[0]
        if "=" in line and name.isidentifier():
            os.environ.pop(name, None)
            os.environ.pop(f"{name}_FILE", None)


def _answers(child: Child) -> bool:
    with contextlib.suppress(OSError):
        urlopen(f"http://127.0.0.1:{child.port}/bench/nothing", timeout=5).close()
        return True
    return False


def _took_work(child: Child) -> bool:
    from speedtrade.lib.redis import redis_client

    return bool(redis_client().exists(WORKER_SIGN))


def venue_started(child: Child) -> bool:
    """Whether it holds the lease and matches."""
    return "venue_started" in child.log.read_text()
