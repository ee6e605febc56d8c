"""Where you trade: one row per account at a broker, the row that money locks."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from speedtrade.lib.fields import MoneyField


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
    DISCONNECTED = "disconnected", "Disconnected"


class BrokerageAccount(models.Model):
    """An account at a broker. Lock it first, `select_for_update(no_key=True)`; then move money."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="brokerage_accounts"
    )
    label = models.CharField(max_length=60)
    broker = models.CharField(max_length=8, choices=BrokerKind.choices, default=BrokerKind.PAPER)
    exchange = models.CharField(max_length=30, blank=True, default="")
    mode = models.CharField(max_length=5, choices=Mode.choices, default=Mode.PAPER)
    currency = models.CharField(max_length=10, default="USD")  # an exchange may keep USDT
    status = models.CharField(
        max_length=12, choices=AccountStatus.choices, default=AccountStatus.ACTIVE
    )
    status_reason = models.CharField(max_length=200, blank=True, default="")
    is_default = models.BooleanField(default=False)
    # The owner's own limits, beside those of the house: what one order may be worth, and all of a
    # day. Here because placing an order locks this row: one that was lowered holds at once.
    order_cap = MoneyField(null=True, blank=True)
    day_cap = MoneyField(null=True, blank=True)
    # The owner's own switch: no new orders until they lift it. Support freezes by `status`.
    stopped_at = models.DateTimeField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)  # when its newest key was given
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
            models.CheckConstraint(
                condition=(Q(broker="ccxt") & ~Q(exchange=""))
                | (~Q(broker="ccxt") & Q(exchange="")),
                name="account_exchange_of_ccxt",
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | ~Q(status="disconnected"),
                name="account_default_is_connected",
            ),
            models.CheckConstraint(
                condition=Q(order_cap__isnull=True) | Q(order_cap__gte=0),
                name="account_order_cap_not_below",
            ),
            models.CheckConstraint(
                condition=Q(day_cap__isnull=True) | Q(day_cap__gte=0),
                name="account_day_cap_not_below",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} (#{self.pk})"

    @property
    def is_paper(self) -> bool:
        """Whether it is the built-in paper account, which each user keeps."""
        return self.broker == BrokerKind.PAPER

    @property
    def is_live(self) -> bool:
        """Whether orders of this account move real money."""
        return self.mode == Mode.LIVE

    @property
    def venue(self) -> str:
        """Where it trades, as people say it."""
        if self.broker == BrokerKind.CCXT:
            return self.exchange.capitalize()
        return str(self.get_broker_display())


class BrokerCredential(models.Model):
    """The key of an account at a broker: ciphertext, and no door leads to it.

    No admin, no permission and no serializer knows this table; `services.credentials` reads it.
    """

    brokerage_account = models.OneToOneField(
        BrokerageAccount, on_delete=models.CASCADE, related_name="credential"
    )
    ciphertext = models.TextField()
    # Of user, market and key: the same key twice would double the books.
    fingerprint = models.CharField(max_length=64)
    key_hint = models.CharField(max_length=4, blank=True, default="")  # the end of the api key
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], name="credential_key_once"),
        ]

    def __str__(self) -> str:
        return f"Key of account #{self.brokerage_account_id}"
