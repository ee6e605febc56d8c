"""Ending a log-in of a script from outside: support, when a token has leaked."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import TokenFamily, User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib.errors import Conflict, NotFound
from speedtrade.lib.live import live_publish


@transaction.atomic
def token_family_revoke(*, family_id: UUID, actor: User, reason: str, now: datetime) -> TokenFamily:
    """Every token of one log-in is dead when this returns; its sockets look again.

    Raises InvalidInput without a reason, Conflict where the family is dead already.
    """
    reason = reason_required(reason)
    family = TokenFamily.objects.select_for_update(no_key=True).filter(pk=family_id).first()
    if family is None:
        raise NotFound
    if family.revoked_at is not None:
        raise Conflict(f"It has been dead since {family.revoked_at:%Y-%m-%d %H:%M} UTC.")
    family.revoked_at, family.revoke_reason = now, "support"
    family.save(update_fields=["revoked_at", "revoke_reason"])
    audit_record(
        actor=actor,
        action="tokens.revoke",
        target=f"tokenfamily:{family.pk}",
        reason=reason,
        data={"user": family.user_id},
        now=now,
    )
    live_publish(user_id=family.user_id, kind="logout", thing_id=family.user_id)
    return family
