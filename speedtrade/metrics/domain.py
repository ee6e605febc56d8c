"""What the whole house is like, read from the database and Redis when Prometheus asks.

Every web process says the same, so dashboards take the max. One query each, at most METRICS_KEPT
old; what cannot be read is left out and counted in `speedtrade_unreadable`.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from accounts.services.audit_chain import audit_unsealed_since, audit_verify
from marketdata import quote_store
from marketdata.feeds.registry import known_names
from marketdata.hours import market_hours
from portfolio.models import LedgerCheck
from speedtrade.backups.making import last_backup
from speedtrade.doctor.servers import clock_offsets
from speedtrade.lib.heartbeat import heartbeat_ages
from speedtrade.lib.lease import leases_held
from speedtrade.lib.redis import redis_client
from speedtrade.lib.tally import tallies
from speedtrade.lib.triggers import append_only_unguarded
from speedtrade.metrics.tasks import MICROS, task_counts
from trading.domain.orders import OPEN_STATES
from trading.models import BrokerLink, Order, Submission
from trading.selectors.facts import halt_open
from trading.selectors.watch import FLIGHT_STATES, differences_open, tasks_parked

logger = structlog.get_logger(__name__)
EVENTS = ("order_overfilled", "unknown_status")
LEASES = ("venue", "feed")
TASK, TASKS_MOST = re.compile(r"[a-z]+\.tasks\.[a-z_]+"), 100  # what a label of a task may be
NEVER = float("inf")  # the age of what never happened: above every limit


def gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"speedtrade_{name}", words, value=value)


def labelled(
    name: str, words: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"speedtrade_{name}", words, labels=[label])
    for value, number in values:
        family.add_metric([value], number)
    return family


def age(moment: datetime | None, now: datetime) -> float:
    """Seconds since then; 0 for what is not there, which is what a queue that is empty says."""
    return max((now - moment).total_seconds(), 0) if moment else 0


def orders(now: datetime) -> Iterator[Metric]:
    """Along the index of open orders: those that ended are without number."""
    states = sorted(state.value for state in OPEN_STATES)
    flight = [state.value for state in FLIGHT_STATES]
    found = Order.objects.filter(state__in=states).order_by().values("state")
    rows = {row["state"]: row for row in found.annotate(n=Count("id"), oldest=Min("updated_at"))}
    counts = [(state, rows[state]["n"] if state in rows else 0) for state in states]
    yield labelled("orders_open", "Open orders.", "state", counts)
    oldest = min((rows[state]["oldest"] for state in flight if state in rows), default=None)
    words = "Since the oldest order in flight had a word."
    yield gauge("order_in_flight_seconds", words, age(oldest, now))


def outbox(now: datetime) -> Iterator[Metric]:
    found = Submission.objects.filter(done_at__isnull=True).aggregate(
        n=Count("id"), oldest=Min("created_at")
    )
    yield gauge("outbox_waiting", "Rows that a broker has not answered.", found["n"])
    yield gauge("outbox_oldest_seconds", "Age of the oldest of them.", age(found["oldest"], now))


def gates(now: datetime) -> Iterator[Metric]:
    found = BrokerLink.objects.aggregate(
        open=Count("id", filter=Q(open_since__isnull=False)),
        paused=Count("id", filter=Q(paused_until__gt=now)),
        all=Count("id"),
        oldest=Min("open_since"),
    )
    closed = ("stopped", found["open"]), ("paused", found["paused"]), ("all", found["all"])
    yield labelled("gates", "Lines to brokers, by state of their gate.", "state", closed)
    words = "Since the first gate that lets nothing pass did so."
    yield gauge("gate_stopped_seconds", words, age(found["oldest"], now))


def differences(now: datetime) -> Iterator[Metric]:
    found = differences_open().aggregate(n=Count("id"), oldest=Min("first_seen_at"))
    yield gauge("differences_open", "Confirmed ones between books and brokers.", found["n"])
    words = "Age of the oldest of them."
    yield gauge("difference_oldest_seconds", words, age(found["oldest"], now))


def halts(now: datetime) -> Iterator[Metric]:
    halt = halt_open()
    yield gauge("trading_halted", "1 while nobody may trade.", float(halt is not None))
    by_guard = halt is not None and halt.set_by_id is None
    words = "1 where the guard or the command line halted it."
    yield gauge("trading_halted_by_house", words, float(by_guard))


def books(now: datetime) -> Iterator[Metric]:
    check = LedgerCheck.objects.order_by("-ran_at", "-id").first()
    words = "Since the last ledger check."
    seconds = age(check.ran_at, now) if check else NEVER
    yield gauge("ledger_check_age_seconds", words, seconds)
    words = "What the last ledger check found."
    yield gauge("ledger_differences", words, check.differences if check else 0)
    last = last_backup(now)
    yield gauge("backup_age_seconds", "Since the last backup.", age(last, now) if last else NEVER)


def guards(now: datetime) -> Iterator[Metric]:
    with connection.cursor() as cursor:
        unguarded = append_only_unguarded(cursor)
        held = leases_held(LEASES, cursor)
    words = "Append-only tables whose trigger is gone or off."
    yield gauge("tables_unguarded", words, len(unguarded))
    holders = [(name, float(name in held)) for name in LEASES]
    yield labelled("lease_held", "1 where somebody holds the lease.", "lease", holders)


def audit(now: datetime) -> Iterator[Metric]:
    breaks = audit_verify(last=settings.AUDIT_SCRAPE).breaks
    yield gauge("audit_breaks", "Newest rows of the audit that were changed.", len(breaks))
    words = "Since the oldest row of the audit was written that has no seal yet."
    yield gauge("audit_unsealed_seconds", words, age(audit_unsealed_since(), now))


def parked(now: datetime) -> Iterator[Metric]:
    yield gauge("tasks_parked", "Work that was put aside.", tasks_parked().count())


def life(now: datetime) -> Iterator[Metric]:
    ages = heartbeat_ages(["worker", "feed"], now)
    seconds = {part: NEVER if old is None else old.total_seconds() for part, old in ages.items()}
    yield gauge("sweep_age_seconds", "Since the last sweep of the outbox.", seconds["worker"])
    yield gauge("feed_age_seconds", "Since the feed's last window.", seconds["feed"])


def queues(now: datetime) -> Iterator[Metric]:
    names = [settings.CELERY_TASK_DEFAULT_QUEUE, settings.BROKERS_QUEUE]
    prefix = settings.QUEUE_PREFIX
    lengths = [(name, float(redis_client().llen(f"{prefix}{name}"))) for name in names]
    yield labelled("queue_length", "Tasks that wait for a worker.", "queue", lengths)


def quotes(now: datetime) -> Iterator[Metric]:
    """Of each feed, while the exchange whose prices it tells is open; else 0: it has no news."""
    known = set(known_names())
    newest = [(name, at) for name, at in quote_store.newest_by_source().items() if name in known]
    hours = market_hours()
    late = [
        (name, age(at, now) if name.startswith("ccxt") or hours.is_open("stock", now) else 0)
        for name, at in newest
    ]
    yield labelled("quote_age_seconds", "Of the newest quote in session.", "feed", late)


def events(now: datetime) -> Iterator[Metric]:
    counted = tallies()
    family = CounterMetricFamily("speedtrade_events", "What must not happen.", labels=["event"])
    for event in EVENTS:
        family.add_metric([event], counted.get(event, 0))
    yield family


def worked(now: datetime) -> Iterator[Metric]:
    """Of the tasks that workers told of: this process does not load them all."""
    counted = task_counts()
    named = {field.partition(" ")[0] for field in counted}
    names = sorted(name for name in named if TASK.fullmatch(name))[:TASKS_MOST]
    for field, name, words, unit in (
        ("runs", "runs", "Tasks that ended.", 1),
        ("failures", "failures", "Tasks that raised.", 1),
        ("micros", "seconds", "Time that tasks took.", MICROS),
    ):
        family = CounterMetricFamily(f"speedtrade_task_{name}", words, labels=["task"])
        for task in names:
            family.add_metric([task], counted.get(f"{task} {field}", 0) / unit)
        yield family


def clocks(now: datetime) -> Iterator[Metric]:
    offsets = clock_offsets().items()
    yield labelled("clock_offset_seconds", "Clock of a server less ours.", "server", offsets)


READERS: tuple[Callable[[datetime], Iterator[Metric]], ...] = (
    orders, outbox, gates, differences, halts, books, guards, audit, parked,
    life, queues, quotes, events, worked, clocks,
)  # fmt: skip


class DomainCollector:
    """All of the above, at most METRICS_KEPT old; one reading at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[float, list[Metric]] | None = None

    def describe(self) -> list[Metric]:
        """Nothing, so that a registry does not read the database to learn our names."""
        return []

    def collect(self) -> list[Metric]:
        with self._lock:
            at, kept = time.monotonic(), self._kept
            if kept is None or at - kept[0] >= settings.METRICS_KEPT.total_seconds():
                self._kept = kept = (at, _read(timezone.now()))
            return kept[1]


def _read(now: datetime) -> list[Metric]:
    families: list[Metric] = []
    unreadable = []
    for reader in READERS:
        try:
            families += list(reader(now))
            failed = 0.0
        except (DatabaseError, RedisError, ValueError, LookupError) as error:
            logger.warning("metrics_unreadable", part=reader.__name__, error=type(error).__name__)
            failed = 1.0
        unreadable.append((reader.__name__, failed))
    words = "1 where a part of these figures could not be read."
    return [*families, labelled("unreadable", words, "part", unreadable)]
