"""Signs of life that /health reads: one Redis key per part, with the time of its last duty."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from redis.exceptions import RedisError

from speedtrade.lib.redis import redis_client

PREFIX = "st:heartbeat:"


def heartbeat(part: str, now: datetime) -> None:
    """Say that `part` did its duty at `now`. Without Redis nobody hears it, and /health says so."""
    try:
        redis_client().set(PREFIX + part, f"{now.timestamp():.3f}")
    except RedisError:
        return


def heartbeat_ages(parts: Iterable[str], now: datetime) -> dict[str, timedelta | None]:
    """How long ago each part did its duty; None for never. Raises RedisError."""
    names = list(parts)
    found = redis_client().mget([PREFIX + name for name in names])
    return {
        name: timedelta(seconds=now.timestamp() - float(text)) if text else None
        for name, text in zip(names, found, strict=True)
    }
