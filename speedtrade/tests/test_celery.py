"""What every task of a worker finds when it begins."""

import psycopg
import pytest
from celery.signals import task_prerun
from django.conf import settings
from django.db import connection

from speedtrade.celery import app


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
        other.execute("SELECT pg_terminate_backend(%s)", [before])
    task_prerun.send(sender=app, task_id="1", task=None)
    assert backend() != before
