"""Checks of PostgreSQL, Redis, the clocks and the disks."""

import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import ResponseError

from speedtrade.doctor.lines import line_judge
from speedtrade.doctor.verdicts import Verdict, bad, doubtful, good
from speedtrade.grants import SCHEMA_SHUT, everybody_creates, history_changeable
from speedtrade.lib.redis import redis_client

POSTGRES_LEAST, POSTGRES_TESTED = 15, 18
REDIS_LEAST = 7
CONNECTIONS_WARN, CONNECTIONS_BAD = 0.8, 0.95  # of what the server lets in
DISK_WARN, DISK_BAD = 0.15, 0.05  # of a disk that must be free
CLOCK_MOST = 1.0  # seconds


def ask(query: str) -> tuple[Any, ...]:
    """The one row of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def database_answers(now: datetime) -> Verdict:
    version = ask("SHOW server_version_num")[0]
    major = int(version) // 10_000
    if major < POSTGRES_LEAST:
        return bad(f"PostgreSQL {major} is too old.", f"Use PostgreSQL {POSTGRES_TESTED}.")
    if major != POSTGRES_TESTED:
        return doubtful(f"PostgreSQL {major}; tested is {POSTGRES_TESTED}.", "Upgrade it in time.")
    return good(f"PostgreSQL {major}.")


def database_line(now: datetime) -> Verdict:
    query = "SELECT ssl, host(inet_server_addr()) FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    encrypted, address = ask(query)
    return line_judge(encrypted, _known(address), "sslmode=verify-full in DATABASE_URL")


def _known(address: str | None) -> list[str]:
    """None is a socket of this machine."""
    return [] if address is None else [address]


def redis_line(now: datetime) -> Verdict:
    parts = urlsplit(settings.REDIS_URL)
    local = parts.scheme == "unix"
    pool = redis_client().connection_pool
    link = pool.get_connection()
    try:
        peer = None if local else link._sock.getpeername()[0]
    finally:
        pool.release(link)
    encrypted = parts.scheme == "rediss"
    return line_judge(encrypted, _known(peer), "a rediss:// address in REDIS_URL")


def database_role(now: datetime) -> Verdict:
    query = (
        "SELECT rolsuper, rolcreaterole, has_schema_privilege(current_user, 'public', 'CREATE')"
        " FROM pg_roles WHERE rolname = current_user"
    )
    superuser, roles, tables = ask(query)
    if superuser or roles:
        return bad(
            "The role of the house is a superuser: the triggers that guard the ledger can be "
            "switched off with it.",
            "Give it a role without SUPERUSER and CREATEROLE.",
        )
    with connection.cursor() as cursor:
        everybody, changeable = everybody_creates(cursor), history_changeable(cursor)
    if everybody:
        return doubtful(
            "Every role may make tables and functions in the schema public, which the owner of the "
            "tables might run, as in a cluster that PostgreSQL 14 or older made.",
            f"As a superuser, in this database: {SCHEMA_SHUT}",
        )
    if tables:
        return doubtful(
            "The role of the house may change tables, though only migrations need to.",
            "Let another role own them; DATABASE_APP_ROLE, then manage.py prepare as that one.",
        )
    if changeable:
        return doubtful(
            f"Only triggers keep it from changing {', '.join(changeable)}.",
            "Set DATABASE_APP_ROLE, then manage.py prepare as the owner of the tables.",
        )
    return good("It reads and writes rows and no more.")


def database_zone(now: datetime) -> Verdict:
    zone = ask("SELECT setting FROM pg_settings WHERE name = 'TimeZone'")[0]
    if zone not in ("UTC", "Etc/UTC"):
        return bad(f"Sessions are in {zone}.", "Leave the time zone of a session to the house.")
    return good("UTC.")


def database_room(now: datetime) -> Verdict:
    query = "SELECT count(*), current_setting('max_connections')::int FROM pg_stat_activity"
    # The kind of another role's is hidden from ours; the server's own have no user.
    clients = "usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
    used, most = ask(f"{query} WHERE {clients}")
    words = f"{used} of {most} connections."
    if used >= most * CONNECTIONS_WARN:
        tone = bad if used >= most * CONNECTIONS_BAD else doubtful
        return tone(words, "Raise max_connections, or run fewer WEB_THREADS and workers.")
    return good(words)


def migrations_applied(now: datetime) -> Verdict:
    executor = MigrationExecutor(connection)
    left = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if left:
        return bad(f"{left} migrations are not applied.", "manage.py prepare")
    return good("All applied.")


def redis_version(now: datetime) -> Verdict:
    told = redis_client().info("server")
    valkey, spoken = told.get("valkey_version"), str(told["redis_version"])
    if int(spoken.partition(".")[0]) < REDIS_LEAST:
        return bad(f"Redis {spoken} is too old.", "Use Valkey 9, or Redis 7 and later.")
    return good(f"Valkey {valkey}." if valkey else f"Redis {spoken}.")


def redis_password(now: datetime) -> Verdict:
    parts = urlsplit(settings.REDIS_URL)
    if parts.password or parts.scheme == "unix":
        return good("Asked for.")
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return doubtful("Every program of this machine may write to it.", "Set requirepass.")
    return bad("Whoever reaches it may write to it.", "Set requirepass, and it in REDIS_URL.")


def redis_settings() -> dict[str, str]:
    """What decides whether it forgets; nothing of a server that does not tell, as hosted ones."""
    try:
        told: dict[str, str] = redis_client().config_get("maxmemory-policy", "appendonly")
    except ResponseError:
        return {}
    return told


def redis_keeps(now: datetime) -> Verdict:
    told = redis_settings()
    policy, appends = told.get("maxmemory-policy"), told.get("appendonly")
    if policy is None or appends is None:
        return doubtful(
            "It does not tell its settings.", "See that it is noeviction and outlives a restart."
        )
    if policy != "noeviction":
        return bad(
            f"{policy}: a full Redis forgets work.", "CONFIG SET maxmemory-policy noeviction"
        )
    if appends != "yes":
        return bad(
            "Not written to disk: a restart forgets work, and who was wrong how often.",
            "CONFIG SET appendonly yes, and the same in its configuration.",
        )
    return good("noeviction, and it is written to disk.")


def clocks_agree(now: datetime) -> Verdict:
    """`now` is of no use here: time passes on the way."""
    offsets = clock_offsets()
    name, worst = max(offsets.items(), key=lambda one: abs(one[1]))
    words = f"The clock of {name} is {worst:+.2f} s off that of this machine."
    if abs(worst) > CLOCK_MOST:
        return bad(words, "Run chrony or systemd-timesyncd on every machine.")
    return good(words)


def clock_offsets() -> dict[str, float]:
    """Seconds that the clock of each server is before ours; raises what their clients raise."""
    return {"database": _offset(_database_clock), "Redis": _offset(_redis_clock)}


def _database_clock() -> float:
    return float(ask("SELECT extract(epoch FROM clock_timestamp())")[0])


def _redis_clock() -> float:
    seconds, micros = redis_client().time()
    return float(seconds) + float(micros) / 1e6


def _offset(clock: Any) -> float:
    """Against the middle of the question."""
    before = time.time()
    told = clock()
    return float(told - (before + time.time()) / 2)


def disk_free(now: datetime) -> Verdict:
    """Of this machine: the data folder and the backups. A database elsewhere has its own."""
    folders = [_nearest(settings.DATA_DIR), _nearest(settings.BACKUP_DIR)]
    free = {str(one): usage.free / usage.total for one in folders if (usage := disk_usage(one))}
    folder, share = min(free.items(), key=lambda one: one[1])
    words = f"{share:.0%} free at {folder}."
    if share < DISK_WARN:
        tone = bad if share < DISK_BAD else doubtful
        return tone(words, "Make room: without it orders are refused.")
    return good(words)


def disk_usage(path: Path) -> Any:
    return shutil.disk_usage(path)


def _nearest(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())
