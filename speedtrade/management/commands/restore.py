"""`manage.py restore FILE --into URL`: put a backup back, and prove it."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from speedtrade.backups.programs import BackupError
from speedtrade.backups.restoring import restore


class Command(BaseCommand):
    help = "Put a backup into an empty database and prove its books. The writers must be stopped."
    requires_system_checks: list[str] = []  # the configured database may be the one that is gone

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a .dump with its .json beside it")
        parser.add_argument("--into", required=True, help="postgresql:// address of the target")
        parser.add_argument("--replace", action="store_true", help="drop what the target holds")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restore(file=options["file"], into=options["into"], replace=options["replace"])
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{done.rows} rows are back, the books are clean and equal to the backup "
            f"(ledger {done.ledger}). It took {done.took.total_seconds() / 60:.1f} minutes."
        )
