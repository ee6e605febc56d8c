"""`manage.py password_link NAME "why"`: for who forgot the password where no mail gets to them."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.selectors import user_by_login
from accounts.services.forgotten import reset_link_by_house
from speedtrade.lib.errors import DomainError


class Command(BaseCommand):
    help = "Print a link that sets a new password, once and for a while, for its user alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name or e-mail address of the user")
        parser.add_argument("reason", help="why; it stays in the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_by_login(options["name"])
        if user is None:
            raise CommandError("Nobody has this name.")
        try:
            link = reset_link_by_house(user=user, reason=options["reason"], now=timezone.now())
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(settings.SITE_URL + link)
