"""Celery's doors to trading: ids in, one service each, harmless twice."""

from celery import shared_task
from django.utils import timezone

from speedtrade.lib.heartbeat import heartbeat
from trading.services import reconciliation, submissions


@shared_task(name="trading.tasks.submission_send")
def submission_send(submission_id: int) -> None:
    """A wake-up: tell the broker about one order now."""
    submissions.submission_process(submission_id=submission_id, now=timezone.now())


@shared_task(name="trading.tasks.submissions_sweep")
def submissions_sweep() -> None:
    """Every few seconds: what was not taken, not answered or lost on the way."""
    heartbeat("worker", timezone.now())
    reconciliation.submissions_sweep(now=timezone.now(), wake=submission_send.delay)


@shared_task(name="trading.tasks.orders_poll")
def orders_poll() -> None:
    """Every few seconds: ask the brokers how our open orders are."""
    reconciliation.orders_poll(now=timezone.now())
