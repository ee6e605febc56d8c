"""Seeded noise. The same label gives the same numbers in every process and on every machine.

Only additions, products, quotients and square roots are used on floats: IEEE 754 fixes their
result to the last bit, which it does not do for exp, log or sin.
"""

from __future__ import annotations

import random
from functools import lru_cache
from hashlib import blake2b
from math import sqrt
from struct import unpack
from typing import Final

# Years of factor noise kept in memory: some 15 factors over the years that are looked at.
FACTOR_YEARS_KEPT: Final = 512
DAYS_IN_LEAP_YEAR: Final = 366

_MASK: Final = (1 << 64) - 1
_UNIT: Final = 1.0 / (1 << 53)
_ROOT_3: Final = sqrt(3.0)


def uniforms(label: str) -> tuple[float, ...]:
    """Return eight numbers in [0, 1) drawn from the label."""
    digest = blake2b(label.encode(), digest_size=64).digest()
    return tuple((word >> 11) * _UNIT for word in unpack("<8Q", digest))


def generator(label: str) -> random.Random:
    """Return a generator of its own for the label."""
    return random.Random(label)


def normal(rng: random.Random) -> float:
    """Return a draw of mean 0 and variance 1, never beyond 3.5: the sum of four uniforms."""
    draw = rng.random
    return (draw() + draw() + draw() + draw() - 2.0) * _ROOT_3


def normals(rng: random.Random, count: int) -> list[float]:
    """Return `count` draws of `normal`."""
    draw = rng.random
    return [(draw() + draw() + draw() + draw() - 2.0) * _ROOT_3 for _ in range(count)]


@lru_cache(maxsize=FACTOR_YEARS_KEPT)
def factor_year(seed: str, factor: str, year: int) -> tuple[float, ...]:
    """Return what moves a whole market or sector on each day of a year, in units of sigma."""
    return tuple(normals(generator(f"{seed}:factor:{factor}:{year}"), DAYS_IN_LEAP_YEAR))


def mix(key: int, value: int) -> int:
    """Return 64 well-mixed bits of two integers (the finaliser of splitmix64)."""
    x = (key + value * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def key_of(label: str) -> int:
    """Return a 64-bit key for `mix`."""
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little")
