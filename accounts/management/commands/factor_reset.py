"""`manage.py factor_reset NAME "why"`: for a superuser who lost phone and codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.selectors import user_by_login
from accounts.services.resets import factor_reset_by_house
from speedtrade.lib.errors import DomainError


class Command(BaseCommand):
    help = "Take away every second factor of a user, with trust, sessions, tokens and API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name or e-mail address of the user")
        parser.add_argument("reason", help="why; it stays in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_by_login(options["name"])
        if user is None:
            raise CommandError("Nobody has this name.")
        try:
            factor_reset_by_house(user=user, reason=options["reason"], now=timezone.now())
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{user.username} logs in by password alone, and sets up another factor.")
