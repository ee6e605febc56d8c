"""Our own processes beside a test: real, on the test's database, and told where to die."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from speedtrade.datafolder import PROJECT
from speedtrade.embedded import die_with_parent
from speedtrade.processes import WORKER, Process

GRACE = 20  # seconds


def surroundings(folder: Path) -> dict[str, str]:
    """As in real life (wake-ups in the background, no test settings), on the test's servers."""
    database = connection.settings_dict
    return {
        "SPEEDTRADE_ENV": "development",
        "SPEEDTRADE_DATA_DIR": str(folder),
        "DATABASE_URL": "postgresql://{}@{}/{}".format(
            database["USER"], quote(database["HOST"], safe=""), database["NAME"]
        ),
        "REDIS_URL": settings.REDIS_URL,
        "LOG_LEVEL": "WARNING",
    }


class Fleet:
    """Start and end processes by name; each writes to `<folder>/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.surroundings: dict[str, str] = {}  # what else the processes find in their environment
        self._logs: list[IO[bytes]] = []

    def start(self, process: Process, crash: str = "") -> subprocess.Popen[bytes]:
        """Run a process of ours; `crash` is "point" or "point:nth" of speedtrade/lib/crash.py."""
        argv = process.command({"folder": str(self.folder), "bind": "", "port": ""})
        if process is WORKER:
            argv.append("--pool=solo")  # the process that dies is then the worker, not its pool's
        return self.run(process.name, argv[1:], crash)

    def run(self, name: str, arguments: list[str], crash: str = "") -> subprocess.Popen[bytes]:
        """Run Python with these arguments under this name."""
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        self.running[name] = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env={**os.environ, **self.environment(), "SPEEDTRADE_CRASH": crash},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        return self.running[name]

    def environment(self) -> dict[str, str]:
        return {**surroundings(self.folder), **self.surroundings}

    def finish(self, process: Process) -> None:
        """End one of them, and wait."""
        running = self.running[process.name]
        running.terminate()
        try:
            running.wait(GRACE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()

    def end(self) -> None:
        """End all of them, and wait."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in self._logs:
            log.close()

    def words(self) -> str:
        """The end of every log, for the message of a test that failed."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"-- {path.stem}\n{path.read_text()[-1500:]}" for path in paths)
