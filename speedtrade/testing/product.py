"""The real product for browser tests and screenshots: `manage.py up` on a folder of its own."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from speedtrade.datafolder import PROJECT
from speedtrade.env import read_json
from speedtrade.healthcheck import ask_health
from speedtrade.processes import WEB
from speedtrade.testing.waiting import wait_until

PORTS = range(20_000, 32_000)  # Linux gives away those from 32768
START = 120  # seconds for a start on a busy machine; alone it takes about ten
STOP = 60
LINES_KEPT = 2_000  # of a product's output, for a test that fails to show
#: What the tests set for themselves and the product must not inherit.
NOT_INHERITED = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "JWT_SIGNING_KEY",
    "FIELD_KEYS",
    "DJANGO_SETTINGS_MODULE",
    "SPEEDTRADE_ENV",
)


@dataclass(frozen=True, slots=True)
class Product:
    """A running copy: where it answers, the log-in of its demo user, and its newest lines."""

    url: str
    demo_name: str
    demo_password: str
    lines: deque[str]


def free_port() -> int:
    """Below those that the kernel gives away: nobody gets it before its server has started."""
    for port in random.sample(PORTS, 500):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextmanager
def product_running(folder: Path, **settings: str) -> Iterator[Product]:
    """Start it on `folder` (made if missing), wait until prices move, stop it at the end.

    `settings` are environment variables. Raises AssertionError with its last lines when it does not
    come up.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=PROJECT,
        env=inherited | {"SPEEDTRADE_DATA_DIR": str(folder)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: deque[str] = deque(maxlen=LINES_KEPT)
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        _wait_until_ready(process, port, lines)
        secrets = read_json(folder / "secrets.json")
        yield Product(f"http://127.0.0.1:{port}", "demo", str(secrets["DEMO_PASSWORD"]), lines)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # the second one makes it hurry
            process.wait(STOP)
        reader.join(STOP)


@contextmanager
def web_at(folder: Path, moment: datetime, **settings: str) -> Iterator[str]:
    """A second web server of the copy that runs on `folder`, whose clock goes on from `moment`.

    Yields its address. Only its pages live in that time: what is stored, and the prices, do not.
    """
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    values = {"bind": "127.0.0.1", "port": str(port)}
    arguments = WEB.command(values)[3:]  # without "python -m speedtrade.web"
    process = subprocess.Popen(
        [sys.executable, "-m", "speedtrade.testing.elsewhen", moment.isoformat(), *arguments],
        cwd=PROJECT,
        env=inherited | {"SPEEDTRADE_DATA_DIR": str(folder)} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: ask_health("127.0.0.1", port) is not None or process.poll() is not None,
            START,
            lambda: "the web server of another time does not answer",
        )
        assert process.poll() is None, "the web server of another time has ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # it keeps nothing, and its sockets would make a farewell long
        process.wait(STOP)


def product_command(folder: Path, *arguments: str) -> None:
    """Run a command of `manage.py` on the copy in `folder`; raises where it fails."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=inherited | {"SPEEDTRADE_DATA_DIR": str(folder)},
        check=True,
        capture_output=True,
        timeout=STOP,
    )


@contextmanager
def trading_halted_in(folder: Path) -> Iterator[None]:
    """The kill switch of the copy is on."""
    product_command(folder, "halt_trading", "A drill.")
    try:
        yield
    finally:
        product_command(folder, "resume_trading", "The drill is over.")


def _read(process: "subprocess.Popen[str]", lines: deque[str]) -> None:
    """Keep the pipe empty; the last lines tell what went wrong."""
    for line in process.stdout or ():
        lines.append(line)


def _wait_until_ready(process: "subprocess.Popen[str]", port: int, lines: deque[str]) -> None:
    def ready_or_over() -> bool:
        told = ask_health("127.0.0.1", port)
        well = told is not None and told.get("status") == "ok"
        return well or process.poll() is not None

    wait_until(ready_or_over, START, lambda: "it is not ready:\n" + "".join(list(lines)[-60:]))
    if process.poll() is not None:
        raise AssertionError("it ended:\n" + "".join(lines))
