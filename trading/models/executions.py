"""What the broker did."""

from django.db import models
from django.db.models import Q

from accounts.models import BrokerageAccount
from speedtrade.lib.fields import MoneyField, PriceField, QuantityField
from trading.models.orders import Order


class Fill(models.Model):
    """One execution, as the broker told it. Append-only (trigger); a trade id counts once (I5)."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="fills"
    )
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    trade_id = models.CharField(max_length=160)
    qty = QuantityField()
    price = PriceField()
    fee = MoneyField(default=0)
    fee_qty = QuantityField(
        default=0, db_default=0, help_text="A fee taken out of the units themselves."
    )
    cum_qty = QuantityField(
        null=True, help_text="How much of the order had filled with it, where the broker says so."
    )
    synthetic = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Made up from the order's total, because the broker gave no fill for it.",
    )
    executed_at = models.DateTimeField()
    evidence = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["brokerage_account", "trade_id"], name="fill_once"),
            models.CheckConstraint(
                condition=Q(qty__gt=0, price__gt=0, fee__gte=0), name="fill_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.qty} @ {self.price}"
