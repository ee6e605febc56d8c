"""The one writer of the audit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from accounts.models import AuditEvent, User
from accounts.services.letters import KINDS, letter_tell, mail_on


def audit_record(
    *,
    actor: User | None,
    action: str,
    target: str,
    reason: str = "",
    data: Mapping[str, Any] | None = None,
    request_id: str = "",
    now: datetime,
) -> AuditEvent:
    """Write down who did what to whom; `actor` None is the house itself.

    Call it in the transaction of the act, so that neither exists without the other. The request
    id is that of the running request or task where none is given. What `letters` has a kind for
    is told to the user whom it is about.
    """
    if action in KINDS and mail_on() and (user := _told(actor, target)) is not None:
        letter_tell(user=user, kind=action, now=now)
    known = request_id or str(structlog.contextvars.get_contextvars().get("request_id", ""))
    return AuditEvent.objects.create(
        at=now,
        actor=actor,
        action=action,
        target=target,
        reason=reason,
        request_id=known[:64],
        data=dict(data or {}),
    )


def _told(actor: User | None, target: str) -> User | None:
    """Whom an act is about: the user that it names, or who did it to an account of theirs."""
    kind, _, pk = target.partition(":")
    if kind != "user" or (actor is not None and str(actor.pk) == pk):
        return actor
    return User.objects.filter(pk=pk).first()
