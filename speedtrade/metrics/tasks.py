"""How long tasks take and how many fail, of all workers: counted in Redis, told by /metrics.

A worker has no door for Prometheus, and its children die; one round trip for each task is cheap
beside the task.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from celery.signals import task_failure, task_postrun, task_prerun
from redis.exceptions import RedisError

from speedtrade.lib.redis import redis_client, redis_failed, redis_resting

KEY: Final = "st:metrics:tasks"  # hash: "<task> runs|failures" -> count, "<task> micros" -> time
MICROS: Final = 1_000_000
_began: dict[str, float] = {}  # task id -> time.perf_counter(), of the tasks in hand


def connect() -> None:
    """Measure the tasks of this process; called where the Celery application is made."""
    task_prerun.connect(_begin, dispatch_uid="metrics")
    task_postrun.connect(_end, dispatch_uid="metrics")
    task_failure.connect(_fail, dispatch_uid="metrics")


def _begin(task_id: str = "", **_: Any) -> None:
    _began[task_id] = time.perf_counter()


def _end(task_id: str = "", task: Any = None, **_: Any) -> None:
    began = _began.pop(task_id, None)
    if began is not None and task is not None:
        took = int((time.perf_counter() - began) * MICROS)
        _count({f"{task.name} runs": 1, f"{task.name} micros": took})


def _fail(sender: Any = None, **_: Any) -> None:
    _count({f"{sender.name} failures": 1})


def _count(changes: dict[str, int]) -> None:
    if redis_resting():
        return
    try:
        pipeline = redis_client().pipeline(transaction=False)
        for field, change in changes.items():
            pipeline.hincrby(KEY, field, change)
        pipeline.execute()
    except RedisError:
        redis_failed()


def task_counts() -> Mapping[str, int]:
    """ "<task> runs", "<task> failures" and "<task> micros" -> their sum; raises RedisError."""
    return {field: int(count) for field, count in redis_client().hgetall(KEY).items()}
