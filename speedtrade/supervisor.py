"""Keeps children running: restarts with backoff, prefixes what they print, stops them in order.

Single-threaded on asyncio. Nothing outlives it: children get SIGKILL from the kernel when it dies,
and every one carries a mark in its environment by which the next start finds what is left.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from speedtrade.datafolder import PROJECT, CannotStart
from speedtrade.embedded import (
    ASK_AGAIN,
    START_TIMEOUT,
    EmbeddedServer,
    die_with_parent,
    end_processes,
)

BACKOFF_FIRST = 0.5  # seconds before the first restart, doubled with each
BACKOFF_MAX = 15.0
BACKOFF_RESET = 30.0  # a child that lived so long starts again at BACKOFF_FIRST
LINE_MAX = 64 * 1024  # bytes; a longer line is cut in two
MARK = "SPEEDTRADE_SUPERVISED_BY"  # environment of every child: the data folder it belongs to


@dataclass
class Child:
    """One process to keep. A server's `prepare` runs before each start and may take seconds."""

    name: str
    argv: Callable[[], Sequence[str]]
    grace: float
    stop_signal: signal.Signals = signal.SIGTERM
    server: EmbeddedServer | None = None
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    output: "asyncio.Task[None] | None" = field(default=None, init=False)
    keeper: "asyncio.Task[None] | None" = field(default=None, init=False)

    @classmethod
    def of_server(cls, server: EmbeddedServer) -> "Child":
        return cls(server.name, server.argv, server.grace, server.stop_signal, server)


class Supervisor:
    """`keep` children, `run_once` commands, then `stop`; `say(name, text)` prints one line."""

    def __init__(self, folder: Path, say: Callable[[str, str], None]) -> None:
        self.folder = folder
        self.say = say
        self.environment: dict[str, str] = {**os.environ, MARK: str(folder)}
        self.children: list[Child] = []
        self.hurry = False  # a second Ctrl-C: no more grace

    def end_leftovers(self) -> int:
        """End what a killed run on this folder left behind; only call it holding the folder."""
        mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        left = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid not in mine and process.environ().get(MARK) == str(self.folder):
                    left.append(process)
        end_processes(left, signal.SIGTERM, grace=3)
        return len(left)

    async def run_once(self, name: str, argv: Sequence[str]) -> None:
        """Run a command to its end; raises CannotStart when it fails."""
        child = Child(name, lambda: argv, grace=2)
        self.children.append(child)
        code = await self._live(child)
        self.children.remove(child)
        if code:
            raise CannotStart(f"{name} failed ({_ending(code)}); its lines above say why.")

    def keep(self, child: Child) -> None:
        """Start this child and restart it whenever it ends, until `stop`."""
        self.children.append(child)
        child.keeper = asyncio.create_task(self._keep(child))

    async def keep_server(self, server: EmbeddedServer) -> None:
        """Keep an embedded server and return when it answers; raises CannotStart."""
        try:
            await asyncio.to_thread(server.prepare)  # what cannot be made ready is said at once
        except OSError as error:
            raise CannotStart(f"{server.name} cannot use its folder: {error}.") from error
        child = Child.of_server(server)
        self.keep(child)
        deadline = time.monotonic() + START_TIMEOUT
        while child.process is None or not await asyncio.to_thread(server.answers):
            ended = child.process is not None and child.process.returncode is not None
            if ended or time.monotonic() > deadline:
                raise CannotStart(f"{server.name} did not start: {server.last_words()}")
            await asyncio.sleep(ASK_AGAIN)

    async def _keep(self, child: Child) -> None:
        delay = BACKOFF_FIRST
        while True:
            started = time.monotonic()
            try:
                if child.server:
                    await asyncio.to_thread(child.server.prepare)
                why = _ending(await self._live(child))
            except (CannotStart, OSError) as error:
                why = str(error)
            if time.monotonic() - started >= BACKOFF_RESET:
                delay = BACKOFF_FIRST
            self.say(child.name, f"{why}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(2 * delay, BACKOFF_MAX)

    async def _live(self, child: Child) -> int:
        """One life of a child, from its start to the end of all it started; its exit code."""
        if child.server:
            with child.server.open_log() as log:
                process = await self._execute(child, log.fileno(), child.server.options())
        else:
            # A pipe of our own: asyncio's `wait` on one of its own waits for grandchildren too.
            reading, writing = os.pipe()
            options = {
                "cwd": PROJECT,
                "env": self.environment,
                "start_new_session": True,
                "preexec_fn": die_with_parent(signal.SIGKILL),
            }
            try:
                process = await self._execute(child, writing, options)
            finally:
                os.close(writing)
                child.output = asyncio.create_task(self._forward(child.name, reading))
        code = await process.wait()
        self._end_group(process)  # a worker's pool must not outlive the worker
        await self._end_output(child)
        return code

    @staticmethod
    async def _execute(
        child: Child, output: int, options: Mapping[str, Any]
    ) -> asyncio.subprocess.Process:
        # In the main thread always: the kernel ties a child to the thread that forked it.
        program, *arguments = child.argv()
        program = sys.executable if program == "python" else program
        child.process = await asyncio.create_subprocess_exec(
            program, *arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options
        )
        return child.process

    async def _forward(self, name: str, reading: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
        )
        rest = b""
        try:
            while data := await reader.read(LINE_MAX):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > LINE_MAX:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self.say(name, line.decode(errors="replace"))
            if rest:
                self.say(name, rest.decode(errors="replace"))
        finally:
            transport.close()

    @staticmethod
    async def _end_output(child: Child) -> None:
        if child.output:
            await asyncio.wait([child.output], timeout=1)
            child.output.cancel()  # something that left its group still holds the pipe

    async def stop(self) -> None:
        """Stop all, one after the other in reverse order of `keep`; bounded by their graces."""
        for child in reversed(self.children):
            if child.keeper:
                child.keeper.cancel()
                await asyncio.wait([child.keeper])
            if child.process:
                await self._stop_process(child, child.process)
            if child.server:
                await asyncio.to_thread(child.server.end_leftovers)
        self.children.clear()

    async def _stop_process(self, child: Child, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + child.grace
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(child.stop_signal)
        while process.returncode is None:
            if time.monotonic() > deadline or (self.hurry and not child.server):
                self.say(child.name, "did not stop in time; killed")
                self._end_group(process)
                await process.wait()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), timeout=0.1)
        self._end_group(process)
        await self._end_output(child)

    @staticmethod
    def _end_group(process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # its session's number is its own


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
