"""As much of Redis as quotes and wake-ups need, in memory: no database of the product is met."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


class MemoryRedis:
    """Hashes and channels; whatever else is asked of it raises AttributeError."""

    def __init__(self, heard: Callable[[str, str], None]) -> None:
        self._heard = heard
        self._hashes: dict[str, dict[str, str]] = {}

    def pipeline(self, transaction: bool = True) -> "MemoryRedis":
        return self

    def execute(self) -> list[Any]:
        return []

    def hset(self, key: str, mapping: Mapping[str, str]) -> None:
        self._hashes.setdefault(key, {}).update(mapping)

    def hmget(self, key: str, names: Sequence[str]) -> list[str | None]:
        rows = self._hashes.get(key, {})
        return [rows.get(name) for name in names]

    def zadd(self, key: str, marks: Mapping[str, float]) -> None:
        """Which symbols moved most is nothing that an order hangs on."""

    def publish(self, channel: str, text: str) -> None:
        self._heard(channel, text)
