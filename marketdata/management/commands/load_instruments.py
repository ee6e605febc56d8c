"""`manage.py load_instruments`: write the instruments of the data file into the table."""

from typing import Any

from django.core.management.base import BaseCommand

from marketdata.services.instruments import instruments_load


class Command(BaseCommand):
    help = "Load the instruments of the data file. Again is harmless; a halt stays."

    def handle(self, *args: Any, **options: Any) -> None:
        new, total = instruments_load()
        self.stdout.write(f"{total} instruments, {new} of them new.")
