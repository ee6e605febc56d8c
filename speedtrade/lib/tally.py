"""Counts of rare events of all processes, in one Redis hash; /metrics tells them.

For what a person must hear of and no row says. Losing Redis loses the counts and no order.
"""

from collections.abc import Mapping
from typing import Final

from django.db import transaction
from redis.exceptions import RedisError

from speedtrade.lib.redis import redis_client, redis_failed, redis_resting
from speedtrade.lib.stage import stage

KEY: Final = "st:tally"


def tally(event: str) -> None:
    """Count one `event`, a name in the code and never a value, once the transaction is through."""
    transaction.on_commit(lambda: _count(event), robust=True)


def _count(event: str) -> None:
    if stage() is not None or redis_resting():
        return
    try:
        redis_client().hincrby(KEY, event, 1)
    except RedisError:
        redis_failed()


def tallies() -> Mapping[str, int]:
    """How often each was counted; raises RedisError."""
    return {event: int(count) for event, count in redis_client().hgetall(KEY).items()}
