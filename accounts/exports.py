"""What this app knows of a user, for the file of all their data."""

from collections.abc import Iterator
from typing import Any

from accounts.models import ApiKey, AuditEvent, Letter, User
from accounts.selectors import accounts_of
from accounts.services.exports import register_export
from speedtrade.lib.money import plain
from speedtrade.lib.times import rfc3339

PREFERENCES = (
    "theme",
    "palette",
    "density",
    "flashes",
    "paused",
    "shortcuts",
    "toast_fills",
    "toast_ends",
    "toast_alerts",
    "toast_connection",
    "order_unit",
    "order_type",
    "indicators",
    "columns",
)


def register() -> None:
    register_export("profile", profile)
    register_export("accounts", accounts)
    register_export("api_keys", api_keys)
    register_export("letters", letters)
    register_export("log", log)


def profile(user: User) -> Iterator[dict[str, Any]]:
    yield {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "email_former": user.email_former,
        "email_verified_at": rfc3339(user.email_verified_at) if user.email_verified_at else None,
        "created_at": rfc3339(user.date_joined),
        "preferences": {
            **{name: getattr(user, name) for name in PREFERENCES},
            "review_below": plain(user.review_below),
            "hold_from": None if user.hold_from is None else plain(user.hold_from),
        },
    }


def accounts(user: User) -> Iterator[dict[str, Any]]:
    for row in accounts_of(user):
        yield {
            "id": row.pk,
            "label": row.label,
            "broker": row.broker,
            "exchange": row.exchange,
            "mode": row.mode,
            "currency": row.currency,
            "status": row.status,
            "status_reason": row.status_reason,
            "order_cap": None if row.order_cap is None else plain(row.order_cap),
            "day_cap": None if row.day_cap is None else plain(row.day_cap),
            "created_at": rfc3339(row.created_at),
        }


def api_keys(user: User) -> Iterator[dict[str, Any]]:
    """Every key there was, without what could open anything."""
    for row in ApiKey.objects.filter(user=user).order_by("pk"):
        yield {
            "name": row.name,
            "prefix": row.prefix,
            "scope": row.scope,
            "account": row.account_id,
            "networks": row.networks,
            "created_at": rfc3339(row.created_at),
            "expires_at": rfc3339(row.expires_at),
            "last_used_at": rfc3339(row.last_used_at) if row.last_used_at else None,
            "last_used_ip": row.last_used_ip,
            "revoked_at": rfc3339(row.revoked_at) if row.revoked_at else None,
        }


def letters(user: User) -> Iterator[dict[str, Any]]:
    """The mail that was sent to them, or is to be."""
    for row in Letter.objects.filter(user=user).order_by("pk"):
        yield {
            "kind": row.kind,
            "to": row.to,
            "created_at": rfc3339(row.created_at),
            "sent_at": rfc3339(row.sent_at) if row.sent_at else None,
        }


def log(user: User) -> Iterator[dict[str, Any]]:
    """What they did to their own account. Who of the house looked at it is the house's record."""
    rows = AuditEvent.objects.filter(target=f"user:{user.pk}", actor=user).order_by("-at")
    for row in rows.iterator(chunk_size=1000):
        yield {"at": rfc3339(row.at), "action": row.action, "door": row.data.get("door", "")}
