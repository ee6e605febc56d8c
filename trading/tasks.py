"""Celery's doors to trading: ids in, one service each, harmless twice."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from speedtrade.lib.heartbeat import heartbeat
from trading.services import keys, lost, reconciliation, submissions, syncs
from trading.services.outbox import LOOK_AFTER, submission_hand_over
from trading.services.parking import task_started

_PERIOD = settings.LINK_TICK.total_seconds()


@shared_task(name="trading.tasks.submission_send")
def submission_send(submission_id: int) -> None:
    """A wake-up: tell the broker about one order now."""
    submissions.submission_process(submission_id=submission_id, now=timezone.now())


@shared_task(name="trading.tasks.submissions_sweep")
def submissions_sweep() -> None:
    """Every few seconds: what was not taken, not answered or lost on the way."""
    heartbeat("worker", timezone.now())
    reconciliation.submissions_sweep(
        now=timezone.now(),
        wake=submission_hand_over,
        recover=submission_recover.delay,
        started=lambda pk: task_started(submission_recover.name, (pk,), settings.BROKERS_QUEUE),
    )


@shared_task(name="trading.tasks.submission_recover")
def submission_recover(submission_id: int) -> None:
    """Ask a broker for an order whose submission has no answer."""
    reconciliation.submission_recover(submission_id=submission_id, now=timezone.now())


@shared_task(name="trading.tasks.order_look")
def order_look(order_id: int, looked: int = 1) -> None:
    """Ask how an order went at a broker that does not tell; a few times, then its account polls."""
    if submissions.order_look(order_id=order_id, now=timezone.now()) and looked < len(LOOK_AFTER):
        order_look.apply_async((order_id, looked + 1), countdown=LOOK_AFTER[looked])


@shared_task(name="trading.tasks.orders_poll")
def orders_poll() -> None:
    """Every few seconds: ask the paper venue how our open orders are."""
    reconciliation.orders_poll(now=timezone.now())


@shared_task(name="trading.tasks.accounts_sync")
def accounts_sync() -> None:
    """Every few seconds: which accounts at brokers are due, each in a task of its own."""
    for account_id in syncs.accounts_due(now=timezone.now()):
        account_sync.apply_async((account_id,), expires=_PERIOD)


@shared_task(name="trading.tasks.account_sync")
def account_sync(account_id: int) -> None:
    """Read one account at its broker."""
    syncs.account_sync(account_id=account_id, now=timezone.now())


@shared_task(name="trading.tasks.key_check")
def key_check(account_id: int) -> None:
    """Ask a broker what an account's key may do, because its owner wants to know."""
    keys.key_check_run(account_id=account_id, now=timezone.now())


@shared_task(name="trading.tasks.lost_give_up")
def lost_give_up() -> None:
    """Now and then: orders that have been lost for a day and stay so."""
    lost.lost_give_up(now=timezone.now())
