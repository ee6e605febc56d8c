"""`manage.py halt_trading "reason"`: stop new orders of everybody. Needs the database alone."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from trading.services.halts import trading_halt


class Command(BaseCommand):
    help = "Stop new orders of everybody; cancels still pass. Harmless when trading is halted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reason", help="why; people whose orders are refused read it")

    def handle(self, *args: Any, **options: Any) -> None:
        halt, new = trading_halt(actor=None, reason=options["reason"], now=timezone.now())
        if new:
            self.stdout.write(f"Trading is halted: {halt.reason}")
        else:
            since = f"{halt.set_at:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"Trading has been halted since {since}: {halt.reason}")
