"""Users, their accounts and log-ins, and what everybody did: read, and acted on with a reason."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.models import (
    AccountStatus,
    ApiKey,
    AuditEvent,
    BrokerageAccount,
    TokenFamily,
    User,
)
from accounts.second_factor import has_factor
from accounts.services.accounts import account_freeze, account_unfreeze
from accounts.services.api_keys import key_revoke_for
from accounts.services.families import token_family_revoke
from accounts.services.resets import factor_reset_approve, factor_reset_ask, factor_reset_open
from accounts.services.staff import support_grant, support_revoke
from accounts.services.users import user_deactivate, user_reactivate
from speedtrade.lib.admin import SupportAdmin, SupportInline, list_link, row_link, support_action

# Rights are given by `support_grant`, with a reason and an audit row, not by a form of groups.
admin.site.unregister(Group)
# allauth brings forms that would write them, and show passkeys; second factors are reset by an act.
for _model in [m for m in admin.site._registry if m._meta.app_label in ("account", "mfa")]:
    admin.site.unregister(_model)


def _deactivate(user: User, actor: User, reason: str, now: datetime) -> str:
    user_deactivate(user=user, actor=actor, reason=reason, now=now)
    return "closed; sessions, tokens and sockets have ended."


def _reactivate(user: User, actor: User, reason: str, now: datetime) -> str:
    user_reactivate(user=user, actor=actor, reason=reason, now=now)
    return "open again; they log in anew."


def _grant(user: User, actor: User, reason: str, now: datetime) -> str:
    support_grant(user=user, actor=actor, reason=reason, now=now)
    return "works at the support desk now."


def _revoke(user: User, actor: User, reason: str, now: datetime) -> str:
    support_revoke(user=user, actor=actor, reason=reason, now=now)
    return "has left the support desk."


def _factor_reset_ask(user: User, actor: User, reason: str, now: datetime) -> str:
    factor_reset_ask(user=user, actor=actor, reason=reason, now=now)
    return "asked; a colleague has a day to approve it."


def _factor_reset(user: User, actor: User, reason: str, now: datetime) -> str:
    factor_reset_approve(user=user, actor=actor, reason=reason, now=now)
    return "has no second factor now; sessions, tokens and trusted browsers have ended."


class BrokerageAccountInline(SupportInline):
    model = BrokerageAccount
    fields = ("broker", "exchange", "mode", "status", "status_reason", "is_default")
    show_change_link = True
    verbose_name_plural = "brokerage accounts"


@admin.register(User)
class UserAdmin(SupportAdmin):
    """The hash of a password is no field here, and so on no page."""

    list_display = ("id", "username", "email", "is_active", "is_staff", "date_joined", "last_login")
    list_display_links = ("id", "username")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("username", "email", "=id")
    ordering = ("-id",)
    fields = (
        "id",
        "username",
        "email",
        "is_active",
        "is_staff",
        "is_superuser",
        "theme",
        "date_joined",
        "last_login",
        "more",
    )
    inlines = (BrokerageAccountInline,)
    actions = (
        support_action(
            name="deactivate",
            label="Deactivate user",
            question="They cannot log in any more; sessions, tokens and sockets end at once. "
            "Open orders stay open.",
            perform=_deactivate,
            fits=lambda user: user.is_active,
        ),
        support_action(
            name="reactivate",
            label="Reactivate user",
            question="They can log in again.",
            perform=_reactivate,
            fits=lambda user: not user.is_active,
        ),
        support_action(
            name="ask_factor_reset",
            label="Ask to reset the second factor",
            question="For who lost phone and codes. Make sure by another way that it is them: "
            "a colleague approves what you ask for here.",
            perform=_factor_reset_ask,
            fits=has_factor,
        ),
        support_action(
            name="approve_factor_reset",
            label="Approve the reset of the second factor",
            question="A colleague asked for it. Make sure by yourself that it is them. The "
            "password alone opens the account then, and everything that is open ends.",
            perform=_factor_reset,
            fits=factor_reset_open,
        ),
        support_action(
            name="grant_support",
            label="Make support staff",
            question="They see every account and may do what support does.",
            perform=_grant,
            fits=lambda user: not user.is_staff,
            permission="appoint",
        ),
        support_action(
            name="revoke_support",
            label="Take support rights away",
            question="The support desk closes to them at once.",
            perform=_revoke,
            fits=lambda user: user.is_staff,
            permission="appoint",
        ),
    )

    def has_appoint_permission(self, request: HttpRequest) -> bool:
        """Who gives support rights can give them to himself; so it is not support."""
        return bool(getattr(request.user, "is_superuser", False))

    def owner_of(self, row: User) -> User:
        return row

    def row_words(self, row: User) -> str:
        return f"{row.username} (#{row.pk})"

    def row_links(self, request: HttpRequest, row: User) -> list[dict[str, str]]:
        """The page is mounted by the house, which knows what an account holds."""
        if not request.user.has_perms(settings.SUPPORT_VIEW_AS):
            return []
        return [{"label": "View as user", "url": reverse("admin:view_as", args=[row.pk])}]

    @admin.display(description="see also")
    def more(self, user: User) -> SafeString:
        return _links(
            list_link("trading_order", "Orders", brokerage_account__user__id__exact=user.pk),
            list_link("accounts_tokenfamily", "API log-ins", user__id__exact=user.pk),
            list_link("accounts_apikey", "API keys", user__id__exact=user.pk),
            list_link("accounts_auditevent", "Their acts", actor__id__exact=user.pk, kind="all"),
        )


def _freeze(account: BrokerageAccount, actor: User, reason: str, now: datetime) -> str:
    account_freeze(account_id=account.pk, actor=actor, reason=reason, now=now)
    return "frozen; new orders are refused, cancels pass."


def _unfreeze(account: BrokerageAccount, actor: User, reason: str, now: datetime) -> str:
    account_unfreeze(account_id=account.pk, actor=actor, reason=reason, now=now)
    return "active again."


@admin.register(BrokerageAccount)
class BrokerageAccountAdmin(SupportAdmin):
    """The key of an account is no field here, nor anywhere else in the admin."""

    list_display = (
        "id",
        "owner",
        "label",
        "broker",
        "exchange",
        "mode",
        "status",
        "status_reason",
        "last_synced_at",
        "created_at",
    )
    list_filter = (
        "status",
        "broker",
        "exchange",
        "mode",
        ("stopped_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email", "label", "=id")
    ordering = ("-id",)
    fields = (
        "id",
        "owner",
        "label",
        "broker",
        "exchange",
        "mode",
        "currency",
        "status",
        "status_reason",
        "is_default",
        "order_cap",
        "day_cap",
        "stopped_at",
        "connected_at",
        "last_synced_at",
        "created_at",
        "more",
    )
    actions = (
        support_action(
            name="freeze",
            label="Freeze account",
            question="New orders and paper transfers are refused; cancels pass, resting orders "
            "stay. The owner sees the reason.",
            perform=_freeze,
            fits=lambda account: account.status == AccountStatus.ACTIVE,
        ),
        support_action(
            name="unfreeze",
            label="Unfreeze account",
            question="The account may trade again.",
            perform=_unfreeze,
            fits=lambda account: account.status == AccountStatus.FROZEN,
        ),
    )

    def owner_of(self, row: BrokerageAccount) -> User:
        return row.user

    def row_words(self, row: BrokerageAccount) -> str:
        return f"{row.label} (#{row.pk}) of {row.user.username}"

    def audit_target(self, row: BrokerageAccount) -> str:
        return f"account:{row.pk}"

    @admin.display(description="user", ordering="user__username")
    def owner(self, account: BrokerageAccount) -> SafeString | str:
        return row_link(account.user, account.user.username)

    @admin.display(description="see also")
    def more(self, account: BrokerageAccount) -> SafeString:
        mine = {"brokerage_account__id__exact": account.pk}
        return _links(
            list_link("trading_order", "Orders", **mine),
            list_link("trading_fill", "Fills", **mine),
            list_link("portfolio_position", "Positions", **mine),
            list_link("portfolio_ledgeraccount", "Ledger accounts", **mine),
            list_link("portfolio_journalentry", "Journal", **mine),
            list_link(
                "portfolio_hold", "Holds", ledger_account__brokerage_account__id__exact=account.pk
            ),
        )


def _kill_family(family: TokenFamily, actor: User, reason: str, now: datetime) -> str:
    token_family_revoke(family_id=family.pk, actor=actor, reason=reason, now=now)
    return "dead; the next request with any of its tokens is refused."


@admin.register(TokenFamily)
class TokenFamilyAdmin(SupportAdmin):
    """Log-ins of scripts. What could be used to forge or guess a token is not shown."""

    list_display = ("id", "user", "created_at", "expires_at", "revoked_at", "revoke_reason")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "revoke_reason")
    link_fields = ("user__id",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    ordering = ("-created_at",)
    fields = (
        "id",
        "user",
        "created_at",
        "expires_at",
        "revoked_at",
        "revoke_reason",
    )
    actions = (
        support_action(
            name="revoke",
            label="Revoke log-in",
            question="Every token of these log-ins is refused from now on.",
            perform=_kill_family,
            fits=lambda family: family.revoked_at is None,
        ),
    )

    def owner_of(self, row: TokenFamily) -> User:
        return row.user

    def row_words(self, row: TokenFamily) -> str:
        return f"Log-in of {row.user.username}, {row.created_at:%Y-%m-%d %H:%M}"


def _kill_key(key: ApiKey, actor: User, reason: str, now: datetime) -> str:
    key_revoke_for(key_id=key.pk, actor=actor, reason=reason, now=now)
    return "revoked; nothing opens with it any more."


@admin.register(ApiKey)
class ApiKeyAdmin(SupportAdmin):
    """Keys of programs; the hash of one is no field here."""

    list_display = (
        "id",
        "user",
        "name",
        "prefix",
        "scope",
        "account",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "scope")
    link_fields = ("user__id",)
    list_select_related = ("user", "account")
    search_fields = ("=prefix", "user__username", "user__email")
    ordering = ("-created_at", "-id")
    fields = (*list_display, "networks", "last_used_ip")
    actions = (
        support_action(
            name="revoke",
            label="Revoke key",
            question="Nothing opens with these keys from now on.",
            perform=_kill_key,
            fits=lambda key: key.revoked_at is None,
        ),
    )

    def audit_target(self, row: ApiKey) -> str:
        """What happens to a key is in the log of its owner, who reads it in the settings."""
        return f"user:{row.user_id}"

    def owner_of(self, row: ApiKey) -> User:
        return row.user

    def row_words(self, row: ApiKey) -> str:
        return f"Key {row.prefix}… of {row.user.username}"


class KindFilter(admin.SimpleListFilter):
    """Looking is written down too; it would bury what was done."""

    title = "what"
    parameter_name = "kind"
    READS = ("admin.view",)
    LOOKS = (*READS, "admin.view_as")  # that one has a reason: it stays among what was done

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("reads", "What staff looked at"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        listed = iter(super().choices(changelist))
        yield {**next(listed), "display": "What was done"}
        yield from listed

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent]
    ) -> QuerySet[AuditEvent]:
        if self.value() == "all":
            return queryset
        if self.value() == "reads":
            return queryset.filter(action__in=self.LOOKS)
        return queryset.exclude(action__in=self.READS)


@admin.register(AuditEvent)
class AuditEventAdmin(SupportAdmin):
    list_display = ("at", "actor", "action", "target", "reason", "request_id")
    list_filter = (KindFilter, ("actor", admin.RelatedOnlyFieldListFilter), "action")
    link_fields = ("target",)
    list_select_related = ("actor",)
    search_fields = ("=target", "=request_id", "action", "reason", "actor__username")
    ordering = ("-at", "-id")
    fields = ("at", "actor", "action", "target", "reason", "request_id", "data")


def _links(*links: SafeString) -> SafeString:
    return format_html_join(" · ", "{}", ((link,) for link in links))
