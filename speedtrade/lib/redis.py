"""One small pool of Redis connections per process, with time limits on everything."""

from functools import lru_cache

import redis
import redis.asyncio as aredis
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from speedtrade.lib.stage import stage

#: Once, at once: a connection that idled may be dead. More tries would outlast REDIS_TIMEOUT, and
#: whoever can wait has a loop of its own.
RETRIES = 1


def redis_client() -> "redis.Redis[str]":
    """A thread-safe client that answers text; raises redis.RedisError within REDIS_TIMEOUT."""
    here = stage()
    if here is not None:
        stand_in: redis.Redis[str] = here.redis
        return stand_in
    return _client()


@lru_cache(maxsize=1)
def _client() -> "redis.Redis[str]":
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        health_check_interval=15,
        retry=Retry(NoBackoff(), RETRIES),
    )


def async_redis() -> "aredis.Redis[str]":
    """A new asyncio client for one event loop; the caller closes it."""
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    return aredis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_connect_timeout=seconds,
        health_check_interval=15,
        retry=AsyncRetry(NoBackoff(), RETRIES),
    )
