"""The feed process: one at a time, window after window, whatever falls over beside it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import psycopg
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from marketdata.models import Instrument
from marketdata.services.publishing import QuotePublisher
from speedtrade.lib.lease import LEASE_RETRY, BeingRestored, Lease

logger = logging.getLogger(__name__)

#: So often the holder asks whether the session that holds the lease still lives.
LEASE_CHECK: Final = timedelta(seconds=5)
#: The first and the longest pause while Redis is away; each is twice the one before.
REDIS_PAUSE: Final = timedelta(milliseconds=250)
REDIS_PAUSE_MAX: Final = timedelta(seconds=5)
#: While there are no instruments, or no database to read them from, ask again so often.
EMPTY_RELOAD: Final = timedelta(seconds=2)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The time, and a way to wait that a stop ends."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds since whenever, never running backwards."""

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the process shall stop; whether it shall."""


class Aide(Protocol):
    """What runs beside the windows, in threads of its own, only where the process leads."""

    def start(self) -> None:
        """Begin; again is harmless."""

    def stop(self) -> None:
        """End within seconds; again is harmless."""


class SystemClock:
    """The machine's clock; `stop` ends every wait at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(seconds)


def instruments_read() -> list[tuple[str, str]]:
    """(symbol, name of its feed) of every instrument, on a connection that works."""
    close_old_connections()
    return list(Instrument.objects.values_list("symbol", "feed"))


class FeedProcess:
    """Runs a publisher in windows of settings.FEED_TICK_WATCHED until its clock says stop.

    Windows sit on the wall clock, as the simulated ticks do, so a tick goes out as it happens. A
    wait is never longer than a window and a window runs at most once: after a pause, or a step of
    the clock, the process goes on with the present one and makes up for nothing. Instruments are
    read again now and then, and at once when `relisted` is set.
    """

    def __init__(
        self,
        *,
        publisher: QuotePublisher,
        lease: Lease,
        clock: Clock,
        instruments: Callable[[], Sequence[tuple[str, str]]] = instruments_read,
        aides: Sequence[Aide] = (),
        relisted: threading.Event | None = None,
    ) -> None:
        self._relisted = relisted or threading.Event()
        self._aides = list(aides)
        self._publisher = publisher
        self._instruments = instruments
        self._lease = lease
        self._clock = clock
        self._leading = False
        self._waiting_said = False
        self._lease_check = 0.0
        self._reload = 0.0
        self._failures = 0
        self._window = -1

    def run(self) -> None:
        """Return when the clock says stop, with the lease given back."""
        period = settings.FEED_TICK_WATCHED
        try:
            stop = False
            while not stop:
                if not self._lead():
                    stop = self._clock.wait(LEASE_RETRY.total_seconds())
                    continue
                self._reload_when_due()
                now = self._clock.now()
                window = (now - EPOCH) // period
                if window != self._window:
                    self._window = window
                    stop = self._publish(window, now)
                    continue
                rest = period - (now - EPOCH) % period
                stop = self._clock.wait(rest.total_seconds())
        finally:
            self._rest()
            self._lease.release()

    def _rest(self) -> None:
        """Nobody may be connected to a vendor but the process that leads."""
        for aide in self._aides:
            aide.stop()

    def _lead(self) -> bool:
        """Whether this process is the feed; looks at its lease now and then."""
        clock = self._clock.monotonic()
        if self._leading and clock < self._lease_check:
            return True
        try:
            if self._leading and self._lease.held():
                self._lease_check = clock + LEASE_CHECK.total_seconds()
                return True
            if self._leading:
                logger.warning("feed_lease_lost")
                self._leading = False
                self._rest()
                self._lease.release()
            if self._lease.take():
                logger.info("feed_started")
                self._leading, self._waiting_said = True, False
                self._lease_check = clock + LEASE_CHECK.total_seconds()
                for aide in self._aides:
                    aide.start()
                return True
            self._say_waiting("another feed runs; waiting for its lease")
        except psycopg.Error as error:
            self._rest()
            self._lease.release()
            away = "the database is away; waiting for the lease"
            self._say_waiting(str(error) if isinstance(error, BeingRestored) else away)
        return False

    def _say_waiting(self, why: str) -> None:
        if not self._waiting_said:
            logger.warning("feed_waits", extra={"why": why})
            self._waiting_said = True

    def _reload_when_due(self) -> None:
        clock = self._clock.monotonic()
        if clock < self._reload and not self._relisted.is_set():
            return
        self._relisted.clear()
        wait = EMPTY_RELOAD
        try:
            rows = self._instruments()
        except DatabaseError:
            logger.warning("feed_without_database")
        else:
            self._publisher.follow(rows)
            wait = settings.INSTRUMENTS_RELOAD if rows else EMPTY_RELOAD
        self._reload = clock + wait.total_seconds()

    def _publish(self, window: int, now: datetime) -> bool:
        """One window; while Redis is away, a pause that grows. Whether to stop."""
        try:
            self._publisher.publish(window, now)
        except RedisError:
            if not self._failures:
                logger.warning("feed_without_redis")
            pause = min(REDIS_PAUSE_MAX, REDIS_PAUSE * 2 ** min(self._failures, 10))
            self._failures += 1
            return self._clock.wait(pause.total_seconds())
        if self._failures:
            logger.info("feed_has_redis_again", extra={"failures": self._failures})
            self._failures = 0
        return False
