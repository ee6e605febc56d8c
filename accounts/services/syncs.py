"""What reading a broker says about an account: it works, it does not and why, it was read."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from accounts.models import AccountStatus, BrokerageAccount
from accounts.services.accounts import REASON_MAX
from accounts.services.audit import audit_record
from speedtrade.lib.live import live_publish

_READ = (AccountStatus.CONNECTING, AccountStatus.ACTIVE, AccountStatus.ERROR)


def account_activate(*, account_id: int, now: datetime) -> bool:
    """The broker knows the key and the books hold what is there: the account trades from now on.

    False, and nothing is changed, for an account that was frozen, closed or disconnected meanwhile.
    """
    return _turn(account_id, AccountStatus.ACTIVE, "", now)


def account_fail(*, account_id: int, reason: str, now: datetime) -> bool:
    """The account cannot be used now, for a reason in words that its owner can act on.

    False as in `account_activate`. The reason must hold nothing of a vendor's reply that is secret.
    """
    return _turn(account_id, AccountStatus.ERROR, reason.strip()[:REASON_MAX], now)


def account_synced(*, account_id: int, now: datetime) -> None:
    """Positions and cash were read and agree; older news than what is known changes nothing."""
    older = Q(last_synced_at__isnull=True) | Q(last_synced_at__lt=now)
    rows = BrokerageAccount.objects.filter(older, pk=account_id, status__in=_READ)
    with transaction.atomic():
        if rows.update(last_synced_at=now):
            user_id = BrokerageAccount.objects.values_list("user_id", flat=True).get(pk=account_id)
            live_publish(user_id=user_id, kind="account", thing_id=account_id)


def account_keep_in(*, account: BrokerageAccount, currency: str) -> None:
    """The currency that the broker keeps the cash of a locked account in, before its books begin.

    Nowhere else: pockets carry it, so it never changes under books.
    """
    if account.currency != currency:
        account.currency = currency
        account.save(update_fields=["currency"])


@transaction.atomic
def _turn(account_id: int, status: AccountStatus, reason: str, now: datetime) -> bool:
    found = BrokerageAccount.objects.select_for_update(no_key=True).filter(pk=account_id)
    account = found.first()
    if account is None or account.is_paper or account.status not in _READ:
        return False
    before = (account.status, account.status_reason)
    account.status, account.status_reason = status, reason
    if (account.status, account.status_reason) == before:
        return True
    account.save(update_fields=["status", "status_reason"])
    if account.status != before[0]:
        audit_record(
            actor=None,
            action=f"account.{status}",
            target=f"account:{account.pk}",
            reason=reason,
            data={"from": before[0], "to": str(status)},
            now=now,
        )
    live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)
    return True
