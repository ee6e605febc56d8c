"""Where you trade: one row per account at a broker, the row that money locks."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class BrokerKind(models.TextChoices):
    PAPER = "paper", "Paper"
    ALPACA = "alpaca", "Alpaca"
    CCXT = "ccxt", "CCXT"


class Mode(models.TextChoices):
    PAPER = "paper", "Paper"
    LIVE = "live", "Live"


class AccountStatus(models.TextChoices):
    CONNECTING = "connecting", "Connecting"
    ACTIVE = "active", "Active"
    ERROR = "error", "Error"
    FROZEN = "frozen", "Frozen"
    CLOSED = "closed", "Closed"


class BrokerageAccount(models.Model):
    """An account at a broker. Lock it first, `select_for_update(no_key=True)`; then move money."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="brokerage_accounts"
    )
    label = models.CharField(max_length=60)
    broker = models.CharField(max_length=8, choices=BrokerKind.choices, default=BrokerKind.PAPER)
    exchange = models.CharField(max_length=30, blank=True, default="")
    mode = models.CharField(max_length=5, choices=Mode.choices, default=Mode.PAPER)
    currency = models.CharField(max_length=3, default="USD")
    status = models.CharField(
        max_length=10, choices=AccountStatus.choices, default=AccountStatus.ACTIVE
    )
    status_reason = models.CharField(max_length=200, blank=True, default="")
    is_default = models.BooleanField(default=False)
    last_synced_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(is_default=True), name="account_one_default"
            ),
            models.CheckConstraint(
                condition=~Q(broker="paper") | Q(mode="paper"), name="account_paper_is_paper"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} (#{self.pk})"
