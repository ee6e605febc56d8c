"""Streams of updates from brokers: one thread per account, inside the one venue process.

A stream hurries; what it loses is found by `account_sync`, which it asks for after every gap.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, TypeVar

from django.db import close_old_connections
from django.utils import timezone

from accounts.models import AccountStatus, BrokerageAccount
from speedtrade.lib.errors import InvariantBroken
from trading.brokers.base import BrokerOrder, UpdateStream
from trading.brokers.capabilities import caps_of
from trading.brokers.registry import credential_version, stream_for
from trading.models import BrokerLink
from trading.services.executions import report_apply
from trading.services.syncs import link_touch

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")
STOP_WAIT: Final = 5.0  # seconds


class StreamKeeper:
    """Keeps a stream running for each active account whose broker has one."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, str], _Runner] = {}

    def tend(self) -> None:
        """Start what is missing or has died, end what is not wanted (with that key)."""
        wanted = dict(_wanted())
        for key, runner in list(self._running.items()):
            if key not in wanted or not runner.alive:
                runner.stop()
                del self._running[key]
        for key, account in wanted.items():
            if key not in self._running:
                self._running[key] = _Runner(account)

    def stop(self) -> None:
        for runner in self._running.values():
            runner.stop()
        self._running.clear()


def _wanted() -> list[tuple[tuple[int, str], BrokerageAccount]]:
    rows = BrokerageAccount.objects.filter(
        status__in=[AccountStatus.ACTIVE, AccountStatus.FROZEN],
        link__began_at__isnull=False,
        credential__isnull=False,
    ).select_related("credential")
    return [
        ((account.pk, credential_version(account)), account)
        for account in rows
        if caps_of(account.broker, account.exchange).push_updates
    ]


class _Runner:
    """One stream in one thread with one event loop; bookings run in a thread of their own."""

    def __init__(self, account: BrokerageAccount) -> None:
        self._account_id = account.pk
        self._account = account
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._books = ThreadPoolExecutor(1, thread_name_prefix=f"books-{account.pk}")
        self._thread = threading.Thread(target=self._run, name=f"stream-{account.pk}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stopping.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join(STOP_WAIT)
        self._books.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            # The keeper starts it again; until then the account is polled.
            logger.exception("stream_failed", extra={"account": self._account_id})
        finally:
            self._silent()
            close_old_connections()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopping.is_set():
            return
        stream: UpdateStream = await self._in_books(lambda: stream_for(self._account))
        try:
            await stream.run(self._on_update, self._on_gap)
        except asyncio.CancelledError:
            return

    async def _on_update(self, report: BrokerOrder) -> None:
        await self._in_books(lambda: stream_report(self._account_id, report))

    async def _on_gap(self, why: str) -> None:
        logger.info("stream_gap", extra={"account": self._account_id, "why": why})
        await self._in_books(lambda: stream_gap(self._account_id, timezone.now()))

    async def _in_books(self, work: Callable[[], Answer]) -> Answer:
        def clean() -> Answer:
            close_old_connections()
            return work()

        future: Any = asyncio.get_running_loop().run_in_executor(self._books, clean)
        result: Answer = await future
        return result

    def _silent(self) -> None:
        try:
            BrokerLink.objects.filter(brokerage_account_id=self._account_id).update(streaming=False)
        except Exception:
            logger.warning("stream_mark_failed", extra={"account": self._account_id})


def stream_report(account_id: int, report: BrokerOrder) -> None:
    """Book what a stream told; an order that is not ours is found by the next synchronisation."""
    now = timezone.now()
    try:
        order = report_apply(account_id=account_id, report=report, source="stream", now=now)
    except InvariantBroken:
        # A report that cannot be: support must look at this order, the stream goes on.
        logger.exception("report_refused", extra={"account": account_id})
        return
    BrokerLink.objects.filter(brokerage_account_id=account_id).update(stream_at=now)
    if order is None or order.fills_missing_since is not None:
        link_touch(account_id=account_id)


def stream_gap(account_id: int, now: datetime) -> None:
    """The stream is (again) connected: what happened meanwhile is asked for at once."""
    BrokerLink.objects.filter(brokerage_account_id=account_id).update(streaming=True, stream_at=now)
    link_touch(account_id=account_id)
