"""What goes wrong at a vendor, by endpoint and by the how-manieth call."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to answer badly. `after`: the request was carried out, the answer is what suffers.

    `kind`: drop (close without a word), hang (hold the line until the vendor stops or is freed),
    drip (a byte now and then, each in time), status (with `status` and an HTML body), empty,
    truncated, html (200 with such a body), error (200 with `text` in `error`), change (`change`
    rewrites the parsed reply), raw (`text` is sent).
    """

    kind: str
    after: bool = True
    status: int = 200
    text: str = ""
    change: Callable[[Any], Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()


def refuse(text: str) -> Fault:
    """A refusal in the venue's words: nothing was carried out."""
    return Fault("error", after=False, text=text)


@dataclass
class _Planned:
    fault: Fault
    nth: int  # counted from the moment it was planned
    times: int


@dataclass
class Faults:
    """The script: what is planned, per endpoint, and how many calls there were."""

    calls: dict[str, int] = field(default_factory=dict)
    _planned: dict[str, list[_Planned]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    freed: threading.Event = field(default_factory=threading.Event)

    def add(self, endpoint: str, fault: Fault, *, nth: int = 1, times: int = 1) -> None:
        """Answer the nth call from now, and `times` from there, with this fault."""
        with self._lock:
            base = self.calls.get(endpoint, 0)
            self._planned.setdefault(endpoint, []).append(_Planned(fault, base + nth, times))

    def clear(self) -> None:
        """Nothing is planned any more, and what hangs is let go."""
        with self._lock:
            self._planned.clear()
        self.freed.set()
        self.freed = threading.Event()

    def next(self, endpoint: str) -> Fault | None:
        """Count a call, and say what goes wrong with it."""
        with self._lock:
            nth = self.calls[endpoint] = self.calls.get(endpoint, 0) + 1
            for planned in self._planned.get(endpoint, ()):
                if planned.nth <= nth < planned.nth + planned.times:
                    return planned.fault
        return None
