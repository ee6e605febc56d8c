"""A process with thousands of sockets. Commands are lines of JSON on stdin, answers on stdout.

    {"do": "open", "count": N}       open up to N, each subscribed and sent its first message
    {"do": "measure", "seconds": S}  count frames and quotes, and note how old sampled quotes are

One thread, epoll, and no object per frame, so that it stays well below the server it measures; its
own share of a core is part of each answer.
"""

import argparse
import json
import re
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.ws import CLOSE, PING, PONG, TEXT, frame, frames, opened

TRIES = 4  # to open a socket
SAMPLED = 5  # of so many sockets one looks at the age of each quote
AS_OF = re.compile(rb'"as_of":"\d{4}-\d\d-\d\dT\d\d:(\d\d):(\d\d)\.(\d{3})Z')
HOUR = 3600.0


class Line:
    """One socket, and the half frame that came last."""

    __slots__ = ("rest", "sampled", "socket")

    def __init__(self, made: socket.socket, sampled: bool) -> None:
        self.socket = made
        self.sampled = sampled
        self.rest = b""


class Sockets:
    """All of them, and what came in since the counts were last set to nothing."""

    def __init__(self, port: int, path: str, wishes: list[tuple[str, list[str]]]) -> None:
        self._port, self._path, self._wishes = port, path, wishes
        self._lines: dict[int, Line] = {}
        self._poll = select.epoll()
        self.closed = 0
        self.reset()

    def reset(self) -> None:
        self.frames = self.quotes = self.bytes = 0
        self.ages: list[float] = []

    def open(self, count: int) -> None:
        """Open up to `count`, and wait until each was sent something."""
        while len(self._lines) < count:
            token, symbols = self._wishes[len(self._lines)]
            made = self._opened(token)
            wish = json.dumps({"action": "subscribe", "symbols": symbols}).encode()
            made.sendall(frame(wish))
            line = Line(made, len(self._lines) % SAMPLED == 0)
            self._lines[made.fileno()] = line
            while b'"quotes"' not in line.rest:
                data = made.recv(65536)
                if not data:
                    raise ConnectionError("closed before its first quote")
                line.rest += data
            line.rest = _after_last(line.rest)
            made.setblocking(False)
            self._poll.register(made.fileno(), select.EPOLLIN)
            if len(self._lines) % 20 == 0:
                self.pump(0)

    def _opened(self, token: str) -> socket.socket:
        """As a browser does, it tries again: a handshake may time out on a busy machine."""
        for left in reversed(range(TRIES)):
            try:
                return opened(self._port, self._path, token)
            except ConnectionError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def pump(self, seconds: float) -> None:
        """Take what comes for so long."""
        until = time.perf_counter() + seconds
        while True:
            left = until - time.perf_counter()
            ready = self._poll.poll(max(0.0, min(left, 0.2)), 256)
            for number, _ in ready:
                self._read(self._lines[number])
            if left <= 0 and not ready:
                return
            if left <= 0 and seconds:
                return

    def _read(self, line: Line) -> None:
        try:
            data = line.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed += 1
            self._poll.unregister(line.socket.fileno())
            return
        now = time.time()
        if line.rest:
            data = line.rest + data
        end = 0
        for opcode, start, end in frames(data):
            if opcode == TEXT:
                self.frames += 1
                self.quotes += data.count(b'"symbol"', start, end)
                if line.sampled:
                    for minute, second, milli in AS_OF.findall(data, start, end):
                        then = int(minute) * 60 + int(second) + int(milli) / 1000
                        age = (now - then) % HOUR
                        # A price that was dated ahead before the measure is none of its ticks.
                        if age < HOUR / 2:
                            self.ages.append(age)
            elif opcode == PING:
                line.socket.send(frame(data[start:end], PONG))
            elif opcode == CLOSE:
                self.closed += 1
        self.bytes += len(data)
        line.rest = data[end:]


def _after_last(data: bytes) -> bytes:
    end = max((end for _, _, end in frames(data)), default=0)
    return data[end:]


def _quantile(ages: list[float], share: float) -> float:
    """Where none came, the age is as large as it can be told."""
    return ages[min(len(ages) - 1, int(share * len(ages)))] if ages else HOUR


def measured(sockets: Sockets, seconds: float) -> dict[str, Any]:
    """Counts and ages of so many seconds; `share` is what this process used of its core."""
    sockets.pump(1.0)
    sockets.reset()
    began, cpu = time.perf_counter(), time.process_time()
    sockets.pump(seconds)
    wall = time.perf_counter() - began
    ages = sorted(sockets.ages)
    at = {share: _quantile(ages, share) for share in (0.5, 0.99)}
    return {
        "frames": sockets.frames / wall,
        "quotes": sockets.quotes / wall,
        "age_p50": at[0.5],
        "age_p99": at[0.99],
        "closed": sockets.closed,
        "share": (time.process_time() - cpu) / wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/ws")
    parser.add_argument(
        "--wishes", type=Path, required=True, help="JSON: [[token, [symbol, …]], …]"
    )
    asked = parser.parse_args()
    sockets = Sockets(asked.port, asked.path, json.loads(asked.wishes.read_text()))
    while True:
        # Between two commands the sockets are read too, or pings would go unanswered.
        while not select.select([sys.stdin], [], [], 0)[0]:
            sockets.pump(0.05)
        line = sys.stdin.readline()
        if not line:
            return
        command = json.loads(line)
        if command["do"] == "open":
            sockets.open(command["count"])
            answer: dict[str, Any] = {"open": command["count"]}
        else:
            answer = measured(sockets, command["seconds"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
