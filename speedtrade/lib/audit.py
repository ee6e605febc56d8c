"""The audit for apps that do not know users: `accounts` registers the one writer (import law)."""

from datetime import datetime
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured


class Recorder(Protocol):
    """accounts.services.audit.audit_record."""

    def __call__(
        self, *, actor: Any, action: str, target: str, reason: str = "", now: datetime
    ) -> object: ...


_RECORDERS: list[Recorder] = []


def register_recorder(recorder: Recorder) -> None:
    """Called once, from AppConfig.ready() of accounts."""
    _RECORDERS[:] = [recorder]


def audit_record(*, actor: Any, action: str, target: str, reason: str = "", now: datetime) -> None:
    """Write down who did what to whom, in the transaction of the act.

    Raises ImproperlyConfigured where nobody writes: what cannot be audited must not happen.
    """
    if not _RECORDERS:
        raise ImproperlyConfigured("Nobody is registered to write the audit.")
    _RECORDERS[0](actor=actor, action=action, target=target, reason=reason, now=now)
