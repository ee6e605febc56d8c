"""Keys for programs: long-lived, narrow, and stored as a hash alone."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models.brokerage import BrokerageAccount


class Scope(models.TextChoices):
    """What a key may do; who may trade may read as well."""

    READ = "read", "Read"
    TRADE = "trade", "Read and trade"


class ApiKey(models.Model):
    """One key of a user for one program. The key itself was shown once and is nowhere.

    `prefix` finds the row and is no secret; `digest` is the SHA-256 of the whole key, whose 32
    random bytes nobody can try out, so it needs neither salt nor stretching.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    scope = models.CharField(max_length=5, choices=Scope.choices, default=Scope.READ)
    # The one account that it sees and trades in; None is every account of its owner.
    account = models.ForeignKey(
        BrokerageAccount, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    networks = models.JSONField(default=list, blank=True)  # ["203.0.113.0/24"]; empty: anywhere
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # Written once a minute at most, after the answer, and only where nobody else holds the row.
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__in=["read", "trade"]), name="api_key_scope_known"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("created_at")), name="api_key_expires"
            ),
            # Also what makes a form that was sent twice one key.
            models.UniqueConstraint(
                "user", Lower("name"), condition=Q(revoked_at=None), name="api_key_name_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def may_trade(self) -> bool:
        """Whether it may do more than look."""
        return self.scope == Scope.TRADE
