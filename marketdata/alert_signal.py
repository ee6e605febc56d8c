"""A number in Redis that grows when alerts change, so that the feed looks at them at once.

Only a hurry: whoever missed it reloads every settings.ALERTS_RELOAD anyway.
"""

import logging
from typing import Final

from django.db import transaction
from redis.exceptions import RedisError

from speedtrade.lib.later import later
from speedtrade.lib.redis import redis_client

logger = logging.getLogger(__name__)
VERSION_KEY: Final = "st:alerts:version"


def alerts_changed() -> None:
    """After the commit of the running transaction, say so."""
    transaction.on_commit(lambda: later(_grow), robust=True)


def alerts_version() -> str:
    """The number as it is; "" before the first change and while Redis is away."""
    try:
        return str(redis_client().get(VERSION_KEY) or "")
    except RedisError:
        return ""


def _grow() -> None:
    redis_client().incr(VERSION_KEY)
