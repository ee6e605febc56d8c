"""The stage of a simulation: what it puts in the place of the clock, the power, the queue, Redis.

Nothing is set in a process that serves people; then each of the four is the real one. `clock`,
`crash`, `later` and `redis` beside this module ask here, and nobody else does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol


class Stage(Protocol):
    """The surroundings of one simulated house."""

    redis: Any

    @property
    def now(self) -> datetime:
        """The time, aware."""
        ...

    def crash(self, name: str) -> None:
        """A named point is passed: raise Killed where the process dies there."""
        ...

    def later(self, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """A wake-up is handed over, which may get lost."""
        ...


_stage: ContextVar[Stage | None] = ContextVar("stage", default=None)


def stage() -> Stage | None:
    """The stage on which this code runs, or None in the real world."""
    return _stage.get()


@contextmanager
def staged(made: Stage) -> Iterator[None]:
    """Run the block on this stage."""
    token = _stage.set(made)
    try:
        yield
    finally:
        _stage.reset(token)
