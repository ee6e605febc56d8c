"""The paper venue's own book, apart from our orders as a real broker's would be."""

from django.db import models
from django.db.models import Q

from marketdata.models import Instrument
from speedtrade.lib.fields import MoneyField, PriceField, QuantityField


class PaperOrder(models.Model):
    """An order at the venue. `account_ref` and `client_order_id` are all that it knows of us."""

    account_ref = models.BigIntegerField()
    client_order_id = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=13)
    time_in_force = models.CharField(max_length=3)
    qty = QuantityField(null=True)
    notional = MoneyField(null=True)
    max_qty = QuantityField(null=True)
    limit_price = PriceField(null=True)
    price_bound = PriceField()
    fee_rate = models.DecimalField(max_digits=9, decimal_places=8)
    status = models.CharField(max_length=16)
    reason = models.CharField(max_length=300, blank=True, default="")
    filled_qty = QuantityField(default=0)
    filled_notional = MoneyField(default=0)
    fees = MoneyField(default=0)
    expires_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account_ref", "client_order_id"], name="paper_client_id_once"
            ),
            models.CheckConstraint(
                condition=Q(qty__isnull=True) | Q(filled_qty__lte=models.F("qty")),
                name="paper_no_overfill",
            ),
        ]
        indexes = [
            models.Index(
                fields=["instrument", "side", "price_bound"],
                condition=Q(status__in=["accepted", "new", "partially_filled"]),
                name="paper_open_by_price",
            ),
            models.Index(fields=["updated_at"], name="paper_updated"),
        ]

    def __str__(self) -> str:
        return f"P{self.pk} {self.side} {self.instrument_id}"


class PaperFill(models.Model):
    """A match, with the evidence for its price. Append-only (trigger)."""

    order = models.ForeignKey(PaperOrder, on_delete=models.PROTECT, related_name="fills")
    sequence = models.PositiveIntegerField()
    qty = QuantityField()
    price = PriceField()
    fee = MoneyField()
    evidence = models.JSONField()
    executed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "sequence"], name="paper_fill_sequence"),
            models.CheckConstraint(
                condition=Q(qty__gt=0, price__gt=0, fee__gte=0), name="paper_fill_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.qty} @ {self.price}"
