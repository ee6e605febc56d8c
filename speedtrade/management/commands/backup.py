"""`manage.py backup [--to DIR] [--keep N]`: a backup of the database, while it is in use."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from speedtrade.backups.making import backup_make
from speedtrade.backups.programs import BackupError


class Command(BaseCommand):
    help = "Write the database and a manifest of it into a folder. The running house may run on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, help="the folder (default: BACKUP_DIR)")
        parser.add_argument(
            "--keep", type=int, help="keep so many of the newest, delete the others"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["keep"] is not None and options["keep"] < 1:
            raise CommandError("--keep must be at least 1.")
        folder = options["to"] or settings.BACKUP_DIR
        try:
            made = backup_make(folder=folder, keep=options["keep"], now=timezone.now())
        except BackupError as error:
            raise CommandError(str(error)) from error
        rows = sum(made.manifest["rows"].values())
        seconds = made.took.total_seconds()
        self.stdout.write(f"{made.path}: {rows} rows, {made.size} bytes, {seconds:.1f} s.")
        self.stdout.write(f"ledger {made.manifest['ledger']}")
