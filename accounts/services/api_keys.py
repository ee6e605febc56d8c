"""Making and revoking API keys. A new one is told once and never again."""

import ipaddress
import re
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.api_keys import key_digest, key_draw
from accounts.models import ApiKey, BrokerageAccount, Scope, User
from accounts.selectors import account_for_user
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from accounts.services.logins import password_check
from speedtrade.lib.errors import Conflict, FieldError, InvalidInput, NotFound
from speedtrade.lib.live import live_publish

NAME_MAX = 60
_ONCE = "api_key_name_once"
_TAKEN = "You have a living key of this name. Revoke it first, or choose another name."


def key_create(
    *,
    user: User,
    name: str,
    scope: str,
    account_id: int | None,
    networks: str,
    days: int,
    password: str,
    now: datetime,
) -> tuple[ApiKey, str]:
    """A key for one program, and its text, which nobody sees again.

    `account_id` binds it to one account of the user, `networks` (addresses and networks with
    blanks or commas between) to where it may be used from. Raises InvalidInput with every wrong
    field, NotFound for another's account, Conflict where there are API_KEYS_MAX, RateLimited after
    too many wrong passwords.
    """
    name, listed = name.strip(), networks_parse(networks)
    if errors := _problems(name, scope, days):
        raise InvalidInput(" ".join(one.detail for one in errors), errors=errors)
    bound = account_id is not None
    account = account_for_user(user=user, account_id=account_id) if bound else None
    # Before the lock: hashing takes its time.
    if not password_check(user=user, password=password, now=now):
        raise InvalidInput.field("password", "This is not your password.", "wrong_password")
    raw, prefix = key_draw()
    try:
        with transaction.atomic():
            # Twins that count at the same moment would both find room.
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
            _room(user, now)
            key = ApiKey.objects.create(
                user=user,
                name=name,
                prefix=prefix,
                digest=key_digest(raw),
                scope=scope,
                account=account,
                networks=listed,
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
            _audit_made(key, account, now)
    except IntegrityError as error:
        if _ONCE not in str(error):
            raise
        raise InvalidInput.field("name", _TAKEN, "unique") from error
    return key, raw


def networks_parse(text: str) -> list[str]:
    """The networks of a list as people write it, tidied; raises InvalidInput."""
    words = re.split(r"[\s,;]+", text.strip()) if text.strip() else []
    if len(words) > settings.API_KEY_NETWORKS_MAX:
        most = settings.API_KEY_NETWORKS_MAX
        raise InvalidInput.field("networks", f"A key names at most {most} addresses.")
    try:
        return list(dict.fromkeys(str(ipaddress.ip_network(word, strict=False)) for word in words))
    except ValueError as error:
        raise InvalidInput.field(
            "networks", "Write addresses or networks, such as 203.0.113.7 or 2001:db8::/32."
        ) from error


def key_revoke(*, user: User, key_id: int, now: datetime) -> ApiKey:
    """One key of the user's own is dead when this returns; again changes nothing."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update(no_key=True).filter(pk=key_id, user=user).first()
        if key is None:
            raise NotFound("There is no such key.")
        if key.revoked_at is None:
            _revoke(key, user, "", now)
    return key


@transaction.atomic
def keys_revoke_all(
    *, user: User, actor: User | None = None, reason: str = "", now: datetime
) -> int:
    """Every key of the user is dead when this returns; how many were not before.

    `actor` is who does it where it is not the user.
    """
    living = ApiKey.objects.select_for_update(no_key=True).filter(user=user, revoked_at=None)
    keys = list(living.order_by("pk"))
    for key in keys:
        _revoke(key, actor or user, reason, now)
    return len(keys)


@transaction.atomic
def key_revoke_for(*, key_id: int, actor: User, reason: str, now: datetime) -> ApiKey:
    """Support ends a key that has leaked, with a reason; raises Conflict where it is dead."""
    reason = reason_required(reason)
    key = ApiKey.objects.select_for_update(no_key=True).filter(pk=key_id).first()
    if key is None:
        raise NotFound
    if key.revoked_at is not None:
        raise Conflict(f"It has been dead since {key.revoked_at:%Y-%m-%d %H:%M} UTC.")
    _revoke(key, actor, reason, now)
    return key


def keys_expire(*, now: datetime) -> int:
    """Delete keys that have opened nothing for API_KEYS_DEAD_KEPT; returns how many."""
    deleted, _ = ApiKey.objects.filter(expires_at__lt=now - settings.API_KEYS_DEAD_KEPT).delete()
    return deleted


def _revoke(key: ApiKey, actor: User, reason: str, now: datetime) -> None:
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    audit_record(
        actor=actor,
        action="key.revoke",
        target=f"user:{key.user_id}",
        reason=reason,
        data={"key": key.prefix, "name": key.name},
        now=now,
    )
    live_publish(user_id=key.user_id, kind="logout", thing_id=key.user_id)  # sockets look again


def _room(user: User, now: datetime) -> None:
    living = ApiKey.objects.filter(user=user, revoked_at=None, expires_at__gt=now)
    if living.count() >= settings.API_KEYS_MAX:
        raise Conflict(f"You have {settings.API_KEYS_MAX} keys, which is the most. Revoke one.")


def _problems(name: str, scope: str, days: int) -> list[FieldError]:
    errors = []
    if not 1 <= len(name) <= NAME_MAX:
        errors.append(FieldError("name", "invalid", f"A name has 1 to {NAME_MAX} characters."))
    if scope not in Scope.values:
        errors.append(FieldError("scope", "invalid", "Choose what the key may do."))
    if not 1 <= days <= settings.API_KEY_DAYS_MAX:
        words = f"A key lives for 1 to {settings.API_KEY_DAYS_MAX} days."
        errors.append(FieldError("days", "invalid", words))
    return errors


def _audit_made(key: ApiKey, account: BrokerageAccount | None, now: datetime) -> None:
    audit_record(
        actor=key.user,
        action="key.create",
        target=f"user:{key.user_id}",
        data={
            "key": key.prefix,
            "name": key.name,
            "scope": key.scope,
            "account": account.pk if account else None,
            "networks": key.networks,
            "expires_at": key.expires_at,
        },
        now=now,
    )
