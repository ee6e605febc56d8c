"""`manage.py seed_demo`: a demo trader and a support login, with the data folder's password."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import User
from accounts.services.staff import SUPPORT_GROUP, support_grant
from accounts.services.users import user_register
from marketdata.services.watchlists import watchlist_ensure_default


class Command(BaseCommand):
    help = "Make the demo user and a support user where they are missing. Not for production."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION or not settings.DEMO_PASSWORD:
            raise CommandError("Demo logins are made outside production only, by `manage.py up`.")
        for name, staff in (("demo", False), ("support", True)):
            user = User.objects.filter(username=name).first()
            if user is None:
                user = user_register(
                    username=name,
                    email=f"{name}@speedtrade.invalid",
                    password=settings.DEMO_PASSWORD,
                    now=timezone.now(),
                )
                watchlist_ensure_default(user=user, now=timezone.now())
            if staff and not user.groups.filter(name=SUPPORT_GROUP).exists():
                support_grant(
                    user=user, actor=None, reason="the demo's support login", now=timezone.now()
                )
