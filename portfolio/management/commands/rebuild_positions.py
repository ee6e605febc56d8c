"""`manage.py rebuild_positions`: write positions and lots anew from the journal."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from portfolio.services.rebuild import positions_rebuild


class Command(BaseCommand):
    help = "Positions and lots are projections: write them anew from the journal."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{positions_rebuild(now=timezone.now())} positions rebuilt.")
