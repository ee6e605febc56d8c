"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(ask: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
    """Ask until the answer is true and return it; fails the test after `seconds`, saying `what`.

    `what` may be a function, for words that are worth having only when the wait was in vain.
    """
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            words = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds:g} s in vain: {words}")
        time.sleep(0.02)
    return answer
