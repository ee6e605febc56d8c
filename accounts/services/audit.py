"""The one writer of the audit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from accounts.models import AuditEvent, User


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
    id is that of the running request or task where none is given.
    """
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
