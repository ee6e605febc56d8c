"""What commands have in common that do something to one user, for a reason that stays."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.selectors import user_by_login
from speedtrade.lib.errors import DomainError


class UserAct(BaseCommand):
    """`manage.py … NAME "why"`: `act` does it, and says in words what there is now."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name or e-mail address of the user")
        parser.add_argument("reason", help="why; it stays in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_by_login(options["name"])
        if user is None:
            raise CommandError("Nobody has this name.")
        try:
            self.stdout.write(self.act(user, options["reason"]))
        except DomainError as error:
            raise CommandError(error.detail) from error

    def act(self, user: User, reason: str) -> str:
        """Do it, and say so; raises DomainError where it cannot be done."""
        raise NotImplementedError
