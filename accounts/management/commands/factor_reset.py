"""`manage.py factor_reset NAME "why"`: for a superuser who lost phone and codes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.second_factor import factors_forget, has_factor
from accounts.selectors import user_by_login
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from accounts.services.devices import trust_end
from accounts.services.users import user_sessions_end
from speedtrade.lib.errors import DomainError


class Command(BaseCommand):
    help = "Take away every second factor of a user, with trust, sessions and tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name or e-mail address of the user")
        parser.add_argument("reason", help="why; it stays in the audit")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        found, now = user_by_login(options["name"]), timezone.now()
        if found is None:
            raise CommandError("Nobody has this name.")
        user = User.objects.select_for_update(no_key=True).get(pk=found.pk)
        if not has_factor(user):
            raise CommandError(f"{user.username} has no second factor.")
        try:
            reason = reason_required(options["reason"])
        except DomainError as error:
            raise CommandError(error.detail) from error
        factors_forget(user)
        trust_end(user=user, now=now)
        user_sessions_end(user=user, now=now)
        target = f"user:{user.pk}"
        audit_record(actor=None, action="user.factor_reset", target=target, reason=reason, now=now)
        self.stdout.write(f"{user.username} logs in by password alone, and sets up another factor.")
