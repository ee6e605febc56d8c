"""Put the first steps away."""

from datetime import datetime

from accounts.models import User
from portfolio.models import WelcomeDismissal


def welcome_dismiss(*, user: User, now: datetime) -> None:
    """The user sees the first steps no more; again is harmless."""
    WelcomeDismissal.objects.get_or_create(user=user, defaults={"at": now})
