"""What a person has put away on their dashboard."""

from django.conf import settings
from django.db import models


class WelcomeDismissal(models.Model):
    """The first steps of a new user, put away: they are not shown again."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id} {self.at:%Y-%m-%d}"
