"""`manage.py support_grant NAME "reason"`: the first person at the support desk of a new house."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.selectors import user_by_login
from accounts.services.staff import support_grant, support_revoke
from speedtrade.lib.errors import DomainError


class Command(BaseCommand):
    help = "Let a registered user work at the support desk (/admin/), or take it back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name or e-mail address of a registered user")
        parser.add_argument("reason", help="why; it stays in the audit")
        parser.add_argument("--revoke", action="store_true", help="take it back")

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_by_login(options["name"])
        if user is None:
            raise CommandError("Nobody has this name. They register first, at /register.")
        act = support_revoke if options["revoke"] else support_grant
        try:
            act(user=user, actor=None, reason=options["reason"], now=timezone.now())
        except DomainError as error:
            raise CommandError(error.detail) from error
        words = "left" if options["revoke"] else "works at"
        self.stdout.write(f"{user.username} {words} the support desk.")
