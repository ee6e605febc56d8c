"""The operations pages: lines to brokers, and where their books and ours disagree."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import User
from speedtrade.lib.admin import SupportAdmin, SupportInline, figure, row_link, support_action
from speedtrade.lib.money import plain
from trading.models import BrokerLink, Difference, DifferenceSighting
from trading.services.differences import difference_accept
from trading.services.syncs import link_read_now


def _accept(row: Difference, actor: User, reason: str, now: datetime) -> str:
    difference_accept(difference_id=row.pk, actor=actor, reason=reason, now=now)
    return f"booked {plain(row.theirs - row.ours)} {row.asset}."


def _read_now(row: BrokerLink, actor: User, reason: str, now: datetime) -> str:
    link_read_now(link=row, actor=actor, reason=reason, now=now)
    return "it is read at the next beat, in a few seconds."


@admin.register(BrokerLink)
class BrokerLinkAdmin(SupportAdmin):
    """How each line stands: the gate, the budget, and when what was last heard."""

    list_display = (
        "account",
        "status",
        "gate",
        "failures",
        "remaining",
        "streaming",
        "orders_at",
        "holdings_at",
        "last_error",
    )
    list_select_related = ("brokerage_account__user",)
    search_fields = ("brokerage_account__user__username", "brokerage_account__label")
    ordering = ("-last_error_at", "id")
    fields = (
        "account",
        "status",
        "gate",
        ("failures", "open_since", "probe_at"),
        ("remaining", "resets_at", "paused_until"),
        ("last_error", "last_error_at"),
        ("began_at", "orders_at", "holdings_at", "attempted_at"),
        ("streaming", "stream_at"),
        ("checked_at", "check_words"),
        "clock_offset",
        "ignored",
    )
    actions = (
        support_action(
            name="read_now",
            label="Read at the broker now",
            question="Orders, cash and positions are asked for at once instead of at their turn.",
            perform=_read_now,
        ),
    )

    def owner_of(self, row: BrokerLink) -> User:
        return row.brokerage_account.user

    def row_words(self, row: BrokerLink) -> str:
        owned = row.brokerage_account
        return f"Line of {owned.label} (#{owned.pk}) of {owned.user.username}"

    @admin.display(description="account", ordering="brokerage_account")
    def account(self, row: BrokerLink) -> SafeString | str:
        owned = row.brokerage_account
        return row_link(owned, f"{owned.user.username}: {owned.label} #{owned.pk}")

    @admin.display(description="status")
    def status(self, row: BrokerLink) -> str:
        owned = row.brokerage_account
        words = f": {owned.status_reason}" if owned.status_reason else ""
        return f"{owned.get_status_display()}{words}"

    @admin.display(description="gate")
    def gate(self, row: BrokerLink) -> str:
        if row.open_since is not None:
            return f"Closed since {row.open_since:%H:%M:%S}; one probe passes at a time"
        if row.paused_until is not None and row.last_error_at is not None:
            return f"Paused until {row.paused_until:%H:%M:%S}"
        return "Open"


class SightingInline(SupportInline):
    model = DifferenceSighting
    fields = ("at", figure("ours"), figure("theirs"))
    ordering = ("id",)


@admin.register(Difference)
class DifferenceAdmin(SupportAdmin):
    """Our books against the broker's: open ones first. Accepting one books what the broker says."""

    list_display = (
        "id",
        "account",
        "kind",
        "asset",
        figure("ours"),
        figure("theirs"),
        "sightings",
        "first_seen_at",
        "last_seen_at",
        "ended_at",
    )
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "kind")
    list_select_related = ("brokerage_account__user",)
    search_fields = ("=asset", "brokerage_account__user__username")
    ordering = ("-last_seen_at", "-id")
    fields = (
        "account",
        ("kind", "asset"),
        (figure("ours"), figure("theirs")),
        ("first_seen_at", "last_seen_at", "sightings"),
        ("ended_at", "accepted_by", "reason"),
    )
    inlines = (SightingInline,)
    actions = (
        support_action(
            name="accept",
            label="Accept what the broker says",
            question="An entry is booked that makes our books say what the broker says. Find out "
            "first where the difference comes from: it cannot be taken back, only booked again.",
            perform=_accept,
            fits=lambda row: row.ended_at is None,
        ),
    )

    def owner_of(self, row: Difference) -> User:
        return row.brokerage_account.user

    def row_words(self, row: Difference) -> str:
        return (
            f"{row.asset} of {row.brokerage_account.user.username}: {plain(row.ours)} here, "
            f"{plain(row.theirs)} at the broker"
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("brokerage_account__user", "accepted_by")

    @admin.display(description="account", ordering="brokerage_account")
    def account(self, row: Difference) -> SafeString | str:
        owned = row.brokerage_account
        return row_link(owned, f"{owned.user.username} #{owned.pk}")
