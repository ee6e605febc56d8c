"""`manage.py load_instruments`: write what can be traded into the table."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from marketdata.feeds.registry import feeds_running
from marketdata.services.instruments import instruments_load


class Command(BaseCommand):
    help = (
        "Load the instruments of the data file and of the venues in MARKET_DATA_FEEDS. "
        "Again is harmless; a halt stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--offline", action="store_true", help="ask no venue: the feed does so at its start"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        new, total = instruments_load(() if options["offline"] else feeds_running())
        self.stdout.write(f"{total} instruments, {new} of them new.")
