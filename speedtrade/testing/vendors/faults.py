"""What can go wrong between us and a vendor, as a script: which call, before or after it counts.

Shared by all loopback vendors. A vendor takes the next fault of an endpoint with `take`, carries
the request out when `accept` says so, and then answers as the fault wants.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a vendor refuses with, in its own words."""

    text: str


@dataclass(frozen=True)
class Fault:
    """One wrong answer. `accept`: the vendor carries the request out all the same.

    `reply`: "drop" closes the connection, "hang" says nothing for `seconds`, "drip" sends a byte
    now and then, "truncated" part of the good answer; bytes are sent as they are; a function gets
    the good JSON and gives the bad one; a Refusal is said as the vendor says one. `stays`: seconds
    for which a fault answers every call, once the first came.
    """

    accept: bool
    reply: str | bytes | Callable[[Any], Any] | Refusal
    status: int | None = None  # None: that of the good answer
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    seconds: float = 30
    stays: float = 0

    def __str__(self) -> str:
        """A short name, for the tests that try many."""
        reply = self.reply
        if isinstance(reply, Refusal):
            return f"refusal-{reply.text[:40]}"
        if isinstance(reply, bytes):
            return f"{self.status}-{reply[:24].decode(errors='replace')}"
        return reply if isinstance(reply, str) else "edited"


def drop_before() -> Fault:
    """The connection breaks and the vendor never had it."""
    return Fault(False, "drop")


def drop_after() -> Fault:
    """The vendor has it, and the connection breaks before the answer."""
    return Fault(True, "drop")


def hang_after(seconds: float = 30) -> Fault:
    """The vendor has it and says nothing."""
    return Fault(True, "hang", seconds=seconds)


def drip_after(seconds: float = 30) -> Fault:
    """The vendor has it, and its answer comes byte by byte: each in time, the whole never."""
    return Fault(True, "drip", 200, seconds=seconds)


def gateway(status: int, *, accept: bool = True) -> Fault:
    """A gateway between us and the vendor answers in its place, in HTML."""
    return Fault(accept, HTML, status, content_type="text/html")


def empty_after() -> Fault:
    return Fault(True, b"", 200)


def html_after() -> Fault:
    return Fault(True, HTML, 200, content_type="text/html")


def truncated_after() -> Fault:
    """200 with the first half of the good body, and a length that agrees with it."""
    return Fault(True, "truncated", 200)


def edited(change: Callable[[Any], Any], *, accept: bool = True) -> Fault:
    """The good answer with something changed in it; `change` gets it and gives it back."""
    return Fault(accept, change)


def answer(
    status: int, body: bytes, *, accept: bool = False, stays: float = 0, **headers: str
) -> Fault:
    """Any answer. Headers are named with underscores: `Retry_After="2"`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(accept, body, status, named, stays=stays)


def raw_after(text: str, status: int = 200) -> Fault:
    """The vendor has it, and this is what it answers."""
    return answer(status, text.encode(), accept=True)


def refuse(text: str) -> Fault:
    """A refusal in the vendor's words: nothing was carried out."""
    return Fault(False, Refusal(text))


def refuse_after(text: str) -> Fault:
    """The vendor has it, and its words are those of a refusal."""
    return Fault(True, Refusal(text))


class FaultScript:
    """Faults by endpoint and by the number of the call, counted from when they were added.

    `calls` is how many there were, by endpoint.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[tuple[int, Fault]]] = defaultdict(list)
        self.calls: dict[str, int] = {}
        self._staying: dict[str, tuple[float, Fault]] = {}
        self.released = threading.Event()  # ends every hang at once

    def add(self, endpoint: str, fault: Fault, *, nth: int = 1, times: int = 1) -> None:
        """Let the nth call from now on, and the `times - 1` after it, go wrong."""
        with self._lock:
            first = self.calls.get(endpoint, 0) + nth
            self._waiting[endpoint] += [(first + more, fault) for more in range(times)]

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._staying.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Count a call; the fault that is meant for it."""
        with self._lock:
            number = self.calls[endpoint] = self.calls.get(endpoint, 0) + 1
            until, staying = self._staying.get(endpoint, (0.0, None))
            if staying is not None and time.monotonic() < until:
                return staying
            rows = self._waiting[endpoint]
            for row in rows:
                if row[0] == number:
                    rows.remove(row)
                    if row[1].stays:
                        self._staying[endpoint] = (time.monotonic() + row[1].stays, row[1])
                    return row[1]
            return None

    def hang(self, fault: Fault) -> None:
        """Wait as long as the fault says, or until the vendor is stopped."""
        self.released.wait(fault.seconds)
