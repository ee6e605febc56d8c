"""`manage.py password_link NAME "why"`: for who forgot the password where no mail gets to them."""

from django.conf import settings
from django.utils import timezone

from accounts.management.acts import UserAct
from accounts.models import User
from accounts.services.forgotten import reset_link_by_house


class Command(UserAct):
    help = "Print a link that sets a new password, once and for a while, for its user alone."

    def act(self, user: User, reason: str) -> str:
        link = reset_link_by_house(user=user, reason=reason, now=timezone.now())
        return f"{settings.SITE_URL}{link}"
