"""The luck of a simulated world: one stream of numbers per label, and which faults a seed has."""

import random
from collections.abc import Callable
from datetime import datetime
from typing import Final

#: Fault -> the least and the most of its chances that strike, in a seed that has it.
RATES: Final[dict[str, tuple[float, float]]] = {
    "report_lost": (0.05, 0.6),
    "report_late": (0.1, 0.7),
    "report_twice": (0.1, 0.5),
    "wake_lost": (0.05, 0.6),
    "lost_before": (0.05, 0.4),  # the request never arrives, and nobody knows
    "lost_after": (0.05, 0.4),  # it arrives, and the answer does not
    "not_sent": (0.05, 0.3),  # nothing reached the broker, and that is sure
    "look_fails": (0.05, 0.3),
    "crash": (0.002, 0.04),  # at each named point
    "bad_quote": (0.1, 0.4),
    "stale": (0.1, 0.5),
}
CHANCE: Final = 0.5  # that a seed has a fault at all
PRICES: Final = {"bad_quote", "stale"}  # refused at once: nobody has to come back from them


class Dice:
    """`dice["label"]` is a generator of its own: a new label never disturbs the others.

    Seeded by text, which is the same in every process whatever PYTHONHASHSEED says.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def __getitem__(self, label: str) -> random.Random:
        if label not in self._streams:
            self._streams[label] = random.Random(f"{self.seed}:{label}")
        return self._streams[label]


class Faults:
    """Swarm testing: each seed turns a random part of the faults on, each at a rate of its own."""

    def __init__(self, dice: Dice, clock: Callable[[], datetime]) -> None:
        self._dice, self._clock, self.on = dice, clock, True
        self.struck: datetime | None = None  # when one did last that leaves something to be mended
        swarm = dice["swarm"]
        self.rates = {
            name: swarm.uniform(*span) if swarm.random() < CHANCE else 0.0
            for name, span in RATES.items()
        }

    def strike(self, name: str) -> bool:
        """Whether this fault happens now; never once the faults are off."""
        rate = self.rates[name]
        struck = self.on and rate > 0 and self._dice[f"fault:{name}"].random() < rate
        if struck and name not in PRICES:
            self.struck = self._clock()
        return struck
