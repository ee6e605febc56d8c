"""How it did: equity over time, and the ledger's check of itself."""

from django.db import models

from accounts.models import BrokerageAccount
from speedtrade.lib.fields import MoneyField


class EquitySnapshot(models.Model):
    """Cash and positions of an account at one minute, with all that was ever paid in and out."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.CASCADE, related_name="snapshots"
    )
    at = models.DateTimeField()
    cash = MoneyField()
    positions_value = MoneyField()
    net_deposits = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brokerage_account", "at"], name="snapshot_per_minute")
        ]

    def __str__(self) -> str:
        return f"{self.brokerage_account_id} {self.at:%Y-%m-%d %H:%M}"


class LedgerCheck(models.Model):
    """One run of the ledger's check: how many differences, and which."""

    ran_at = models.DateTimeField(db_index=True)
    differences = models.PositiveIntegerField()
    details = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M}: {self.differences}"
