"""What lies beside a dump: what must come back, and whether the dump is still what was written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db.migrations.loader import MigrationLoader

from speedtrade.backups.making import file_hash
from speedtrade.backups.programs import BackupError

SAID = {"sha256": str, "postgres": int, "rows": dict, "ledger": str, "migrations": dict}


def manifest_read(file: Path) -> Mapping[str, Any]:
    """What the manifest beside a dump says, after the dump was held against it; BackupError."""
    path = file.with_suffix(".json")
    try:
        said = _whole(json.loads(path.read_text(encoding="utf-8")))
        found = file_hash(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{file} and {path.name} must lie there, whole: {error}") from error
    if found != said["sha256"]:
        raise BackupError(
            f"{file.name} is not what was backed up: its SHA-256 is not that of {path.name}. "
            "Take another backup."
        )
    known = {app: name for app, name in sorted(MigrationLoader(None).disk_migrations)}
    newer = [app for app, name in said["migrations"].items() if known.get(app, name) < name]
    if newer:
        raise BackupError(
            f"The backup was made by newer code ({', '.join(newer)}). Restore with that version "
            f"({said.get('version')}) or a later one."
        )
    return said


def _whole(manifest: Any) -> Mapping[str, Any]:
    """It, where it says all that a restore asks it for; raises KeyError, TypeError or ValueError.

    A restore that has begun must not find out.
    """
    said: dict[str, Any] = manifest
    wrong = [name for name, kind in SAID.items() if not isinstance(said[name], kind)]
    if not wrong and not all(isinstance(name, str) for name in said["migrations"].values()):
        wrong = ["migrations"]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is not what a backup says.")
    return said
