"""Celery's doors to the portfolio: each calls one service and is harmless twice."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from portfolio.services import rebuild, snapshots


@shared_task(name="portfolio.tasks.equity_snapshot")
def equity_snapshot() -> None:
    """Each minute: the points of the equity curve."""
    snapshots.equity_snapshot(now=timezone.now())


@shared_task(name="portfolio.tasks.snapshots_thin")
def snapshots_thin() -> None:
    """Each day: old points thin out."""
    snapshots.snapshots_thin(now=timezone.now())


@shared_task(
    name="portfolio.tasks.ledger_check",
    soft_time_limit=int(settings.LEDGER_CHECK_SOFT_LIMIT.total_seconds()),
    time_limit=int(settings.LEDGER_CHECK_LIMIT.total_seconds()),
    # Redis gives a message back that is not acknowledged in time, and this one may take longer:
    # the check would run several times at once. One that is lost comes again with the next beat.
    acks_late=False,
)
def ledger_check() -> None:
    """Each quarter of an hour: the ledger proves itself; /health and the admin show the result."""
    rebuild.ledger_check(now=timezone.now(), patience=settings.LEDGER_CHECK_SOFT_LIMIT)
