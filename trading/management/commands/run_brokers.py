"""`manage.py run_brokers`: the venue process. Paper matching, and brokers' streams of updates."""

import logging
import signal
import time
from collections.abc import Iterable
from types import FrameType
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from django.utils import timezone
from redis.exceptions import RedisError

from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.lease import LEASE_RETRY, Lease
from trading.brokers.paper.venue import BrokerReport
from trading.services.executions import report_apply
from trading.services.matching import VenueRunner
from trading.services.streams import StreamKeeper

logger = logging.getLogger(__name__)
BACKOFF_MAX = 5.0  # seconds


class Command(BaseCommand):
    help = "Match paper orders and follow brokers' streams. One process at a time, by a lease."
    requires_system_checks: list[str] = []  # `prepare` has run them

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = _Stop()
        backoff = 0.2
        while not stopping.asked:
            try:
                with Lease("venue") as lease:
                    self._hold(lease, stopping)
                backoff = 0.2
            except (psycopg.OperationalError, DatabaseError, RedisError) as error:
                logger.warning("venue_interrupted", extra={"error": str(error)})
                close_old_connections()
                time.sleep(backoff)
                backoff = min(backoff * 2, BACKOFF_MAX)

    def _hold(self, lease: Lease, stopping: "_Stop") -> None:
        """Wait for the lease, then match until asked to stop or the lease is gone."""
        waiting = False
        while not lease.take():
            if not waiting:
                self.stdout.write("Another venue process holds the lease; waiting.")
                waiting = True
            time.sleep(LEASE_RETRY.total_seconds())
            if stopping.asked:
                return
        runner, streams = VenueRunner(), StreamKeeper()
        apply(runner.start(timezone.now()))
        logger.info("venue_started")
        try:
            while not stopping.asked:
                apply(runner.step())
                if runner.due("streams"):
                    streams.tend()
                if runner.due("lease") and not lease.held():
                    logger.warning("venue_lease_lost")
                    return
        finally:
            streams.stop()  # one connection per account: the next holder needs it


def apply(reports: Iterable[BrokerReport]) -> None:
    """Bring each report into our books, in a transaction of its own."""
    for report in reports:
        try:
            report_apply(
                account_id=report.account_id,
                report=report.order,
                source="venue",
                now=timezone.now(),
            )
        except InvariantBroken:
            # A report that cannot be: support must look at this order, the market goes on.
            logger.exception("report_refused", extra={"account": report.account_id})


class _Stop:
    """Set by SIGTERM and Ctrl-C: the step that runs is finished, the next is not begun."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
