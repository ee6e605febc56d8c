"""`manage.py resume_trading`: let orders in again. Needs the database alone."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from speedtrade.lib.errors import DomainError
from speedtrade.lib.later import later_done
from trading.services.halts import PAGES_TOLD_WITHIN, trading_resume


class Command(BaseCommand):
    help = "Lift the halt of `halt_trading`. Harmless when trading is not halted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reason", nargs="?", default="resumed from the command line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lifted = trading_resume(actor=None, reason=options["reason"], now=timezone.now())
        except DomainError as error:
            raise CommandError(error.detail) from error
        later_done(PAGES_TOLD_WITHIN)
        self.stdout.write("Trading has resumed." if lifted else "Trading was not halted.")
