"""The line to a broker: how it stands, and where its books and ours disagree."""

from django.conf import settings
from django.db import models

from accounts.models import BrokerageAccount
from speedtrade.lib.fields import QuantityField


class BrokerLink(models.Model):
    """One per account at a broker: the gate before its calls, and when we last heard what.

    The gate: `failures` in a row, `open_since` while nothing may pass but one probe at `probe_at`,
    `paused_until` while the broker counts us out, `remaining` until `resets_at` of its rate limit.
    """

    brokerage_account = models.OneToOneField(
        BrokerageAccount, on_delete=models.PROTECT, related_name="link"
    )
    created_at = models.DateTimeField()
    began_at = models.DateTimeField(
        null=True, help_text="Our books begin here; what was before is in the opening balance."
    )
    number = models.CharField(
        max_length=64, blank=True, default="", help_text="The account's own name at the broker."
    )
    failures = models.PositiveIntegerField(default=0)
    open_since = models.DateTimeField(null=True)
    probe_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    remaining = models.PositiveIntegerField(null=True)
    resets_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True, default="")
    last_error_at = models.DateTimeField(null=True)
    orders_at = models.DateTimeField(null=True, help_text="Open orders were last compared.")
    holdings_at = models.DateTimeField(null=True, help_text="Cash and positions were.")
    attempted_at = models.DateTimeField(null=True)
    key_refused_at = models.DateTimeField(
        null=True, help_text="The broker has refused the key, and has answered nothing since."
    )
    stream_at = models.DateTimeField(null=True, help_text="The stream of updates last spoke.")
    streaming = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True)
    check_words = models.CharField(max_length=300, blank=True, default="")
    ignored = models.JSONField(default=list, help_text="What lies there and is not in our books.")
    seen = models.JSONField(
        default=dict,
        db_default={},
        help_text="What of each order is in the opening balance: see services/beginnings.py.",
    )
    clock_offset = models.DurationField(
        null=True,
        help_text="The broker's clock less ours, at the least, when last asked.",
    )
    clock_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"line of account {self.brokerage_account_id}"


class Difference(models.Model):
    """Our books and the broker's say two things. It goes when they agree, or a person accepts it.

    Nothing is ever corrected in silence: accepting books an entry, with a reason and a name.
    """

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="differences"
    )
    kind = models.CharField(max_length=8, choices=[("cash", "Cash"), ("position", "Position")])
    asset = models.CharField(max_length=20)
    ours = QuantityField()
    theirs = QuantityField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    sightings = models.PositiveIntegerField(default=1)
    ended_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["brokerage_account", "kind", "asset"],
                condition=models.Q(ended_at__isnull=True),
                name="difference_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.asset}: {self.ours} here, {self.theirs} there"


class DifferenceSighting(models.Model):
    """How a difference looked when its figures changed. Append-only (trigger)."""

    difference = models.ForeignKey(Difference, on_delete=models.PROTECT, related_name="history")
    at = models.DateTimeField()
    ours = QuantityField()
    theirs = QuantityField()

    def __str__(self) -> str:
        return f"{self.ours} here, {self.theirs} there"
