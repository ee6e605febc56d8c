"""Put a backup back into a database, and prove that all of it is there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from speedtrade.backups.facts import facts_read
from speedtrade.backups.holding import OURS, held
from speedtrade.backups.manifest import manifest_read
from speedtrade.backups.programs import BackupError, connected, major, program, run, where_of
from speedtrade.datafolder import PROJECT
from speedtrade.grants import role_check, rows_grant
from speedtrade.lib.lease import ASIDE, leases_held

KEPT = (
    f"A restore was broken off: what the target held before it lies in the schema {ASIDE}, and "
    "nowhere else. `manage.py restore --put-back` puts it back in place; --drop-kept proves what "
    "stands there now and drops the other for ever."
)
WRITERS = ("venue", "feed")  # who holds a lease; web and workers are seen by their connections


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back: rows of all tables, the hash of its books, and how long it took."""

    rows: int
    ledger: str
    took: timedelta


def restore(*, file: Path, into: str, replace: bool = False) -> Restored:
    """Put `file` into the database at the address `into` and hold it against its manifest.

    With `replace` the database may hold something, which is dropped once the rest is proved and
    comes back where it is not; what was empty is then empty again. Until then no process of the
    house gets into it, also where the restore is broken off. Raises BackupError before anything is
    written where the file is not what its manifest says, the database is in use or not empty, what
    it held before an earlier restore still lies aside, or the code is older than the file.
    """
    began = time.monotonic()
    manifest = manifest_read(file)
    where = _where(into)
    try:
        with held(where) as holder:
            _room_make(holder, manifest, replace=replace)
            try:
                _put(file, where, major(holder))
                _compare(where, manifest)
                _prove(into)
                _rights_give(where)
                holder.execute("SELECT 1")  # it held to the end
            except BaseException:
                _undo(holder, where)
                raise
            _drop_kept(holder)
    except psycopg.Error as error:
        raise BackupError(f"The target does not do what it is told: {error}") from error
    took = timedelta(seconds=time.monotonic() - began)
    return Restored(sum(manifest["rows"].values()), manifest["ledger"], took)


def _room_make(
    connection: "psycopg.Connection[Any]", manifest: Mapping[str, Any], *, replace: bool
) -> None:
    """Look whether the target may be restored into, and move aside what it holds."""
    server = major(connection)
    if server < manifest["postgres"]:
        raise BackupError(
            f"The backup is of PostgreSQL {manifest['postgres']}, the target is {server}."
        )
    _refuse_in_use(connection)
    _role_check(connection)
    if _kept(connection):
        raise BackupError(KEPT)
    filled = _filled(connection)
    if filled and not replace:
        raise BackupError(
            f"The target is not empty ({filled} tables). Give an empty database, or "
            "--replace to drop what it holds."
        )
    _move_aside(connection, filled=bool(filled))
    connection.commit()


def _role_check(connection: "psycopg.Connection[Any]") -> None:
    """Raise BackupError where the role that shall have the rows cannot be given them."""
    if not settings.DATABASE_APP_ROLE:
        return
    try:
        with connection.cursor() as cursor:
            role_check(cursor, settings.DATABASE_APP_ROLE)
    except OperationalError as error:
        raise BackupError(f"DATABASE_APP_ROLE: {error}") from error


def _put(file: Path, where: Mapping[str, str], server: int) -> None:
    arguments = ["--exit-on-error", "--no-owner", "--no-privileges", "--single-transaction"]
    pg_restore = program("pg_restore", server)
    run(pg_restore, [*arguments, f"--dbname={where['dbname']}", str(file)], where)


def _rights_give(where: Mapping[str, str]) -> None:
    if settings.DATABASE_APP_ROLE:
        with connected(where) as connection, connection.cursor() as cursor:
            rows_grant(cursor, settings.DATABASE_APP_ROLE)


def _undo(holder: "psycopg.Connection[Any]", where: Mapping[str, str]) -> None:
    """Put back what the target held. Where the hold broke, somebody may have got in: both stay."""
    try:
        holder.execute("SELECT 1")
    except psycopg.Error as error:
        raise BackupError(KEPT) from error
    with connected(where) as connection:
        _move_back(connection)


def put_back(*, into: str, replace: bool = False) -> None:
    """Put what a target held before a restore that was broken off back in its place.

    Drops what stands there, with `replace` alone where that holds anything. Raises BackupError
    where nothing was kept, or the database is in use.
    """
    with _kept_of(into) as connection:
        filled = _filled(connection)
        if filled and not replace:
            raise BackupError(
                f"{filled} tables stand in its place: those of the backup, and what was written "
                "since. Give --replace as well to drop them."
            )
        _move_back(connection)


def kept_drop(*, into: str) -> None:
    """Drop what a target held before a restore that was broken off, once what stands is proved.

    Raises as `put_back`, and where that is not the books of this code: the restore may have ended
    before it had set aside what waited, or given the processes their rights.
    """
    with _kept_of(into) as connection:
        _role_check(connection)
        connection.commit()
        _prove(into)
        _rights_give(_where(into))
        _drop_kept(connection)


def _where(into: str) -> dict[str, str]:
    if not into.startswith(("postgres://", "postgresql://")):
        raise BackupError("The target is named by its postgresql:// address.")
    return where_of(conninfo_to_dict(into))


@contextmanager
def _kept_of(into: str) -> Iterator["psycopg.Connection[Any]"]:
    """A transaction in a database that nobody uses and that still holds what was moved aside."""
    try:
        with held(_where(into)) as connection:
            _refuse_in_use(connection)
            if not _kept(connection):
                raise BackupError(f"Nothing was kept: there is no schema {ASIDE}.")
            yield connection
    except psycopg.Error as error:
        raise BackupError(f"The target does not do what it is told: {error}") from error


def _refuse_in_use(connection: "psycopg.Connection[Any]") -> None:
    """Raise BackupError while anybody else is connected; who holds a lease is named."""
    with connection.cursor() as cursor:
        writers = leases_held(WRITERS, cursor)
    if writers:
        raise BackupError(f"Stop the writers first: {' and '.join(writers)} run on the target.")
    # Of what kind another role's is, is hidden from ours; the server's own have no user.
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND usesysid IS NOT NULL"
        " AND coalesce(backend_type, 'client backend') = 'client backend'"
    ).fetchone()
    if row and row[0]:
        raise BackupError(f"Stop the writers first: {row[0]} others are connected to the target.")


def _filled(connection: "psycopg.Connection[Any]") -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    ).fetchone()
    return int(row[0]) if row else 0


def _kept(connection: "psycopg.Connection[Any]") -> bool:
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [ASIDE])
    return found.fetchone() is not None


def _move_aside(connection: "psycopg.Connection[Any]", *, filled: bool) -> None:
    """An empty target keeps its schema, which may hold extensions; the other is the mark alone."""
    former, new = "public", ASIDE
    if filled:
        connection.execute(f"ALTER SCHEMA public RENAME TO {ASIDE}")
        former, new = ASIDE, "public"
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(new)))
    # Who could reach into the former schema can reach into the new one.
    grants = connection.execute(
        "SELECT acl.privilege_type, CASE acl.grantee WHEN 0 THEN 'PUBLIC'"
        " ELSE quote_ident(pg_get_userbyid(acl.grantee)) END"
        " FROM pg_namespace, aclexplode(nspacl) acl WHERE nspname = %s",
        [former],
    ).fetchall()
    for privilege, grantee in grants:
        given = sql.SQL(f"GRANT {privilege} ON SCHEMA {new} TO {grantee}")
        connection.execute(given)


def _move_back(connection: "psycopg.Connection[Any]") -> None:
    connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
    connection.execute(f"ALTER SCHEMA {ASIDE} RENAME TO public")


def _drop_kept(connection: "psycopg.Connection[Any]") -> None:
    connection.execute(f"DROP SCHEMA {ASIDE} CASCADE")


def _compare(where: Mapping[str, str], manifest: Mapping[str, Any]) -> None:
    with connected(where) as connection:
        found = facts_read(connection)
    if found.ledger != manifest["ledger"]:
        raise BackupError("The books that came back are not those that were backed up.")
    if found.rows != manifest["rows"] or found.migrations != manifest["migrations"]:
        raise BackupError("Not every row came back: the counts are not those of the manifest.")


def _prove(into: str) -> None:
    """`migrate --check`, `check_ledger`, `settle_restored`: in a process whose database it is."""
    surroundings = {**os.environ, "DATABASE_URL": into, OURS: "1"}
    surroundings.pop("DATABASE_URL_FILE", None)
    for arguments, words in (
        (
            ("migrate", "--check"),
            "The backup is older than this code: restore it with the version that made it, then "
            "upgrade",
        ),
        (("check_ledger",), "The ledger check found differences"),
        (("settle_restored",), "What waited at the backup could not be set aside"),
    ):
        done = subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *arguments],
            cwd=PROJECT,
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            told = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise BackupError(f"{words}: {' / '.join(told)}")
