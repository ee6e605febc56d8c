"""What can be traded, and the rules of its prices and quantities."""

from django.db import models
from django.db.models import Q

from speedtrade.lib.fields import MoneyField, PriceField, QuantityField


class AssetType(models.TextChoices):
    STOCK = "stock", "Stock"
    CRYPTO = "crypto", "Crypto"


class Instrument(models.Model):
    """A stock, a fund or a coin. `symbol` is its name everywhere: 'AAPL', 'BTC/USD'.

    Names are searched without an index: the embedded PostgreSQL ships no pg_trgm, and a scan of
    even ten thousand names takes a few milliseconds. Symbols use the index of their uniqueness.
    """

    symbol = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=120)
    asset_type = models.CharField(max_length=6, choices=AssetType.choices)
    exchange = models.CharField(max_length=20)
    sector = models.CharField(max_length=40, blank=True, default="")
    price_tick = PriceField()
    qty_step = QuantityField()
    min_qty = QuantityField()
    min_notional = MoneyField()
    fractionable = models.BooleanField(default=False)
    tradable = models.BooleanField(default=True)
    shortable = models.BooleanField(default=False)
    halted_at = models.DateTimeField(null=True, blank=True)
    halt_reason = models.CharField(max_length=200, blank=True, default="")
    feed = models.CharField(max_length=20, default="simulated")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(price_tick__gt=0, qty_step__gt=0, min_qty__gte=0, min_notional__gte=0),
                name="instrument_rules_positive",
            ),
            models.CheckConstraint(
                condition=Q(asset_type__in=AssetType.values), name="instrument_asset_type_known"
            ),
        ]

    def __str__(self) -> str:
        return self.symbol
