"""`manage.py check_ledger`: prove that every balance and position equals its history."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from portfolio.services.rebuild import ledger_check


class Command(BaseCommand):
    help = "Rebuild all balances, positions and lots from the ledger; exit 1 on a difference."

    def handle(self, *args: Any, **options: Any) -> None:
        check = ledger_check(now=timezone.now(), patience=timedelta(0))
        for line in check.details:
            self.stderr.write(line)
        if check.differences:
            raise CommandError(f"{check.differences} differences")
        self.stdout.write("The ledger is clean: 0 differences.")
