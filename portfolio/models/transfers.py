"""Money in and out of an account."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import BrokerageAccount
from portfolio.models.ledger import JournalEntry
from speedtrade.lib.fields import MoneyField


class Direction(models.TextChoices):
    DEPOSIT = "deposit", "Deposit"
    WITHDRAWAL = "withdrawal", "Withdrawal"


class CashTransfer(models.Model):
    """A paper deposit or withdrawal. The key makes it happen once per user."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="cash_transfers"
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    direction = models.CharField(max_length=10, choices=Direction.choices)
    amount = MoneyField()
    intent_key = models.CharField(max_length=255)
    intent_hash = models.CharField(max_length=64)
    journal = models.OneToOneField(
        JournalEntry, on_delete=models.PROTECT, related_name="cash_transfer"
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["requested_by", "intent_key"], name="cash_transfer_once"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="cash_transfer_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.amount}"
