"""`manage.py prepare`: bring a database up to this release; safe to run again at every start.

It is also where Django's system checks run, once: the processes that follow skip them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction

from accounts.services.staff import support_group_ensure
from speedtrade.grants import SCHEMA_SHUT, everybody_creates, role_check, rows_grant


class Command(BaseCommand):
    help = "Migrate, load the instruments, and with --demo make the demo user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="make the demo user as well")

    def handle(self, *args: Any, **options: Any) -> None:
        role = settings.DATABASE_APP_ROLE
        if role:  # before anything is changed that the release of before could not read
            self._ask(role_check, role)
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        if role:
            self._ask(rows_grant, role)
            self._told(role)
        support_group_ensure()  # whoever works at the desk already may do what this release adds
        call_command("load_instruments", offline=True, stdout=self.stdout)
        if options["demo"]:
            call_command("seed_demo", stdout=self.stdout)
        if settings.PRODUCTION:
            self._collect_static()

    def _told(self, role: str) -> None:
        with connection.cursor() as cursor:
            everybody = everybody_creates(cursor)
        if everybody:
            self.stdout.write(
                f"{role} may read and write rows, and like everybody make tables and functions: the"
                f" schema public is another's. As a superuser, in this database: {SCHEMA_SHUT}"
            )
        else:
            self.stdout.write(f"{role} may read and write rows, and no more.")

    def _ask(self, question: Callable[[Any, str], None], role: str) -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                question(cursor, role)
        except DatabaseError as error:
            raise CommandError(
                f"DATABASE_APP_ROLE is {role}, and it cannot be given the rows: {error} It must "
                "be there, and be another than the owner of the tables, as whom this must run."
            ) from error

    def _collect_static(self) -> None:
        """Each release brings its own files; an image has them already and cannot be written."""
        folder = Path(settings.STATIC_ROOT)
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if os.access(nearest, os.W_OK):
            call_command("collectstatic", interactive=False, verbosity=0)
