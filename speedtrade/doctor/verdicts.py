"""What a check says: how bad it is, what was found, and the remedy."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`words` never hold a secret: they are shown to staff, and by `--json` to programs."""

    level: Level
    words: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list. `look` may raise; the list then says that it could not be looked at."""

    name: str
    title: str
    look: Callable[[datetime], Verdict]


def good(words: str) -> Verdict:
    return Verdict("pass", words)


def doubtful(words: str, remedy: str) -> Verdict:
    return Verdict("warn", words, remedy)


def bad(words: str, remedy: str) -> Verdict:
    return Verdict("fail", words, remedy)


def absent(words: str) -> Verdict:
    """There is nothing to look at, and that is no fault."""
    return Verdict("skip", words)
