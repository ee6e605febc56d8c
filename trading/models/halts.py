"""The kill switch: a row that placing reads, so it needs neither Redis nor a broker."""

from django.conf import settings
from django.db import models


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
