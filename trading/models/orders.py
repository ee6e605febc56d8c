"""What you ask for."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from speedtrade.lib.fields import MoneyField, PriceField, QuantityField
from trading.domain.orders import (
    OPEN_STATES,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
    public_status,
)


class Order(models.Model):
    """One intent to trade. `state` is ours and finer; `status` speaks Alpaca's words (order.md).

    Either `qty` or `notional` is asked for. `price_bound` is the worst price a unit may trade at
    (the limit, or the quote and the market band), so that the hold always suffices.
    """

    brokerage_account = models.ForeignKey(
        BrokerageAccount, on_delete=models.PROTECT, related_name="orders"
    )
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    client_order_id = models.CharField(max_length=128)
    intent_key = models.CharField(max_length=255)
    intent_hash = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=[(s.value, s.value.title()) for s in Side])
    order_type = models.CharField(max_length=13, choices=[(t.value, t.value) for t in OrderType])
    time_in_force = models.CharField(
        max_length=3, choices=[(t.value, t.value.upper()) for t in TimeInForce]
    )
    qty = QuantityField(null=True)
    notional = MoneyField(null=True)
    limit_price = PriceField(null=True)
    # Of what was placed at the broker's own door; the price that a trailing stop has come to is its
    # broker's, and is not kept.
    stop_price = PriceField(null=True)
    trail_price = PriceField(null=True)
    trail_percent = PriceField(null=True)
    extended_hours = models.BooleanField(default=False)
    price_bound = PriceField()
    risk_notional = MoneyField(help_text="What the order was worth when it was placed.")
    max_qty = QuantityField(
        null=True, help_text="A sale in dollars sells at most so much: the shares on hold."
    )
    fee_rate = models.DecimalField(max_digits=9, decimal_places=8, default=0)
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in OrderState],
        default=OrderState.PENDING.value,
    )
    reject_code = models.CharField(max_length=40, blank=True, default="")
    reject_reason = models.CharField(max_length=300, blank=True, default="")
    broker_order_id = models.CharField(max_length=64, blank=True, default="")
    filled_qty = QuantityField(default=0)
    filled_notional = MoneyField(default=0)
    fees = MoneyField(default=0)
    replaces = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="successors"
    )
    external = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Placed at the broker's own door, and found there.",
    )
    cum_base = QuantityField(
        default=0,
        db_default=0,
        help_text="What had filled before our books begin: it is in the opening balance.",
    )
    fills_missing_since = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    filled_at = models.DateTimeField(null=True)
    canceled_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            # I4: one intent, one order, whichever door it comes through.
            models.UniqueConstraint(fields=["placed_by", "intent_key"], name="order_intent_once"),
            models.UniqueConstraint(
                fields=["brokerage_account", "client_order_id"], name="order_client_id_once"
            ),
            models.UniqueConstraint(
                # A successor that was given up makes room for another try.
                fields=["replaces"],
                condition=~Q(state="canceled"),
                name="order_one_successor",
            ),
            models.CheckConstraint(
                # A comparison with NULL is not false: neither of the two would pass without a name.
                condition=Q(qty__isnull=False, qty__gt=0, notional__isnull=True)
                | Q(qty__isnull=True, notional__isnull=False, notional__gt=0),
                name="order_qty_xor_notional",
            ),
            models.CheckConstraint(
                condition=Q(filled_qty__gte=0, filled_notional__gte=0), name="order_filled_positive"
            ),
            models.CheckConstraint(
                condition=Q(limit_price__isnull=True) | Q(limit_price__gt=0),
                name="order_limit_positive",
            ),
            models.CheckConstraint(
                condition=~Q(order_type="limit") | Q(limit_price__isnull=False),
                name="order_limit_has_price",
            ),
        ]
        indexes = [
            models.Index(fields=["brokerage_account", "-created_at", "-id"], name="order_newest"),
            models.Index(
                fields=["brokerage_account", "instrument"],
                # Sorted: a set's order differs from process to process, a migration's must not.
                condition=Q(state__in=sorted(s.value for s in OPEN_STATES)),
                name="order_open",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.side} {self.instrument_id}"

    @property
    def status(self) -> str:
        """The public word for `state`."""
        return public_status(OrderState(self.state))

    @property
    def replaced_by(self) -> "Order | None":
        """The order that takes its place: the last one, where a try before it was given up."""
        return self.successors.order_by("-id").first()

    @property
    def is_open(self) -> bool:
        return OrderState(self.state) in OPEN_STATES


class OrderEvent(models.Model):
    """One step of an order's life: old, new, who, why, when. Append-only (trigger)."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField()
    old_state = models.CharField(max_length=16, blank=True, default="")
    new_state = models.CharField(max_length=16)
    source = models.CharField(max_length=20)  # page, api, admin, worker, venue, stream, poll, sweep
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True, default="")
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = [models.Index(fields=["order", "id"], name="order_event_sequence")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.old_state} → {self.new_state}"


class SubmissionAction(models.TextChoices):
    SUBMIT = "submit", "Submit"
    CANCEL = "cancel", "Cancel"


class Submission(models.Model):
    """The outbox: what a broker must be told, written with the order and claimed by a worker.

    `claimed_at` set and `done_at` empty means that the broker may or may not know, once `sends` is
    not 0: for a submit it is asked, never told again. A cancel is harmless twice.
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="submissions")
    action = models.CharField(max_length=6, choices=SubmissionAction.choices)
    created_at = models.DateTimeField()
    available_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    lookups = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    sends = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Times that the broker may have been told; the guard's."
    )
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "action"], name="submission_once")]
        indexes = [
            models.Index(
                fields=["available_at"],
                condition=Q(done_at__isnull=True),
                name="submission_waiting",
            ),
            models.Index(
                fields=["sent_at"], condition=Q(sent_at__isnull=False), name="submission_sent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} #{self.order_id}"
