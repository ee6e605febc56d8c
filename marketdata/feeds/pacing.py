"""How a vendor's threads wait: a budget of calls, pauses that grow, a loop that a stop ends."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

#: A thread that does not end within so long is left behind; it is a daemon.
JOIN: Final = 5.0


def pause_after(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, half of it by chance.

    Chance keeps many copies from coming back in the same instant.
    """
    whole = min(longest, first * 2.0 ** min(failures - 1, 20))
    return whole / 2 + random.random() * whole / 2  # noqa: S311 - spreads load, guards nothing


class Budget:
    """At most so many calls a minute, shared by threads; they come in small bursts at most."""

    def __init__(self, per_minute: int, burst: int = 5) -> None:
        self._gap = 60.0 / per_minute
        self._burst = burst
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the next call would be free without any burst

    def wait(self, stop: threading.Event) -> bool:
        """Wait for a turn; False when the stop came first."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - self._gap * self._burst) + self._gap
            pause = self._free_at - now
        return not stop.wait(pause) if pause > 0 else not stop.is_set()

    def rest(self, seconds: float) -> None:
        """The vendor said that it is too much: nobody calls for so long."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() + seconds)


class Loop:
    """A daemon thread that takes a step again and again until it is stopped.

    A step that raises is logged and tried again after a pause that grows.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[threading.Event], float],
        *,
        first: float = 1.0,
        longest: float = 30.0,
    ) -> None:
        self.failures = 0  # in a row
        self.stopping = threading.Event()
        self._name = name
        self._step = step
        self._first, self._longest = first, longest
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; again is harmless. A run that was stopped may still be ending meanwhile."""
        if self._thread is None or not self._thread.is_alive() or self.stopping.is_set():
            self.stopping = stop = threading.Event()
            run = threading.Thread(target=self._run, args=(stop,), name=self._name, daemon=True)
            self._thread = run
            run.start()

    def stop(self, join: float = JOIN) -> None:
        """Say stop and wait for the end; again is harmless."""
        self.stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(join)

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                pause = self._step(stop)
                self.failures = 0
            except Exception as error:
                self.failures += 1
                pause = pause_after(self.failures, self._first, self._longest)
                logger.warning(
                    "feed_step_failed",
                    extra={
                        "loop": self._name,
                        "failures": self.failures,
                        "error": str(error)[:200],
                    },
                )
            stop.wait(pause)
