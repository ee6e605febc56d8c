"""What every group of rows is handed."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.stack import Stack

if TYPE_CHECKING:
    from tests.bench.world import World


class Bench:
    """One run: its servers, its users, how often it repeats."""

    def __init__(self, stack: Stack, *, quick: bool = False) -> None:
        self.stack = stack
        self.quick = quick
        self.repetitions = 2 if quick else 5

    @property
    def environment(self) -> dict[str, str]:
        return self.stack.environment

    @property
    def folder(self) -> Path:
        return self.stack.folder

    @cached_property
    def world(self) -> "World":
        from tests.bench.world import World

        return World()
