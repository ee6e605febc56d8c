"""`GET /health`: can this copy serve, and does what stands behind it live?

Without the database nothing can be promised: 503. Redis, the worker or the feed being away is
"degraded" with 200: pages, orders and cancels still work, and a restart would not help. Only just
after the start of this process one that is not heard yet is "starting", with 503.
The report says words only, no versions and no addresses, because everybody may read it.
"""

import json
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from speedtrade.lib.lease import BeingRestored, restore_refuse
from speedtrade.lib.schema import schema_there

HEARTBEAT_WORKER = "st:heartbeat:worker"  # unix seconds, written by the sweep task
HEARTBEAT_FEED = "st:heartbeat:feed"  # unix seconds, written by run_feed
FEEDS_ILL = "st:feeds:ill"  # JSON: label of a vendor -> what is wrong, written by run_feed
NEVER_HEARD, LONG_AGO = "no sign of life", "last seen"
OTHERS = ("worker", "feed")
REPORT_KEPT = 0.5  # seconds: however often strangers ask, the database is asked twice a second
RETRY_AFTER = 5  # seconds, told with a 503
UNKNOWN = "unknown"
LEDGER_LAST = (
    "SELECT ran_at, differences FROM portfolio_ledgercheck ORDER BY ran_at DESC, id DESC LIMIT 1"
)


@dataclass(frozen=True)
class HealthReport:
    """`status` is ok, starting, degraded or down; `checks` says "ok" or what is wrong.

    `details` says the same of what no process can serve better or worse by: the books.
    """

    status: str
    checks: dict[str, str]
    details: dict[str, str] = field(default_factory=dict)

    @property
    def serves(self) -> bool:
        """Whether requests and orders are taken."""
        return self.status != "down"


def health_report(now: float, *, young: bool = False) -> HealthReport:
    """Ask every dependency, each within HEALTH_TIMEOUT; `now` is unix seconds. Never raises.

    `young`: this process has just started, and so perhaps have those that it does not hear.
    """
    database, ledger = _database(now)
    checks, details = {"database": database} | _redis_and_heartbeats(now), {"ledger": ledger}
    if database != "ok":
        return HealthReport("down", checks, details)
    words = set(checks.values())
    if young and any(checks[part].startswith((NEVER_HEARD, LONG_AGO)) for part in OTHERS):
        return HealthReport("starting", checks, details)
    return HealthReport("ok" if words == {"ok"} else "degraded", checks, details)


def _database(now: float) -> tuple[str, str]:
    """How it is, and what the last check of the ledger found.

    By a connection of its own: that one can be opened is half of the question.
    """
    parameters = connections["default"].get_connection_params()
    names = ("host", "port", "dbname", "user", "password", "sslmode", "sslrootcert")
    seconds = int(settings.HEALTH_TIMEOUT.total_seconds())
    try:
        with (
            psycopg.connect(
                **{name: parameters[name] for name in names if name in parameters},
                connect_timeout=seconds,
                options=f"-c statement_timeout={seconds * 1000}",
                tcp_user_timeout=seconds * 1000,
            ) as connection,
            connection.cursor() as cursor,
        ):
            restore_refuse(cursor)
            return "ok", _ledger(cursor, now)
    except BeingRestored:
        return "a restore of it is not done", UNKNOWN
    except psycopg.Error:
        return "down", UNKNOWN


def _ledger(cursor: Any, now: float) -> str:
    """The last kept result in a word: not how many, and not whose."""
    try:
        cursor.execute(LEDGER_LAST)
        row = cursor.fetchone()
    except psycopg.Error:  # its table is not there yet, or it is slow: the database answers
        return UNKNOWN
    if row is None:
        return "not checked yet"
    ran_at, differences = row
    if differences:
        return "differs"
    limit = 2 * settings.LEDGER_CHECK_PERIOD.total_seconds()
    return "ok" if now - ran_at.timestamp() <= limit else "not checked lately"


@lru_cache(maxsize=1)
def _client() -> "redis.Redis[str]":
    """A client that never tries twice: the house's own waits between tries; this door may not."""
    seconds = settings.HEALTH_TIMEOUT.total_seconds()
    return redis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )


def _redis_and_heartbeats(now: float) -> dict[str, str]:
    try:
        worker, feed, ill = _client().mget(HEARTBEAT_WORKER, HEARTBEAT_FEED, FEEDS_ILL)
    except redis.RedisError:
        return {"redis": "down", "worker": "unknown", "feed": "unknown"}
    return {
        "redis": "ok",
        "worker": _age(worker, now, settings.HEALTH_WORKER_AGE.total_seconds()),
        "feed": _feed(feed, ill, now),
    }


def _feed(heartbeat: str | None, ill: str | None, now: float) -> str:
    """Whether the process lives, and then whether each of its vendors is well."""
    age = _age(heartbeat, now, settings.HEALTH_FEED_AGE.total_seconds())
    if age != "ok" or not ill:
        return age
    try:
        return "; ".join(f"{label}: {words}" for label, words in json.loads(ill).items())
    except (ValueError, AttributeError):
        return "unknown"


def _age(heartbeat: str | None, now: float, limit: float) -> str:
    try:
        age = now - float(heartbeat or "")
    except ValueError:
        return NEVER_HEARD
    return "ok" if age <= limit else f"{LONG_AGO} {age:.0f} s ago"


_leaving = False  # this process was told to end


def leave_service() -> None:
    """From now on `/health/ready` says no. For a process that is about to end."""
    global _leaving
    _leaving = True


_started = time.monotonic()
_kept: tuple[float, HealthReport] | None = None


def report_now() -> HealthReport:
    """The report, at most REPORT_KEPT old: the door for programs and the page share it."""
    global _kept
    kept, at = _kept, time.monotonic()
    if kept is None or not 0 <= at - kept[0] < REPORT_KEPT:
        # Two threads may both ask after a pause; a lock here would let one slow answer stop all.
        young = at - _started < settings.HEALTH_STARTING.total_seconds()
        _kept = kept = (at, health_report(time.time(), young=young))
    return kept[1]


@login_not_required
@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 `{status, checks:{database,redis,worker,feed}, details:{ledger}}`.

    503 while the database is away, and while the house is starting.
    """
    report = report_now()
    told = {"status": report.status, "checks": report.checks, "details": report.details}
    response = JsonResponse(told)
    if report.status in {"down", "starting"}:
        response.status_code = 503
        response["Retry-After"] = str(RETRY_AFTER)
    return response


@login_not_required
@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """204 as long as this process answers at all; it asks nobody.

    For what restarts a process that hangs: a database that is away is no reason to.
    """
    return HttpResponse(status=204)


@login_not_required
@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """204 where this process may be given requests; 503 while it ends, its database is away, or a
    migration of its code is not applied.

    For a proxy. Not for anything that stands behind: Redis or a broker being away is no reason to
    take a process out of service that takes orders.
    """
    if _leaving or not report_now().serves or not schema_there():
        return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER)})
    return HttpResponse(status=204)
