"""One at a time, over any number of machines: a lease held by a database session.

A PostgreSQL advisory lock lives as long as the connection that took it. When its holder is killed
the server frees it at once, so no clock and no expiry has to be right. (PgBouncer in transaction
mode would break it; the two processes that hold a lease connect directly.)
"""

import contextlib
import zlib
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any

import psycopg
from django.db import connections

LEASE_RETRY = timedelta(seconds=2)  # how often one who waits tries again
HOLD = "restore"  # the lease of a restore while it works
#: The schema that stands from before a restore writes until all is proved: it outlives one that is
#: broken off. What the target held before waits in it.
ASIDE = "speedtrade_before_restore"


class BeingRestored(psycopg.OperationalError):
    """A database that is not ours to use yet: a restore works on it, or was broken off there."""


def leases_held(names: Iterable[str], cursor: Any) -> list[str]:
    """Which of these leases somebody holds in the database that `cursor` is of."""
    cursor.execute(
        "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE granted"
        " AND locktype = 'advisory' AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    held = {key for (key,) in cursor.fetchall()}
    return [name for name in names if lease_key(name) in held]


def lease_key(name: str) -> int:
    """The number of the advisory lock."""
    return zlib.crc32(f"speedtrade:{name}".encode())


def restore_refuse(cursor: Any) -> None:
    """Raise BeingRestored while a restore works on the database of `cursor`, or broke off there."""
    if leases_held([HOLD], cursor):
        raise BeingRestored("A restore works on this database; come back when it is done.")
    cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [ASIDE])
    if cursor.fetchone()[0]:
        raise BeingRestored(
            "A restore of this database was broken off, and what stands there is not proved: "
            "`manage.py restore --put-back` or `--drop-kept` ends it."
        )


class Lease:
    """`with Lease("venue") as lease: if lease.take(): …`; ask `lease.held()` now and then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = lease_key(name)
        self._connection: psycopg.Connection[tuple[bool]] | None = None

    def take(self) -> bool:
        """Try once; True when this process now holds the lease.

        Raises psycopg.OperationalError; BeingRestored, with nothing held, where a restore is not
        done. It looks after its session is there, and a restore at sessions after it has its hold:
        of two that begin at once, one sees the other.
        """
        if self._connection is None or self._connection.closed:
            parameters = connections["default"].get_connection_params()
            names = ("host", "port", "dbname", "user", "password")
            chosen = {name: parameters[name] for name in names if name in parameters}
            self._connection = psycopg.connect(
                **chosen,
                autocommit=True,
                connect_timeout=5,
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
                tcp_user_timeout=10_000,  # milliseconds for what was said and not heard
            )
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [self._key]).fetchone()
        if not (row and row[0]):
            return False
        try:
            with self._connection.cursor() as cursor:
                restore_refuse(cursor)
        except BaseException:
            self.release()
            raise
        return True

    def held(self) -> bool:
        """Whether the session that took the lease still lives."""
        try:
            if self._connection is None or self._connection.closed:
                return False
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def release(self) -> None:
        """Let go, at once: the server frees what a closed session held only when it gets to it."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
