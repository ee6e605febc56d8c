"""One small pool of Redis connections per process, with time limits on everything.

Whoever can do without an answer asks `redis_resting` first and tells of a failure by
`redis_failed`: then one request waits for a Redis that is silent, and the others do not.
"""

import time
from functools import lru_cache

import redis
import redis.asyncio as aredis
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from speedtrade.lib.stage import stage

#: Once, at once, and only where the connection broke: it may have idled. What was silent for
#: REDIS_TIMEOUT will be silent again, and whoever can wait has a loop of its own.
RETRIES = 1
_rest_until = 0.0  # time.monotonic()


def redis_failed() -> None:
    """Redis did not answer just now: leave it alone for REDIS_PAUSE."""
    global _rest_until
    _rest_until = time.monotonic() + settings.REDIS_PAUSE.total_seconds()


def redis_resting() -> bool:
    """Whether it failed so lately that asking would only cost time."""
    return stage() is None and time.monotonic() < _rest_until


def redis_retry() -> Retry:
    """How often the clients of this process try; see RETRIES."""
    return Retry(NoBackoff(), RETRIES, supported_errors=(redis.ConnectionError,))


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
        retry=redis_retry(),
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
