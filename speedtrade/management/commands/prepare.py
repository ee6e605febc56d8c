"""`manage.py prepare`: bring a database up to this release; safe to run again at every start.

It is also where Django's system checks run, once: the processes that follow skip them.
"""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from accounts.services.staff import support_group_ensure


class Command(BaseCommand):
    help = "Migrate, load instruments, name support's rights, and with --demo make the demo user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="make the demo user as well")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        call_command("load_instruments")
        support_group_ensure()
        if options["demo"]:
            call_command("seed_demo")
