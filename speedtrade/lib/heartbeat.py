"""Signs of life that /health reads: one Redis key per part, with the time of its last duty."""

from datetime import datetime

from redis.exceptions import RedisError

from speedtrade.lib.redis import redis_client

PREFIX = "st:heartbeat:"


def heartbeat(part: str, now: datetime) -> None:
    """Say that `part` did its duty at `now`. Without Redis nobody hears it, and /health says so."""
    try:
        redis_client().set(PREFIX + part, f"{now.timestamp():.3f}")
    except RedisError:
        return
