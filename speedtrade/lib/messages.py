"""The message of a task, written once by Celery and kombu and filled in for each order.

`Task.apply_async` costs a web process a fifth of what an order costs it: the same headers looked
up, the same JSON written, a client borrowed. Only the ids, the arguments and the context of the
request differ from one message to the next, so the rest is kept. What is kept was written by
Celery itself, so another release of Celery writes another form; a test compares the two.
"""

import base64
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from celery import Task
from celery.signals import after_task_publish, before_task_publish
from celery.utils import uuid
from django.conf import settings
from kombu import Connection, Producer, Queue

from speedtrade.lib.later import redis_tell

_forming = threading.Lock()


def task_tell(task: Task[Any, Any], args: Sequence[int | str], queue: str) -> None:
    """Put the task on this queue, as `apply_async(args, queue=queue)` does outside of a task.

    On the background thread it leaves with whatever else is told at that moment.

    Raises:
        redis.RedisError: not on the background thread, which only logs it.
    """
    form, task_id = _form(task, queue), uuid()
    headers = {**form["headers"], "id": task_id, "root_id": task_id, "argsrepr": repr(tuple(args))}
    body: tuple[Any, ...] = (tuple(args), {}, form["embed"])
    spoken: dict[str, Any] = {
        "sender": task.name,
        "body": body,
        "exchange": "",
        "routing_key": queue,
    }
    before_task_publish.send(headers=headers, properties={}, declare=None, **spoken)
    message = {
        **form["rest"],
        "body": base64.b64encode(orjson.dumps(body)).decode(),
        "headers": headers,
        "properties": {
            **form["properties"],
            "correlation_id": task_id,
            "delivery_tag": uuid(),
        },
    }
    redis_tell("LPUSH", settings.QUEUE_PREFIX + queue, orjson.dumps(message, default=str))
    after_task_publish.send(headers=headers, **spoken)


def _form(task: Task[Any, Any], queue: str) -> dict[str, Any]:
    """What is kept of a message. Threads take turns: the queues in memory are one for all."""
    with _forming:
        return _written(task, queue)


@lru_cache(maxsize=32)
def _written(task: Task[Any, Any], queue: str) -> dict[str, Any]:
    """What Celery and kombu write for this task, taken from a queue in memory."""
    written = task.app.amqp.create_task_message(
        "0",
        task.name,
        reply_to=task.app.thread_oid,
        time_limit=task.time_limit,
        soft_time_limit=task.soft_time_limit,
        ignore_result=True,
    )
    with Connection("memory://") as connection:
        channel: Any = connection.default_channel
        Producer(channel, serializer=task.serializer).publish(
            written.body,
            routing_key=queue,
            declare=[Queue(queue)],
            headers=written.headers,
            delivery_mode=task.app.conf.task_default_delivery_mode,
            **written.properties,
        )
        kept: dict[str, Any] = channel._get(queue)
    return {
        "headers": kept.pop("headers"),
        "properties": kept.pop("properties"),
        "embed": written.body[2],
        "rest": kept,
    }
