"""`manage.py settle_restored`: what `restore` does last, for whoever restores by other means."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from trading.services.restored import restored_settle


class Command(BaseCommand):
    help = "Halt trading after a restore, and send nothing again that waited at its moment."

    def handle(self, *args: Any, **options: Any) -> None:
        count = restored_settle(now=timezone.now())
        self.stdout.write(
            f"Trading is halted. {count} orders that waited are looked up at their brokers, and "
            "not sent. `manage.py resume_trading` once the accounts agree."
        )
