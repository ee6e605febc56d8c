"""Run things at the same time, on connections of their own, and hand back what came of each."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")
START_TIMEOUT = 30  # seconds until a runner that did not reach the line fails the race


def race(runners: Sequence[Callable[[], T]]) -> list[T]:
    """What each runner returned, in their order. All start together; the first error is raised.

    Each thread has a database connection of its own and closes it.
    """
    line = threading.Barrier(len(runners), timeout=START_TIMEOUT)

    def run(runner: Callable[[], T]) -> T:
        try:
            connection.ensure_connection()
            line.wait()
            return runner()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(runners)) as pool:
        return [done.result() for done in [pool.submit(run, runner) for runner in runners]]
