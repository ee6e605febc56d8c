"""`manage.py factor_reset NAME "why"`: for a superuser who lost phone and codes."""

from django.utils import timezone

from accounts.management.acts import UserAct
from accounts.models import User
from accounts.services.resets import factor_reset_by_house


class Command(UserAct):
    help = "Take away every second factor of a user, with trust, sessions, tokens and API keys."

    def act(self, user: User, reason: str) -> str:
        factor_reset_by_house(user=user, reason=reason, now=timezone.now())
        return f"{user.username} logs in by password alone, and sets up another factor."
