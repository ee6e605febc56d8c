"""The books, to read. Nobody writes them here: they follow from fills and transfers."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from accounts.models import User
from portfolio.models import (
    CashTransfer,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Lot,
    Position,
    Transfer,
)
from portfolio.services.checks import ledger_check_request
from speedtrade.lib.admin import DeskAct, SupportAdmin, SupportInline, figure, list_link, row_link


class _Owned(SupportAdmin):
    """Rows of one brokerage account. Lists select it with its user."""

    link_fields = ("brokerage_account__id",)

    @admin.display(description="account", ordering="brokerage_account")
    def account(self, row: Any) -> SafeString | str:
        owned = row.brokerage_account
        return row_link(owned, f"{owned.user.username} #{owned.pk}")


@admin.register(LedgerAccount)
class LedgerAccountAdmin(_Owned):
    list_display = ("id", "account", "kind", "asset", figure("balance"), figure("reserved"))
    list_filter = ("kind",)
    list_select_related = ("brokerage_account__user",)
    search_fields = ("=asset", "brokerage_account__user__username")
    ordering = ("-id",)
    fields = (
        "id",
        "account",
        "kind",
        "asset",
        figure("balance"),
        figure("reserved"),
        "version",
        "more",
    )

    @admin.display(description="see also")
    def more(self, pocket: LedgerAccount) -> SafeString:
        return list_link(
            "portfolio_transfer", "Out of it", source__id__exact=pocket.pk
        ) + list_link("portfolio_transfer", "Into it", target__id__exact=pocket.pk)


class TransferInline(SupportInline):
    model = Transfer
    related = ("source", "target")
    fields = (
        "source",
        "target",
        "asset",
        figure("amount"),
        figure("source_balance"),
        figure("target_balance"),
    )
    ordering = ("id",)


@admin.register(JournalEntry)
class JournalEntryAdmin(_Owned):
    list_display = (
        "id",
        "account",
        "kind",
        "instrument",
        "side",
        figure("qty"),
        figure("price"),
        figure("fee"),
        figure("amount", "cash"),
        "effective_at",
    )
    list_filter = ("kind", "side")
    list_select_related = ("brokerage_account__user", "instrument")
    search_fields = ("=reference", "=instrument__symbol", "brokerage_account__user__username")
    ordering = ("-id",)
    fields = (
        "id",
        "account",
        "kind",
        "reference",
        "effective_at",
        "created_at",
        figure("amount", "cash"),
        "instrument",
        "order_ref",
        "side",
        figure("qty"),
        figure("price"),
        figure("notional"),
        figure("fee"),
    )
    inlines = (TransferInline,)


@admin.register(Transfer)
class TransferAdmin(SupportAdmin):
    list_display = ("id", "journal", "source", "target", "asset", figure("amount"))
    link_fields = ("source__id", "target__id")
    list_select_related = ("journal", "source", "target")
    search_fields = ("=asset", "=journal__reference")
    ordering = ("-id",)
    fields = (
        "id",
        "journal",
        "source",
        "target",
        "asset",
        figure("amount"),
        figure("source_balance"),
        figure("target_balance"),
        "source_version",
        "target_version",
    )


@admin.register(CashTransfer)
class CashTransferAdmin(_Owned):
    list_display = ("id", "account", "direction", figure("amount"), "requested_by", "created_at")
    list_filter = ("direction",)
    list_select_related = ("brokerage_account__user", "requested_by")
    search_fields = ("brokerage_account__user__username",)
    ordering = ("-id",)
    fields = (
        "id",
        "account",
        "direction",
        figure("amount"),
        "requested_by",
        "journal",
        "created_at",
    )


@admin.register(Hold)
class HoldAdmin(SupportAdmin):
    list_display = ("order_ref", "ledger_account", figure("amount"), "created_at", "updated_at")
    link_fields = ("ledger_account__brokerage_account__id",)
    list_select_related = ("ledger_account",)
    search_fields = ("=order_ref",)
    ordering = ("-id",)
    fields = (
        "order_ref",
        "ledger_account",
        figure("amount"),
        "created_at",
        "updated_at",
        "more",
    )

    @admin.display(description="see also")
    def more(self, hold: Hold) -> SafeString:
        return list_link("trading_order", "The order", id__exact=hold.order_ref)


class LotInline(SupportInline):
    model = Lot
    fields = (
        "opened_at",
        figure("qty"),
        figure("price"),
        figure("remaining"),
        figure("cost"),
        "order_ref",
    )
    ordering = ("opened_at", "reference")


@admin.register(Position)
class PositionAdmin(_Owned):
    list_display = (
        "id",
        "account",
        "instrument",
        figure("qty"),
        figure("cost_basis"),
        figure("realized_pl"),
        figure("fees"),
        "updated_at",
    )
    list_select_related = ("brokerage_account__user", "instrument")
    search_fields = ("=instrument__symbol", "brokerage_account__user__username")
    ordering = ("-id",)
    fields = (
        "id",
        "account",
        "instrument",
        figure("qty"),
        figure("cost_basis"),
        figure("realized_pl"),
        figure("fees"),
        "opened_at",
        "last_fill_at",
        "updated_at",
    )
    inlines = (LotInline,)


@admin.register(Lot)
class LotAdmin(SupportAdmin):
    list_display = (
        "id",
        "position",
        "opened_at",
        figure("qty"),
        figure("price"),
        figure("remaining"),
        figure("cost"),
    )
    list_select_related = ("position",)
    search_fields = ("=reference", "=order_ref", "=position__instrument__symbol")
    ordering = ("-id",)
    fields = (
        "id",
        "position",
        "reference",
        "order_ref",
        "opened_at",
        figure("qty"),
        figure("price"),
        figure("remaining"),
        figure("cost"),
    )


def _check(actor: User, reason: str, now: datetime) -> str:
    check = ledger_check_request(actor=actor, reason=reason, now=now)
    if check.differences:
        return f"{check.differences} differences. They are listed in the newest check."
    return "clean, 0 differences."


@admin.register(LedgerCheck)
class LedgerCheckAdmin(SupportAdmin):
    list_display = ("ran_at", "differences")
    list_filter = (("differences", admin.AllValuesFieldListFilter),)
    ordering = ("-ran_at",)
    fields = ("ran_at", "differences", "details")
    desk_acts = (
        DeskAct(
            name="run",
            label="Run the ledger check",
            question="Every balance, position and lot is rebuilt from the journal and compared to "
            "the last digit. It reads only; with a large ledger it takes a while.",
            permission="portfolio.add_ledgercheck",
            perform=_check,
        ),
    )
