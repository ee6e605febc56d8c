"""The ledger's check in a large house: it may take its time, and it is never there twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from portfolio import tasks
from portfolio.models import LedgerCheck
from portfolio.services import rebuild
from speedtrade.celery import app


def test_the_check_may_take_longer_than_other_work_and_ends_before_the_next():
    """100,000 orders take it 10 seconds; the house's own limit would end it at 450,000."""
    task = tasks.ledger_check
    soft, hard = settings.LEDGER_CHECK_SOFT_LIMIT, settings.LEDGER_CHECK_LIMIT
    assert (task.soft_time_limit, task.time_limit) == (soft.total_seconds(), hard.total_seconds())
    assert soft.total_seconds() > settings.CELERY_TASK_TIME_LIMIT
    assert soft < hard < settings.LEDGER_CHECK_PERIOD


def test_what_may_outlast_the_memory_of_redis_is_acknowledged_as_it_begins():
    """Or Redis gives it to another worker, and again, while the first is still at it."""
    given_back = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    app.loader.import_default_modules()
    long = [task for task in app.tasks.values() if (task.time_limit or 0) >= given_back]
    assert long == [app.tasks[tasks.ledger_check.name]]
    assert not any(task.acks_late for task in long)
    assert settings.CELERY_TASK_ACKS_LATE and given_back > settings.CELERY_TASK_TIME_LIMIT


@pytest.mark.parametrize("patience", [None, settings.LEDGER_CHECK_SOFT_LIMIT, timedelta(0)])
def test_a_statement_of_the_check_takes_the_time_that_its_caller_has(
    transactional_db: Any, monkeypatch: pytest.MonkeyPatch, patience: timedelta | None
):
    query = "SELECT name, setting::bigint, 0 FROM pg_settings WHERE name = 'statement_timeout'"
    monkeypatch.setattr(rebuild, "_QUERIES", [("limit", query)])
    wanted = settings.STATEMENT_TIMEOUT if patience is None else patience
    [said] = rebuild.ledger_differences(patience)
    assert int(said.found) == wanted // timedelta(milliseconds=1)
    with connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall()[0][1] == settings.STATEMENT_TIMEOUT // timedelta(milliseconds=1)


def test_the_beat_and_the_command_wait_for_their_statements(
    transactional_db: Any, monkeypatch: pytest.MonkeyPatch
):
    from django.core.management import call_command

    asked: list[timedelta | None] = []
    monkeypatch.setattr(
        rebuild, "ledger_differences", lambda patience=None: asked.append(patience) or []
    )
    tasks.ledger_check()
    call_command("check_ledger")
    assert asked == [settings.LEDGER_CHECK_SOFT_LIMIT, timedelta(0)]
    assert LedgerCheck.objects.count() == 2
