"""`manage.py broker_capabilities`: the table of docs/concepts/broker.md."""

from typing import Any

from django.core.management.base import BaseCommand

from trading.brokers.conformance import capability_table


class Command(BaseCommand):
    help = "Print what each broker can do, as the table of docs/concepts/broker.md."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(capability_table(), ending="")
