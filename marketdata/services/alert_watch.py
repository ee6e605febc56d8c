"""The alerts beside the feed: each quote is held against an index in memory, hits go to a thread.

`take` runs in the feed's loop and asks nobody: two comparisons for a quote that concerns no alert,
and a note for the thread otherwise. The thread alone talks to the database, so quotes go out at
their pace whatever it does; what it could not write it tries again.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from marketdata.alert_selectors import watches_all
from marketdata.alert_signal import alerts_version
from marketdata.domain.alerts import Shelf, Watch, shelf_of
from marketdata.domain.quotes import Quote
from marketdata.services.alert_firing import alert_fire, alert_ready

logger = logging.getLogger(__name__)

#: The pause before trying again while the database is away.
AWAY_PAUSE: Final = timedelta(seconds=2)
AWAY: Final = (OperationalError, InterfaceError)
STOP_WITHIN: Final = 5.0  # seconds that a stop waits for the thread


class AlertWatch:
    """`take` quotes from one thread; `turn` does the work, in the thread that `start` begins."""

    def __init__(self, read: Callable[[], Sequence[Watch]] = watches_all) -> None:
        self._read = read
        self._shelves: dict[str, Shelf] = {}  # replaced or set by the working thread only
        self._hits: dict[int, tuple[Watch, Quote]] = {}  # alert -> the quote that it met first
        self._guard = threading.Lock()  # of the hits
        self._reload_at: datetime | None = None
        self._version = ""
        self._away = False
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    # ── the feed's side ─────────────────────────────────────────────────────
    def take(self, quotes: Iterable[Quote], now: datetime) -> None:
        """Note which alerts these quotes concern. Never waits, never raises."""
        for quote in quotes:
            shelf = self._shelves.get(quote.symbol)
            if shelf is None or not shelf.concerns(quote.last):
                continue
            met = [watch for watch in shelf.watches if watch.acts(quote.last, now)]
            if met:
                with self._guard:
                    for watch in met:
                        self._hits.setdefault(watch.alert_id, (watch, quote))
                self._wake.set()

    # ── the thread's side ───────────────────────────────────────────────────
    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the work; what is being written is finished."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        while not self._stop.is_set():
            close_old_connections()
            well = self.turn(datetime.now(UTC))
            if well:
                self._wake.wait(settings.ALERTS_LOOK.total_seconds())
                self._wake.clear()
            else:
                self._stop.wait(AWAY_PAUSE.total_seconds())
        connection.close()

    def turn(self, now: datetime) -> bool:
        """Look for changed alerts when that is due, and write down every hit; whether it went."""
        try:
            self._reload_when_due(now)
            while (hit := self._next_hit()) is not None:
                self._write_or_drop(*hit, now)
        except AWAY as error:
            if not self._away:
                logger.warning("alerts_without_database", extra={"error": str(error)})
            self._away = True
            return False
        except Exception:
            # Whatever it was, the next turn may do better; the thread must not die of it.
            logger.exception("alerts_failed")
            return False
        if self._away:
            logger.info("alerts_have_database_again")
            self._away = False
        return True

    def _reload_when_due(self, now: datetime) -> None:
        version = alerts_version()
        due = self._reload_at is None or now >= self._reload_at
        if not due and version == self._version:
            return
        shelves: dict[str, list[Watch]] = {}
        for watch in self._read():
            shelves.setdefault(watch.symbol, []).append(watch)
        self._shelves = {symbol: shelf_of(watches) for symbol, watches in shelves.items()}
        # Read before the rows: a change in between only makes the next turn read again.
        self._version = version
        self._reload_at = now + settings.ALERTS_RELOAD

    def _next_hit(self) -> tuple[Watch, Quote] | None:
        with self._guard:
            return next(iter(self._hits.values()), None)

    def _write_or_drop(self, watch: Watch, quote: Quote, now: datetime) -> None:
        """One hit into the database. It is kept while that is away; another error drops it."""
        try:
            self._write(watch, quote, now)
        except AWAY:
            raise
        except Exception:
            # One alert that cannot be written must not keep the others waiting for ever.
            logger.exception("alert_not_written", extra={"alert": watch.alert_id})
            self._reload_at = None
        with self._guard:
            self._hits.pop(watch.alert_id, None)

    def _write(self, watch: Watch, quote: Quote, now: datetime) -> None:
        after: Watch | None
        if watch.armed:
            done = alert_fire(alert_id=watch.alert_id, quote=quote, now=now)
            quiet = now + settings.ALERT_QUIET
            after = replace(watch, armed=False, quiet_until=quiet) if watch.repeats else None
        else:
            done = alert_ready(alert_id=watch.alert_id, quote=quote)
            after = replace(watch, armed=True)
        if done:
            self._put(watch, after)
        else:
            # Another was first, or its owner changed it: see what it is now.
            self._put(watch, None)
            self._reload_at = None

    def _put(self, watch: Watch, after: Watch | None) -> None:
        """The shelf of this alert's symbol with `after` in its place, or without it."""
        shelf = self._shelves.get(watch.symbol)
        others = [w for w in shelf.watches if w.alert_id != watch.alert_id] if shelf else []
        self._shelves[watch.symbol] = shelf_of([*others, after] if after else others)
