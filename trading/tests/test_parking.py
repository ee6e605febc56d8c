"""Starts that are counted, what is put aside, and how a person lets it go on."""

import time
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from accounts.models import AuditEvent, User
from speedtrade.lib.errors import Conflict
from speedtrade.lib.redis import redis_client
from speedtrade.testing.waiting import wait_until
from trading.models import ParkedTask
from trading.services import parking
from trading.services.parking import PREFIX, task_release, task_started

pytestmark = pytest.mark.django_db
TASK = "trading.tasks.submission_send"


def die(arguments: tuple[object, ...] = (7,), times: int = 1) -> None:
    """Starts without an end, as a process that is killed leaves them."""
    with patch.object(parking, "_forget"):
        for _ in range(times):
            assert may(arguments)


def may(arguments: tuple[object, ...] = (7,)) -> bool:
    with task_started(TASK, arguments, "celery") as allowed:
        return allowed


def test_work_that_never_ended_is_put_aside_once_and_others_are_not(caplog: Any) -> None:
    die(times=settings.TASK_STARTS)
    assert not may()
    assert not may()
    row = ParkedTask.objects.get()
    assert (row.task, row.arguments, row.queue) == (TASK, "[7]", "celery")
    assert [record.message for record in caplog.records] == ["task_parked"]
    assert may((8,))


def test_an_end_makes_good_what_went_before_and_so_does_an_error() -> None:
    for _ in range(3):
        die(times=settings.TASK_STARTS - 1)
        with pytest.raises(ZeroDivisionError), task_started(TASK, (7,), "celery"):
            raise ZeroDivisionError
    assert not ParkedTask.objects.exists()


def test_a_periodic_duty_rests_and_is_tried_again(settings: Any) -> None:
    settings.TASK_REST = timedelta(seconds=1)
    die((), times=settings.TASK_STARTS_PERIODIC)
    assert not may(())
    assert not ParkedTask.objects.exists()
    began = time.monotonic()
    wait_until(lambda: may(()), 10, "it is tried again")
    assert time.monotonic() - began < 5


def test_without_redis_work_is_done_and_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise redis.ConnectionError("nobody is there")

    die(times=settings.TASK_STARTS)
    monkeypatch.setattr(redis.Redis, "execute_command", away)
    assert may()


def test_what_a_person_releases_is_sent_again_and_counted_from_zero(
    alice: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from celery import current_app

    sent: list[Any] = []
    monkeypatch.setattr(current_app, "send_task", lambda *args, **words: sent.append((args, words)))
    die(times=settings.TASK_STARTS)
    assert not may()
    row = ParkedTask.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        task_release(parked=row, actor=alice, reason="Mended.", now=timezone.now())
    assert sent == [((TASK,), {"args": [7], "queue": "celery"})]
    assert redis_client().get(f"{PREFIX}{TASK}:[7]") is None
    assert may()
    assert AuditEvent.objects.get(action="task.release").reason == "Mended."
    with pytest.raises(Conflict):
        task_release(parked=row, actor=alice, reason="Again.", now=timezone.now())
