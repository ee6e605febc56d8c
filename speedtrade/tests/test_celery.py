"""What every task of a worker finds when it begins."""

import logging

import psycopg
import pytest
from celery.signals import task_prerun
from django.conf import settings
from django.db import connection
from kombu import Queue

from speedtrade.celery import app
from speedtrade.lib.redis import redis_client
from trading.models import ParkedTask
from trading.services import submissions
from trading.services.parking import PREFIX
from trading.tasks import submission_send


def backend() -> int:
    """The process of PostgreSQL that serves our connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.fault("F11")
@pytest.mark.django_db(transaction=True)
def test_a_task_after_a_restart_of_the_database_has_a_connection_that_works() -> None:
    """Fails without the look before each task: the connection stays broken for a thousand tasks."""
    assert app.conf.db_reuse_max == settings.CELERY_DB_REUSE_MAX
    before = backend()
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])  # back when it ended
    task_prerun.send(sender=app, task_id="1", task=None)
    assert backend() != before


@pytest.mark.django_db(transaction=True)  # a task looks its connection over
def test_a_task_that_never_ended_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without the house's class of tasks: then nobody asks whether it may begin."""
    begun = []
    monkeypatch.setattr(submissions, "submission_process", lambda **words: begun.append(words))
    key = f"{PREFIX}{submission_send.name}:[7]"
    redis_client().set(key, settings.TASK_STARTS - 1)
    submission_send.apply((7,))
    assert len(begun) == 1
    assert redis_client().get(key) is None  # it ended well
    redis_client().set(key, settings.TASK_STARTS)
    submission_send.apply((7,))
    assert len(begun) == 1
    assert ParkedTask.objects.get().arguments == "[7]"


def test_a_task_that_is_called_as_a_function_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submissions, "submission_process", lambda **words: None)
    redis_client().set(f"{PREFIX}{submission_send.name}:[7]", settings.TASK_STARTS)
    submission_send(7)
    assert redis_client().get(f"{PREFIX}{submission_send.name}:[7]") == str(settings.TASK_STARTS)


@pytest.mark.fault("F9")
def test_a_task_on_its_way_does_not_end_the_worker_whose_redis_is_lost() -> None:
    """Celery collects the lost connection, then closes it; then the task comes to its end."""
    with app.connection_for_write() as sender:
        sender.SimpleQueue("on-its-way").put({"work": 1})
    worker = app.connection_for_read()
    channel = worker.default_channel
    done, waiting = (Queue("on-its-way")(channel).get() for _ in range(2))
    assert done and not waiting
    channel._disconnect_pools()
    worker.transport.client = None
    done.ack_log_error(logging.getLogger(__name__), worker.connection_errors)
    assert not done.acknowledged, "nobody was told, so it comes back"
    worker.maybe_close_channel(channel)
    assert channel.closed
