"""The Celery application and its beat: every periodic duty of the house in one table."""

import gc
import logging.config
import os
from typing import Any

from celery import Celery, Task
from celery.signals import (
    setup_logging,
    task_prerun,
    worker_before_create_process,
    worker_ready,
)
from django.conf import settings
from django.db import close_old_connections
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu.transport.redis import Channel, Transport
from redis.exceptions import ConnectionError as RedisConnectionError

from speedtrade.metrics import tasks as measured_tasks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")


class HouseChannel(Channel):
    """A channel that outlives its connection says so as any lost connection does.

    Celery 5.7 closes a lost connection twice: the second time a task that was on its way is to be
    put back, or acknowledged, over what is gone. That came as an AttributeError, which nobody takes
    for a lost connection, so that each restart of Redis ended the workers that were at work.
    """

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise RedisConnectionError("the connection of this channel has been closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]


Transport.Channel = HouseChannel


class HouseTask(Task):
    """A task whose starts are counted: what ends its worker each time is put aside."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from trading.services.parking import task_started

        if self.request.called_directly:
            return self.run(*args, **kwargs)
        queue = (self.request.delivery_info or {}).get("routing_key") or ""
        named = [*args, kwargs] if kwargs else args
        with task_started(self.name, named, queue) as may:
            return self.run(*args, **kwargs) if may else None


app = Celery("speedtrade", task_cls=HouseTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
measured_tasks.connect()
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def use_house_logging(**_: object) -> None:
    """Celery must not put its own format over ours."""
    logging.config.dictConfig(settings.LOGGING)


@worker_before_create_process.connect
def pages_share(**_: object) -> None:
    """Let a worker and its pool share what they have in common for good.

    A collection of garbage writes into every object that it looks at, and so copies the pages that
    a fork shares: the first large one made each process of the pool more than twice as heavy.
    """
    gc.collect()
    gc.freeze()


@task_prerun.connect
def connections_look_over(**_: object) -> None:
    """A task begins as a request does: a connection that broke or grew old is closed and made anew.

    Celery does so itself only every CELERY_DB_REUSE_MAX tasks, and until then each would fail.
    """
    close_old_connections()


@worker_ready.connect
def sweep_at_start(sender: Any, **_: object) -> None:
    """A worker that starts looks at once for what the last one left, and shows that it lives."""
    with sender.app.connection_for_write() as connection:
        sender.app.send_task("trading.tasks.submissions_sweep", connection=connection)


def beat_schedule() -> dict[str, Any]:
    """The beat. A poll that was not taken within its period is dropped: the next one knows more."""
    return {
        name: {
            "task": task,
            "schedule": period.total_seconds(),
            "options": {"expires": period.total_seconds()},
        }
        for name, task, period in (
            ("sweep", "trading.tasks.submissions_sweep", settings.SWEEP_PERIOD),
            ("poll", "trading.tasks.orders_poll", settings.POLL_PERIOD),
            ("links", "trading.tasks.accounts_sync", settings.LINK_TICK),
            ("lost", "trading.tasks.lost_give_up", settings.LEDGER_CHECK_PERIOD),
            ("snapshots", "portfolio.tasks.equity_snapshot", settings.SNAPSHOT_PERIOD),
            ("ledger", "portfolio.tasks.ledger_check", settings.LEDGER_CHECK_PERIOD),
            ("thin", "portfolio.tasks.snapshots_thin", settings.TIDY_PERIOD),
            ("letters", "accounts.tasks.letters_sweep", settings.LETTERS_PERIOD),
            ("audit", "accounts.tasks.audit_seal", settings.AUDIT_SEAL_PERIOD),
            ("audit-walk", "accounts.tasks.audit_walk", settings.AUDIT_WALK_PERIOD),
            ("families", "accounts.tasks.families_clean", settings.TOKEN_CLEANUP_PERIOD),
        )
    }


app.conf.beat_schedule = beat_schedule()
