"""`manage.py rotate_broker_keys`: seal every broker key anew with the first of FIELD_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.services.credentials import credentials_rotate


class Command(BaseCommand):
    help = "Encrypt all broker keys with the first of FIELD_KEYS; then older ones can go."

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = credentials_rotate(now=timezone.now())
        self.stdout.write(f"{done} keys are sealed with the first of FIELD_KEYS.")
        if unreadable:
            raise CommandError(
                "Left as they were, because none of FIELD_KEYS opens them: the keys of accounts "
                f"{', '.join(map(str, unreadable))}. Keep the older FIELD_KEYS, or have their "
                "owners give the key again."
            )
