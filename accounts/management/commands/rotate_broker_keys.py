"""`manage.py rotate_broker_keys`: seal every stored secret anew with the first of FIELD_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.second_factor import factors_rotate
from accounts.services.credentials import credentials_rotate


class Command(BaseCommand):
    help = "Encrypt broker keys and second factors with the first of FIELD_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = credentials_rotate(now=timezone.now())
        self.stdout.write(f"{done} keys are sealed with the first of FIELD_KEYS.")
        factors, shut_out = factors_rotate()
        self.stdout.write(f"{factors} second factors as well.")
        if shut_out:
            self.stderr.write(f"Second factors of users {shut_out} cannot be opened: reset them.")
        if unreadable:
            raise CommandError(
                "Left as they were, because none of FIELD_KEYS opens them: the keys of accounts "
                f"{', '.join(map(str, unreadable))}. Keep the older FIELD_KEYS, or have their "
                "owners give the key again."
            )
