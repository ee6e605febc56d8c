"""The whole product in a process of its own: heard line by line, and ended part by part."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg

from speedtrade.datafolder import PROJECT
from speedtrade.env import read_json
from speedtrade.healthcheck import ask_health
from speedtrade.supervisor import MARK
from speedtrade.testing.product import NOT_INHERITED
from speedtrade.testing.waiting import wait_until

START = 240  # seconds for a start on a machine that is busy; alone it takes about ten


def of_folder(folder: Path) -> list[psutil.Process]:
    """Every living process of a run on this folder: its children by mark, its servers by place."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get(MARK) == str(folder)
            if (ours or Path(process.cwd()).is_relative_to(folder)) and (
                process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


class Running:
    """`manage.py up` in a process of its own, its lines collected as they come."""

    def __init__(self, folder: Path, port: int, **settings: str) -> None:
        """Begin to start it; `settings` are environment variables beside those of the folder."""
        self.folder, self.port = folder, port
        self.lines: list[str] = []
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.environment = inherited | {"SPEEDTRADE_DATA_DIR": str(folder)} | settings
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, pattern: str) -> list[str]:
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def until(self, pattern: str, seconds: float = START, times: int = 1) -> None:
        def told_or_over() -> bool:
            return len(self.said(pattern)) >= times or self.process.poll() is not None

        wait_until(told_or_over, seconds, lambda: f"{pattern!r} in:\n{''.join(self.lines)}")
        assert len(self.said(pattern)) >= times, "".join(self.lines)

    def until_well(self) -> None:
        def well() -> bool:
            return (ask_health("127.0.0.1", self.port) or {}).get("status") == "ok"

        wait_until(well, START, lambda: f"all is well:\n{''.join(self.lines[-40:])}")

    def children(self, part: str) -> list[psutil.Process]:
        """The processes of this run whose command line holds `part`, the eldest first."""
        found = []
        for process in of_folder(self.folder):
            with contextlib.suppress(psutil.NoSuchProcess):  # a connection's process comes and goes
                if part in " ".join(process.cmdline()):
                    found.append((process.create_time(), process.pid, process))
        return [process for *_, process in sorted(found)]

    def child(self, part: str) -> psutil.Process:
        """The eldest process of this run whose command line holds `part`."""
        return self.children(part)[0]

    def database(self, sql: LiteralString, *values: Any) -> Any:
        address = read_json(self.folder / "runtime.json")["DATABASE_URL"]
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchone() if cursor.description else None

    def end(self) -> None:
        self.process.kill()  # no error where it has ended already
        for process in of_folder(self.folder):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self._reader.join(5)
