"""`manage.py halt_trading "reason"`: stop new orders of everybody. Needs the database alone."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from speedtrade.lib.errors import DomainError
from speedtrade.lib.later import later_done
from trading.services.halts import PAGES_TOLD_WITHIN, trading_halt


class Command(BaseCommand):
    help = "Stop new orders of everybody; cancels still pass. Harmless when trading is halted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reason", help="why; people whose orders are refused read it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            halt, new = trading_halt(actor=None, reason=options["reason"], now=timezone.now())
        except DomainError as error:
            raise CommandError(error.detail) from error
        later_done(PAGES_TOLD_WITHIN)
        if new:
            self.stdout.write(f"Trading is halted: {halt.reason}")
        else:
            since = f"{halt.set_at:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"Trading has been halted since {since}: {halt.reason}")
