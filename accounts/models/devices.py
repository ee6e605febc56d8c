"""The browsers of a user: where they are logged in, and which may skip the second factor."""

from django.conf import settings
from django.db import models


class BrowserSession(models.Model):
    """One log-in in a browser, as its owner sees it in the settings.

    It lives as long as Django's row of the same key, and as its hash is still the user's: a new
    password or a new round ends all of them without a look at this table.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="browser_sessions"
    )
    session_key = models.CharField(max_length=40, unique=True)
    auth_hash = models.CharField(max_length=64)
    browser = models.CharField(max_length=60)  # in words, never the header itself
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.browser} of user {self.user_id}"


class TrustedBrowser(models.Model):
    """A browser that showed a second factor and need not for a while.

    Its cookie carries a token that is here as a hash. A new password or round ends the trust.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="trusted_browsers"
    )
    token_hash = models.CharField(max_length=64, unique=True)
    auth_hash = models.CharField(max_length=64)
    browser = models.CharField(max_length=60)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="trusted_browser_expiry")]

    def __str__(self) -> str:
        return f"{self.browser} of user {self.user_id}"
