"""What a run leaves: its story, the hash that is its identity, and the promise that it broke.

A line holds no id of the database, no uuid and no time of ours, so that the same seed writes the
same bytes in every process.
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, TextIO

STORY = 40  # last lines that a failure shows


class Violation(BaseException):
    """A promise does not hold. Nobody who goes on after an Exception may catch it."""

    def __init__(self, invariant: str, words: str) -> None:
        self.invariant, self.words = invariant, words
        super().__init__(f"{invariant}: {words}")


class Trace:
    """The lines of one run, hashed as they come; written to `out` where it is given."""

    def __init__(self, seed: int, start: datetime, out: TextIO | None = None) -> None:
        self._hash, self._out, self._start = hashlib.sha256(), out, start
        self.seed, self.steps = seed, 0
        self.story: list[str] = []

    def add(self, now: datetime, what: str, outcome: str, changed: list[str]) -> None:
        """One step: microseconds since the start, what happened, what became of which order."""
        self.steps += 1
        micros = (now - self._start) // timedelta(microseconds=1)
        line: dict[str, Any] = {"n": self.steps, "us": micros, "did": what, "came": outcome}
        if changed:
            line["changed"] = changed
        text = json.dumps(line, sort_keys=True, separators=(",", ":"))
        self._hash.update(text.encode() + b"\n")
        self.story = [*self.story[-STORY:], text]
        if self._out is not None:
            self._out.write(f'{{"seed":{self.seed},{text[1:]}\n')

    @property
    def identity(self) -> str:
        return self._hash.hexdigest()
