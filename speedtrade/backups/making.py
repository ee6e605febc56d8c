"""Make a backup: one file that pg_dump writes and beside it what it must hold."""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

from accounts.models import AuditEvent
from accounts.services.audit import audit_record
from speedtrade.backups.facts import Facts, facts_read
from speedtrade.backups.programs import BackupError, connected, major, program, run, where_of
from speedtrade.datafolder import project_version, write_private
from speedtrade.lib.lease import restore_refuse

MADE = "backup.made"  # the action of the audit that says when the last one was
_NAME = re.compile(r"speedtrade-\d{8}T\d{6}Z\.dump")


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is whole: the dump, and what its manifest says."""

    path: Path
    size: int
    took: timedelta
    manifest: Mapping[str, Any]


def backup_make(*, folder: Path, keep: int | None = None, now: datetime) -> Backup:
    """Dump the configured database into `folder` while it is in use, and write its manifest.

    The figures of the manifest are read in the very snapshot that pg_dump writes. With `keep` only
    so many of the newest backups stay. Raises BackupError; then no backup of this name is there.
    """
    began = time.monotonic()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"speedtrade-{now:%Y%m%dT%H%M%SZ}.dump"
    half_made = target.with_suffix(".partial")
    where = where_of(connections["default"].get_connection_params())
    try:
        os.close(os.open(half_made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupError(f"{half_made} cannot be written: {error.strerror}.") from error
    try:
        server, facts = _dump(where, half_made)
        digest = file_hash(half_made)
        manifest = {
            "file": target.name,
            "sha256": digest,
            "made_at": now.isoformat(),
            "version": project_version(),
            "postgres": server,
            **asdict(facts),
        }
        write_private(target.with_suffix(".json"), manifest)
        half_made.replace(target)
    finally:
        half_made.unlink(missing_ok=True)
    took = timedelta(seconds=time.monotonic() - began)
    size = target.stat().st_size
    audit_record(
        actor=None,
        action=MADE,
        target=target.name,
        data={"sha256": digest, "bytes": size, "seconds": round(took.total_seconds(), 1)},
        now=now,
    )
    if keep is not None:
        _prune(folder, keep)
    return Backup(target, size, took, manifest)


def _dump(where: Mapping[str, str], target: Path) -> tuple[int, Facts]:
    """(major version of the server, what was in it); the dump and the figures are of one moment."""
    try:
        with connected(where) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.cursor() as cursor:
                restore_refuse(cursor)  # what is not proved must push out no backup that was
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
            assert row  # noqa: S101 - for the types: the function gives one row
            server = major(connection)
            arguments = ["--format=custom", f"--snapshot={row[0]}", f"--file={target}"]
            run(program("pg_dump", server), arguments, where)
            return server, facts_read(connection)
    except psycopg.Error as error:
        raise BackupError(f"The database cannot be read: {error}") from error


def last_backup(now: datetime) -> datetime | None:
    """When the last backup was made, or None within BACKUP_LOOK_BACK."""
    found = AuditEvent.objects.filter(action=MADE, at__gte=now - settings.BACKUP_LOOK_BACK)
    last = found.order_by("-at").values_list("at", flat=True).first()
    return last


def backups_in(folder: Path) -> list[Path]:
    """The whole backups of a folder, the newest first."""
    found = [path for path in folder.glob("*.dump") if _NAME.fullmatch(path.name)]
    return sorted((path for path in found if path.with_suffix(".json").exists()), reverse=True)


def _prune(folder: Path, keep: int) -> None:
    for old in backups_in(folder)[max(keep, 1) :]:
        old.unlink()
        old.with_suffix(".json").unlink()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
