"""Refresh tokens rotate inside a family; the row is what makes rotation atomic."""

import uuid

from django.conf import settings
from django.db import models


class TokenFamily(models.Model):
    """All tokens that came from one log-in.

    `current` is the id of the only refresh token that still works. To use it is a conditional
    UPDATE, so of any number of twins one wins; whoever comes with another id kills the family.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_families"
    )
    current = models.UUIDField()
    # Of the password when the family began: any change of it, by whatever door, ends the family.
    auth_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoke_reason = models.CharField(max_length=20, blank=True, default="")

    class Meta:
        verbose_name_plural = "token families"
        indexes = [models.Index(fields=["expires_at"], name="family_expiry")]

    def __str__(self) -> str:
        return str(self.id)
