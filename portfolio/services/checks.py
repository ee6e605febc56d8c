"""The ledger's check, asked for by a person."""

from datetime import datetime

from accounts.models import User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from portfolio.models import LedgerCheck
from portfolio.services.rebuild import ledger_check


def ledger_check_request(*, actor: User, reason: str, now: datetime) -> LedgerCheck:
    """Run the whole check now, with an audit row. Raises InvalidInput without a reason."""
    reason = reason_required(reason)
    check = ledger_check(now=now)
    audit_record(
        actor=actor,
        action="ledger.check",
        target=f"ledgercheck:{check.pk}",
        reason=reason,
        data={"differences": check.differences},
        now=now,
    )
    return check
