"""Price alerts of a user, and the log of what they said."""

from django.conf import settings
from django.db import models

from marketdata.domain.alerts import AlertDirection, AlertRepeat, AlertState
from marketdata.models.instruments import Instrument
from speedtrade.lib.fields import PriceField

NOTE_MAX = 80


Kind = type[AlertDirection] | type[AlertRepeat] | type[AlertState]


def _choices(kind: Kind) -> list[str]:
    return [one.value for one in kind]


def _pairs(kind: Kind) -> list[tuple[str, str]]:
    return [(one.value, one.value) for one in kind]


class Alert(models.Model):
    """When AAPL rises above $190, notify me. A user has one alert for each level and way.

    `seen_at` is the time of the quote that it was last judged by: only a later quote may change
    its state, however many processes look at it.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alerts"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    direction = models.CharField(max_length=8, choices=_pairs(AlertDirection))
    price = PriceField()
    repeat = models.CharField(max_length=8, choices=_pairs(AlertRepeat))
    note = models.CharField(max_length=NOTE_MAX, blank=True, default="")
    state = models.CharField(
        max_length=8,
        choices=_pairs(AlertState),
        default=AlertState.WAITING.value,
    )
    seen_at = models.DateTimeField()
    fired_at = models.DateTimeField(null=True, blank=True)
    fired_price = PriceField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "instrument", "direction", "price"], name="alert_level_once"
            ),
            models.CheckConstraint(
                condition=models.Q(direction__in=_choices(AlertDirection)), name="alert_direction"
            ),
            models.CheckConstraint(
                condition=models.Q(repeat__in=_choices(AlertRepeat)), name="alert_repeat"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=_choices(AlertState)), name="alert_state"
            ),
            models.CheckConstraint(condition=models.Q(price__gt=0), name="alert_price_positive"),
            models.CheckConstraint(
                condition=models.Q(fired_at__isnull=True, fired_price__isnull=True)
                | models.Q(fired_at__isnull=False, fired_price__isnull=False, fired_price__gt=0),
                name="alert_fired_whole",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=AlertState.FIRED.value)
                | models.Q(fired_at__isnull=False),
                name="alert_fired_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["instrument"],
                condition=models.Q(state=AlertState.WAITING.value)
                | models.Q(state=AlertState.FIRED.value, repeat=AlertRepeat.EVERY.value),
                name="alert_watched",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.direction} {self.price}"


class AlertFiring(models.Model):
    """An alert has fired: what was asked, and what was seen. Append-only.

    It carries all of it itself, so that it stays when the alert is deleted; `alert_number` is the
    id that the alert had.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    alert_number = models.BigIntegerField()
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    direction = models.CharField(max_length=8)
    level = PriceField()
    note = models.CharField(max_length=NOTE_MAX, blank=True, default="")
    price = PriceField()
    quote_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(direction__in=_choices(AlertDirection)),
                name="alert_firing_direction",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    direction=AlertDirection.ABOVE.value, price__gt=models.F("level")
                )
                | models.Q(direction=AlertDirection.BELOW.value, price__lt=models.F("level")),
                name="alert_firing_beyond",
            ),
            models.UniqueConstraint(
                fields=["alert_number", "quote_at"], name="alert_firing_once_a_quote"
            ),
        ]
        indexes = [models.Index(fields=["user", "-at", "-id"], name="alert_firing_newest")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.direction} {self.level}: {self.price}"
