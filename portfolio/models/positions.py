"""What you own: projections of the ledger, rebuilt from it at any time (`rebuild_positions`)."""

from django.db import models
from django.db.models import Q

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from speedtrade.lib.fields import MoneyField, PriceField, QuantityField


class Position(models.Model):
    """Holdings in one instrument. Cost and realised P&L are before fees; fees stand beside."""

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="positions"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    qty = QuantityField(default=0)
    cost_basis = MoneyField(default=0)
    realized_pl = MoneyField(default=0)
    fees = MoneyField(default=0)
    last_fill_at = models.DateTimeField(null=True)
    last_fill_reference = models.CharField(max_length=100, default="")
    opened_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brokerage_account", "instrument"], name="position_unique"
            ),
            models.CheckConstraint(
                condition=Q(qty__gte=0, cost_basis__gte=0, fees__gte=0), name="position_not_short"
            ),
            models.CheckConstraint(
                condition=~Q(qty=0) | Q(cost_basis=0), name="position_flat_costs_nothing"
            ),
        ]
        indexes = [
            models.Index(fields=["brokerage_account"], condition=Q(qty__gt=0), name="position_open")
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id}: {self.qty}"


class Lot(models.Model):
    """What one buying fill left over, first in first out. `remaining` and `cost` shrink to zero."""

    position = models.ForeignKey(Position, on_delete=models.CASCADE, related_name="lots")
    reference = models.CharField(max_length=100)
    order_ref = models.BigIntegerField(null=True)
    opened_at = models.DateTimeField()
    qty = QuantityField()
    price = PriceField()
    remaining = QuantityField()
    cost = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["position", "reference"], name="lot_per_fill"),
            models.CheckConstraint(
                condition=Q(
                    qty__gt=0,
                    price__gt=0,
                    remaining__gte=0,
                    cost__gte=0,
                    remaining__lte=models.F("qty"),
                ),
                name="lot_within_bounds",
            ),
        ]
        indexes = [
            models.Index(
                fields=["position", "opened_at", "reference"],
                condition=Q(remaining__gt=0),
                name="lot_open_fifo",
            )
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.qty} @ {self.price}"
