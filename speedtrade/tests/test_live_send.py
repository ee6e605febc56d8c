"""What is told in the background reaches its readers, and what waits together leaves together."""

import json
import threading
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.conf import settings as django_settings

from speedtrade.lib import later as later_module
from speedtrade.lib import live
from speedtrade.lib.later import later, later_done, redis_tell
from speedtrade.lib.messages import task_tell
from speedtrade.lib.redis import redis_client
from trading.tasks import submission_send

QUEUE = "celery"
#: What differs from one message of a task to the next.
OWN = {"id", "root_id", "correlation_id", "delivery_tag", "reply_to"}


def told(queue: str = QUEUE) -> dict[str, Any]:
    text = redis_client().lpop(django_settings.QUEUE_PREFIX + queue)
    message: dict[str, Any] = json.loads(str(text))
    return message


def without_own(message: dict[str, Any]) -> dict[str, Any]:
    def bare(part: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in OWN}

    return {
        **message,
        "headers": bare(message["headers"]),
        "properties": bare(message["properties"]),
    }


@pytest.mark.parametrize("queue", [QUEUE, django_settings.BROKERS_QUEUE])
def test_our_message_is_the_one_that_celery_writes(queue: str) -> None:
    """Fails when a release of Celery, kombu or django-structlog writes another one."""
    import base64

    submission_send.apply_async((7,), queue=queue)
    task_tell(submission_send, (7,), queue)
    ours, theirs = told(queue), told(queue)
    bodies = [json.loads(base64.b64decode(one.pop("body"))) for one in (ours, theirs)]
    assert bodies[0] == bodies[1]
    assert without_own(ours) == without_own(theirs)
    assert ours["headers"].keys() == theirs["headers"].keys()
    assert ours["properties"].keys() == theirs["properties"].keys()
    assert ours["headers"]["id"] == ours["headers"]["root_id"] != theirs["headers"]["id"]
    assert ours["properties"]["correlation_id"] == ours["headers"]["id"]


def test_the_id_of_a_request_goes_along() -> None:
    import structlog

    with structlog.contextvars.bound_contextvars(request_id="abc-12345"):
        task_tell(submission_send, (7,), QUEUE)
    assert told()["headers"]["__django_structlog__"]["request_id"] == "abc-12345"


async def test_a_group_of_the_layer_hears_what_we_publish() -> None:
    """Fails when a release of channels-redis names the channel of a group otherwise."""
    import asyncio

    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(live.user_group(7), channel)
    await asyncio.to_thread(live._send, live.user_group(7), "order", 3, None)
    heard = await asyncio.wait_for(layer.receive(channel), 5)
    assert heard == {"type": "live.event", "kind": "order", "id": 3, "account": None}
    await layer.flush()


def test_what_waits_together_is_one_round_trip(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Fails where each job speaks for itself."""
    settings.LATER_INLINE = False
    batches: list[int] = []
    tell = later_module._tell
    monkeypatch.setattr(
        later_module, "_tell", lambda commands: (batches.append(len(commands)), tell(commands))
    )
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go.wait(5)

    later(hold)
    assert begun.wait(5)
    for number in range(3):
        later(redis_tell, "RPUSH", "told", str(number))
    go.set()
    assert later_done(5)
    assert [size for size in batches if size] == [3]
    assert redis_client().lrange("told", 0, -1) == ["0", "1", "2"]


def test_a_redis_that_is_away_costs_only_the_wake_up(
    monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: Any
) -> None:
    settings.LATER_INLINE = False

    class Away:
        def execute_command(self, *command: Any) -> None:
            raise ConnectionError("away")

    monkeypatch.setattr(later_module, "redis_client", Away)
    later(redis_tell, "PING")
    assert later_done(5)
    monkeypatch.undo()
    settings.LATER_INLINE = False
    later(redis_tell, "SET", "told", "1")
    assert later_done(5)
    assert redis_client().get("told") == "1"
    assert "later_failed" in caplog.text
