"""Orders with their events and fills, the outbox, the venue's book, the kill switch."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import User
from speedtrade.lib.admin import (
    DeskAct,
    SupportAdmin,
    SupportInline,
    figure,
    row_link,
    support_action,
)
from speedtrade.lib.money import plain
from trading.admin_links import BrokerLinkAdmin, DifferenceAdmin  # noqa: F401 - registers them
from trading.admin_parked import ParkedTaskAdmin  # noqa: F401
from trading.domain.orders import OrderState
from trading.models import (
    Fill,
    Order,
    OrderEvent,
    PaperFill,
    PaperOrder,
    Submission,
    TradingHalt,
)
from trading.selectors.watch import lost_orders, orders_rejected_on, stuck_orders, stuck_submissions
from trading.services.halts import trading_halt, trading_resume
from trading.services.orders import order_cancel
from trading.services.unreachable import is_unreachable, order_give_up


class AttentionFilter(admin.SimpleListFilter):
    """The orders that the index page counts."""

    title = "what needs a person"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("stuck", "Stuck"), ("lost", "Lost"), ("rejected", "Rejected today")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        now = timezone.now()
        if self.value() == "stuck":
            rows = stuck_orders(now=now, older_than=settings.STUCK_AFTER)
        elif self.value() == "lost":
            rows = lost_orders()
        elif self.value() == "rejected":
            rows = orders_rejected_on(now=now)
        else:
            return queryset
        return queryset.filter(pk__in=rows.order_by().values("pk"))


class OrderEventInline(SupportInline):
    model = OrderEvent
    related = ("actor",)
    fields = ("at", "old_state", "new_state", "source", "actor", "reason", "data")
    ordering = ("id",)


class FillInline(SupportInline):
    model = Fill
    fields = (
        "executed_at",
        figure("qty"),
        figure("price"),
        figure("fee"),
        "trade_id",
        "evidence",
    )
    ordering = ("executed_at", "id")


class SubmissionInline(SupportInline):
    model = Submission
    fields = (
        "action",
        "created_at",
        "claimed_at",
        "done_at",
        "attempts",
        "lookups",
        "last_error",
    )
    ordering = ("id",)


def _cancel(order: Order, actor: User, reason: str, now: datetime) -> str:
    before = order.state
    after = order_cancel(order=order, actor=actor, source="admin", reason=reason, now=now)
    if after.state == OrderState.CANCELED:
        return "canceled; it had not been sent."
    if before == OrderState.PENDING_CANCEL:
        return "a cancel was under way already."
    return "the broker is asked to cancel it; a fill that is under way still counts."


def _is_stranded(order: Order) -> bool:
    return order.is_open and is_unreachable(order.brokerage_account, timezone.now())


def _release(order: Order, actor: User, reason: str, now: datetime) -> str:
    return order_give_up(order=order, actor=actor, reason=reason, source="admin", now=now)


@admin.register(Order)
class OrderAdmin(SupportAdmin):
    list_display = (
        "id",
        "account",
        "instrument",
        "side",
        "order_type",
        "asked",
        figure("limit_price", "limit"),
        figure("filled_qty", "filled"),
        "state",
        "reject_code",
        "created_at",
    )
    list_filter = (AttentionFilter, "state", "side", "order_type", "instrument__asset_type")
    link_fields = ("id", "brokerage_account__id", "brokerage_account__user__id")
    list_select_related = ("brokerage_account__user", "instrument")
    search_fields = (
        "=id",
        "=client_order_id",
        "=broker_order_id",
        "=instrument__symbol",
        "brokerage_account__user__username",
    )
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "id",
                    "account",
                    "instrument",
                    ("side", "order_type", "time_in_force"),
                    "asked",
                    (figure("limit_price"), figure("stop_price")),
                    (figure("trail_price"), figure("trail_percent")),
                    "state",
                    "status",
                    ("reject_code", "reject_reason"),
                )
            },
        ),
        (
            "What came of it",
            {
                "fields": (
                    figure("filled_qty"),
                    figure("filled_notional"),
                    figure("fees"),
                    "created_at",
                    "submitted_at",
                    "accepted_at",
                    "filled_at",
                    "canceled_at",
                    "closed_at",
                    "expires_at",
                )
            },
        ),
        (
            "Terms and names",
            {
                "fields": (
                    figure("price_bound"),
                    figure("risk_notional"),
                    figure("max_qty"),
                    figure("fee_rate"),
                    "placed_by",
                    "client_order_id",
                    "broker_order_id",
                    "intent_key",
                    "replaces",
                    "extended_hours",
                    "updated_at",
                )
            },
        ),
    )
    inlines = (OrderEventInline, FillInline, SubmissionInline)
    actions = (
        support_action(
            name="cancel",
            label="Cancel order",
            question="Orders that were not sent end at once; for the others the broker is asked, "
            "and a fill that is under way still counts. The owner sees the reason.",
            perform=_cancel,
            fits=lambda order: order.is_open,
        ),
        support_action(
            name="release",
            label="Give up an order",
            question="For one that is lost, or whose account is in error because its key is "
            "refused. Its hold is freed. Look at the broker's own page first: it must not be "
            "there, or its owner must know that it stays there. Should it turn up after all, it is "
            "taken in again.",
            perform=_release,
            fits=lambda order: order.state == OrderState.LOST or _is_stranded(order),
        ),
    )

    def owner_of(self, row: Order) -> User:
        return row.brokerage_account.user

    def row_words(self, row: Order) -> str:
        owner = row.brokerage_account.user.username
        return f"Order #{row.pk}, {row.side} {self.asked(row)} {row.instrument.symbol} of {owner}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        rows: QuerySet[Order] = super().get_queryset(request)
        return rows.select_related("brokerage_account__user", "instrument", "placed_by", "replaces")

    @admin.display(description="account", ordering="brokerage_account")
    def account(self, order: Order) -> SafeString | str:
        owned = order.brokerage_account
        return row_link(owned, f"{owned.user.username} #{owned.pk}")

    @admin.display(description="quantity or amount")
    def asked(self, order: Order) -> str:
        if order.qty is not None:
            return plain(order.qty)
        return f"${plain(order.notional, 2)}" if order.notional is not None else "–"


@admin.register(Fill)
class FillAdmin(SupportAdmin):
    list_display = (
        "id",
        "order",
        "symbol",
        figure("qty"),
        figure("price"),
        figure("fee"),
        "executed_at",
        "trade_id",
    )
    link_fields = ("brokerage_account__id",)
    list_select_related = ("order__instrument",)
    search_fields = ("=trade_id", "=order__id")
    ordering = ("-id",)
    fields = (
        "id",
        "order",
        "symbol",
        "trade_id",
        figure("qty"),
        figure("price"),
        figure("fee"),
        "executed_at",
        "created_at",
        "evidence",
    )

    @admin.display(description="instrument")
    def symbol(self, fill: Fill) -> str:
        return fill.order.instrument.symbol


class StuckFilter(admin.SimpleListFilter):
    title = "what needs a person"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("stuck", "Stuck")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Submission]
    ) -> QuerySet[Submission]:
        if self.value() != "stuck":
            return queryset
        rows = stuck_submissions(now=timezone.now(), older_than=settings.STUCK_AFTER)
        return queryset.filter(pk__in=rows.values("pk"))


@admin.register(Submission)
class SubmissionAdmin(SupportAdmin):
    """What a broker must be told. The sweeper works through it; a stuck row says why."""

    list_display = (
        "id",
        "order",
        "action",
        "created_at",
        "claimed_at",
        "done_at",
        "attempts",
        "lookups",
        "last_error",
    )
    list_filter = (StuckFilter, "action", ("done_at", admin.EmptyFieldListFilter))
    list_select_related = ("order",)
    search_fields = ("=order__id",)
    ordering = ("-id",)
    fields = (
        "id",
        "order",
        "action",
        "created_at",
        "available_at",
        "claimed_at",
        "done_at",
        "attempts",
        "lookups",
        "last_error",
    )


class PaperFillInline(SupportInline):
    model = PaperFill
    fields = (
        "sequence",
        figure("qty"),
        figure("price"),
        figure("fee"),
        "evidence",
        "executed_at",
    )
    ordering = ("sequence",)


@admin.register(PaperOrder)
class PaperOrderAdmin(SupportAdmin):
    """The paper venue's side of an order, apart from ours as a real broker's would be."""

    list_display = (
        "id",
        "account_ref",
        "client_order_id",
        "instrument",
        "side",
        "order_type",
        figure("qty"),
        figure("notional"),
        figure("limit_price", "limit"),
        "status",
        "received_at",
    )
    list_filter = ("status", "side", "order_type")
    list_select_related = ("instrument",)
    search_fields = ("=client_order_id", "=account_ref", "=instrument__symbol")
    ordering = ("-id",)
    fields = (
        "id",
        "account_ref",
        "client_order_id",
        "instrument",
        "side",
        "order_type",
        "time_in_force",
        figure("qty"),
        figure("notional"),
        figure("max_qty"),
        figure("limit_price"),
        figure("price_bound"),
        figure("fee_rate"),
        "status",
        "reason",
        figure("filled_qty"),
        figure("filled_notional"),
        figure("fees"),
        "expires_at",
        "received_at",
        "updated_at",
    )
    inlines = (PaperFillInline,)


def _halt(actor: User, reason: str, now: datetime) -> str:
    halt, new = trading_halt(actor=actor, reason=reason, now=now)
    if new:
        return "no order is placed any more; cancels pass."
    return f"it has been halted since {halt.set_at:%Y-%m-%d %H:%M} UTC."


def _resume(actor: User, reason: str, now: datetime) -> str:
    lifted = trading_resume(actor=actor, reason=reason, now=now)
    return "orders are taken again." if lifted else "it was not halted."


@admin.register(TradingHalt)
class TradingHaltAdmin(SupportAdmin):
    list_display = ("set_at", "set_by", "reason", "lifted_at")
    list_filter = (("lifted_at", admin.EmptyFieldListFilter),)
    list_select_related = ("set_by",)
    ordering = ("-id",)
    fields = ("set_at", "set_by", "reason", "lifted_at")
    desk_acts = (
        DeskAct(
            name="halt",
            label="Halt all trading",
            question="No order of anybody is placed or sent any more, cancels pass, resting orders "
            "stay. Everybody whose order is refused reads the reason.",
            permission="trading.add_tradinghalt",
            perform=_halt,
        ),
        DeskAct(
            name="resume",
            label="Resume all trading",
            question="Orders are taken again, and what waited in the outbox is sent.",
            permission="trading.change_tradinghalt",
            perform=_resume,
        ),
    )

    def audit_target(self, row: TradingHalt) -> str:
        return f"halt:{row.pk}"
