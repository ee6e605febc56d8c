"""Work that ends its worker each time: begun so often and not again, so that others get on.

Redis gives a task back whose worker was killed, and the sweep wakes what is not done; what kills
its worker would do so for ever. So starts without an end are counted, in Redis, which the tasks
come from: one that forgets costs a few starts more. What is put aside is a row.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from accounts.models import User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib import clock
from speedtrade.lib.errors import Conflict
from speedtrade.lib.redis import redis_client, redis_failed, redis_resting
from trading.models import ParkedTask

logger = logging.getLogger(__name__)
PREFIX = "st:starts:"


@contextmanager
def task_started(task: str, arguments: Sequence[object], queue: str) -> Iterator[bool]:
    """Whether this work may begin; what leaves the block, well or with an error, has ended.

    After TASK_STARTS starts without an end it is parked. A periodic duty, which has no arguments,
    has TASK_STARTS_PERIODIC and then rests for TASK_REST: all the others wait for it. Without Redis
    nothing is counted.
    """
    words = json.dumps(list(arguments))
    key = f"{PREFIX}{task}:{words}"
    starts, keep = settings.TASK_STARTS, settings.TASK_STARTS_KEPT
    if not arguments:
        starts, keep = settings.TASK_STARTS_PERIODIC, settings.TASK_REST
    if _too_often(key, starts, keep):
        _refuse(task, words if arguments else "", queue)
        yield False
        return
    try:
        yield True
    finally:
        _forget(key)


def _too_often(key: str, starts: int, keep: timedelta) -> bool:
    """Count one more start and remember it for so long, unless there were enough."""
    if redis_resting():
        return False
    try:
        if int(redis_client().get(key) or 0) >= starts:
            return True
        with redis_client().pipeline() as pipe:
            pipe.incr(key).expire(key, keep)
            pipe.execute()
    except RedisError:
        redis_failed()
    return False


def _forget(key: str) -> None:
    if redis_resting():
        return
    try:
        redis_client().delete(key)
    except RedisError:
        return  # one start too many is on record, until the next one ends


def _refuse(task: str, words: str, queue: str) -> None:
    """Say it where people look; `words` is empty for a periodic duty."""
    told = {"task": task, "arguments": words}
    if not words:
        logger.error("task_rests", extra=told)
        return
    _, new = ParkedTask.objects.get_or_create(
        task=task,
        arguments=words,
        released_at=None,
        defaults={"queue": queue, "parked_at": clock.now()},
    )
    if new:
        logger.error("task_parked", extra=told)


@transaction.atomic
def task_release(*, parked: ParkedTask, actor: User, reason: str, now: datetime) -> ParkedTask:
    """Begin parked work again, as if it had never failed, after the commit.

    Raises Conflict where it was released already, InvalidInput without a reason.
    """
    reason = reason_required(reason)
    row = ParkedTask.objects.select_for_update(of=("self",)).get(pk=parked.pk)
    if row.released_at is not None:
        raise Conflict("It was released already.")
    row.released_at, row.released_by = now, actor
    row.save(update_fields=["released_at", "released_by"])
    audit_record(
        actor=actor,
        action="task.release",
        target=f"parkedtask:{row.pk}",
        reason=reason,
        data={"task": row.task, "arguments": row.arguments},
        now=now,
    )
    transaction.on_commit(lambda: _begin_again(row))
    return row


def _begin_again(row: ParkedTask) -> None:
    """A message that gets lost is no harm: the row it was about is still there, and swept."""
    from celery import current_app

    from speedtrade.lib.later import later

    _forget(f"{PREFIX}{row.task}:{row.arguments}")
    later(_send, row.task, row.arguments, row.queue, current_app)


def _send(task: str, words: str, queue: str, app: Any) -> None:
    app.send_task(task, args=json.loads(words), queue=queue)
