"""Bars of vendors, stored once."""

from django.db import models
from django.db.models import F, Q

from marketdata.domain.bars import TIMEFRAMES
from marketdata.models.instruments import Instrument
from speedtrade.lib.fields import PriceField, QuantityField


class Bar(models.Model):
    """One bar of a vendor, split-adjusted at the time it was fetched. `t` is when it begins."""

    instrument = models.ForeignKey(
        Instrument, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    timeframe = models.CharField(max_length=3)
    t = models.DateTimeField()
    o = PriceField()
    h = PriceField()
    l = PriceField()  # noqa: E741 - the field's name in every bar on the wire
    c = PriceField()
    v = QuantityField()

    class Meta:
        constraints = [
            # Its index is the one that readers use.
            models.UniqueConstraint(fields=["instrument", "timeframe", "t"], name="bar_once"),
            models.CheckConstraint(
                condition=Q(timeframe__in=list(TIMEFRAMES)), name="bar_timeframe_known"
            ),
            models.CheckConstraint(
                condition=Q(l__gt=0, v__gte=0, h__gte=F("o"), o__gte=F("l"))
                & Q(h__gte=F("c"), c__gte=F("l")),
                name="bar_makes_sense",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.timeframe} {self.t:%Y-%m-%d %H:%M}"


class BarSeries(models.Model):
    """What of an instrument's bars was fetched: everything from `begins` to `ends`, no holes.

    A minute in which nobody traded has no bar; a series tells it from one that was never asked for.
    """

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    timeframe = models.CharField(max_length=3)
    begins = models.DateTimeField()
    ends = models.DateTimeField()
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "timeframe"], name="bar_series_once"),
            models.CheckConstraint(
                condition=Q(begins__lte=F("ends")), name="bar_series_begins_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.timeframe}"
