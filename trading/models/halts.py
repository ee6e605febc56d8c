"""The kill switch, and the counts by which the guard pulls it: rows, no Redis and no broker."""

from django.conf import settings
from django.db import models

from accounts.models import BrokerageAccount


class TradingHalt(models.Model):
    """While a row without `lifted_at` exists no order is placed; cancels always pass."""

    reason = models.CharField(max_length=300)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    set_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.reason


class SendTally(models.Model):
    """How many orders of an account left lately: in one second, and on one day (UTC)."""

    brokerage_account = models.OneToOneField(
        BrokerageAccount, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    second = models.DateTimeField()
    in_second = models.PositiveIntegerField()
    day = models.DateField()
    in_day = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.in_day} on {self.day}"
