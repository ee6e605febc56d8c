"""One small pool of Redis connections per process, with time limits on everything."""

from functools import lru_cache

import redis
import redis.asyncio as aredis
from django.conf import settings


@lru_cache(maxsize=1)
def redis_client() -> "redis.Redis":
    """A thread-safe client that answers text; raises redis.RedisError within REDIS_TIMEOUT."""
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        health_check_interval=15,
    )


def async_redis() -> "aredis.Redis":
    """A new asyncio client for one event loop; the caller closes it."""
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    return aredis.Redis.from_url(
        settings.REDIS_URL, decode_responses=True, socket_connect_timeout=seconds, health_check_interval=15
    )
