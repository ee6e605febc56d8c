"""`manage.py up`: all of SpeedTrade from one command, with its own servers where none are set."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandParser

from speedtrade.datafolder import (
    DEMO_LOGIN,
    CannotStart,
    FolderLock,
    data_folder,
    secrets_ensure,
    write_private,
)
from speedtrade.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from speedtrade.env import env_port, env_str
from speedtrade.health import HEARTBEAT_FEED, HEARTBEAT_WORKER
from speedtrade.healthcheck import ask_health, reachable
from speedtrade.processes import PREPARE, STOP_ORDER
from speedtrade.supervisor import Child, Supervisor

READY_ASK = 0.2  # seconds between two looks at /health
READY_PATIENCE = 20.0  # seconds after which "it serves, but …" is said while it waits on
EMBEDDED: dict[str, type[EmbeddedServer]] = {
    "DATABASE_URL": EmbeddedPostgres,
    "REDIS_URL": EmbeddedValkey,
}


class Command(BaseCommand):
    help = "Run SpeedTrade: web, worker, beat, feed and venue, and PostgreSQL and Valkey if unset."
    requires_system_checks: list[str] = []  # nothing to check before the servers run

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, help="port of the web server (default: PORT or 8000)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ.setdefault("SPEEDTRADE_ENV", "development")
        port = options["port"] or env_port("PORT", 8000)
        try:
            asyncio.run(Run(port).main())
        except CannotStart as error:
            self.stderr.write(str(error))
            sys.exit(1)


class Run:
    """One run on one data folder."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.bind = env_str("SPEEDTRADE_BIND", "127.0.0.1")
        self.address = f"http://{reachable(self.bind)}:{port}"
        self.production = os.environ["SPEEDTRADE_ENV"] == "production"
        self.folder = data_folder()
        self.supervisor = Supervisor(self.folder, say)
        self.stopping = asyncio.Event()

    async def main(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; raises CannotStart."""
        lock = FolderLock(self.folder)
        lock.take(self.address)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        try:
            work = asyncio.create_task(self._bring_up())
            stop = asyncio.create_task(self.stopping.wait())
            await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                await stop
            work.cancel()
            stop.cancel()
        finally:
            say("up", "stopping")
            await self.supervisor.stop()
            (self.folder / "runtime.json").unlink(missing_ok=True)
            lock.release()
            say("up", "stopped; nothing is left running")

    def _asked_to_stop(self) -> None:
        self.supervisor.hurry = self.stopping.is_set()
        self.stopping.set()

    async def _bring_up(self) -> None:
        started = time.monotonic()
        secrets = secrets_ensure(self.folder)
        if ended := self.supervisor.end_leftovers():
            say("up", f"ended {ended} processes that a former run left behind")
        refuse_taken_port(self.bind, self.port)
        await self._start_servers()
        demo = [] if self.production else ["--demo"]
        await self.supervisor.run_once("prepare", [*PREPARE, *demo])
        values = {"bind": self.bind, "port": str(self.port), "folder": str(self.folder)}
        for process in reversed(STOP_ORDER):
            command = partial(process.command, values)
            self.supervisor.keep(Child(process.name, command, process.grace))
        await self._until_ready()
        say("up", f"ready after {time.monotonic() - started:.1f} s: {self.address}")
        if not self.production:
            say("up", f"demo login: {DEMO_LOGIN}  password: {secrets['DEMO_PASSWORD']}")
            say("up", "the demo account trades paper money; Ctrl-C stops everything")

    async def _start_servers(self) -> None:
        environment = self.supervisor.environment
        environment |= {
            "SPEEDTRADE_DATA_DIR": str(self.folder),
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            # On one's own machine root is no news; what Celery fears of it (pickle) is not in use.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            "CELERY_SKIP_CHECKS": "1",  # `prepare` has run them; each time costs seconds
        }
        addresses = {}
        for variable, kind in EMBEDDED.items():
            if not env_str(variable, ""):
                server = kind(self.folder)
                await self.supervisor.keep_server(server)
                environment[variable] = addresses[variable] = server.url()
                if isinstance(server, EmbeddedValkey):
                    await asyncio.to_thread(forget_signs_of_life, server.url())
        (self.folder / "static").mkdir(exist_ok=True)  # whitenoise warns of a missing one
        # Other shells find the servers here: `manage.py shell`, `manage.py check_ledger`.
        write_private(self.folder / "runtime.json", {**addresses, "pid": os.getpid()})

    async def _until_ready(self) -> None:
        """Until /health says ok, however long; what it waits for is said after READY_PATIENCE."""
        started, told = time.monotonic(), None
        while True:
            health = await asyncio.to_thread(ask_health, reachable(self.bind), self.port)
            if health and health.get("status") == "ok":
                return
            ill = _ill(health) if health else ""
            if ill and ill != told and time.monotonic() - started > READY_PATIENCE:
                say("up", f"{self.address} serves, but not all is well yet: {ill}")
                told = ill
            await asyncio.sleep(READY_ASK)


def _ill(health: Mapping[str, Any]) -> str:
    """Which parts are not well yet, such as "feed, worker"."""
    return ", ".join(sorted(name for name, word in health["checks"].items() if word != "ok"))


def forget_signs_of_life(redis_url: str) -> None:
    """Drop what the last run left in our own Valkey: its worker's word says nothing of this one's.

    A Valkey that was given to us may serve other copies, whose signs of life are true.
    """
    with redis.Redis.from_url(redis_url) as client:
        client.delete(HEARTBEAT_WORKER, HEARTBEAT_FEED)


def refuse_taken_port(bind: str, port: int) -> None:
    """Raise CannotStart where the web server could not listen."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bind, port))
    except OSError as error:
        raise CannotStart(
            f"Port {port} on {bind} cannot be used ({error.strerror}); "
            "choose another: make run PORT=8001."
        ) from error


def say(name: str, text: str) -> None:
    """One line on the console, marked with whose it is; a console may go away before we do."""
    with contextlib.suppress(OSError):
        print(f"{name:>8} | {text}", flush=True)
