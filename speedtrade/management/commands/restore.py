"""`manage.py restore FILE --into-env NAME`: put a backup back, and prove it."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from speedtrade.backups.programs import BackupError
from speedtrade.backups.restoring import kept_drop, put_back, restore
from speedtrade.env import BadSetting, env_str


class Command(BaseCommand):
    help = "Put a backup into an empty database and prove its books. The writers must be stopped."
    requires_system_checks: list[str] = []  # the configured database may be the one that is gone

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", help="a .dump with its .json beside it")
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--into", help="postgresql:// address of the target, for all to list")
        target.add_argument("--into-env", metavar="NAME", help="the variable that holds it")
        parser.add_argument("--replace", action="store_true", help="drop what the target holds")
        kept = parser.add_mutually_exclusive_group()
        kept.add_argument("--put-back", action="store_true", help="undo a restore broken off")
        kept.add_argument("--drop-kept", action="store_true", help="drop what it kept, for ever")

    def handle(self, *args: Any, **options: Any) -> None:
        file, kept = options["file"], options["put_back"] or options["drop_kept"]
        if (file is None) is not kept:
            raise CommandError("Name the file of a backup, or else --put-back or --drop-kept.")
        try:
            into = options["into"] or env_str(options["into_env"])
            if options["put_back"]:
                put_back(into=into, replace=options["replace"])
                self.stdout.write("What the target held before is back in its place.")
            elif options["drop_kept"]:
                kept_drop(into=into)
                self.stdout.write("What the target held before is dropped.")
            else:
                self._restore(file, into, replace=options["replace"])
        except (BackupError, BadSetting) as error:
            raise CommandError(str(error)) from error

    def _restore(self, file: Path, into: str, *, replace: bool) -> None:
        done = restore(file=file, into=into, replace=replace)
        self.stdout.write(
            f"{done.rows} rows are back, the books are clean and equal to the backup "
            f"(ledger {done.ledger}). It took {done.took.total_seconds() / 60:.1f} minutes."
        )
