"""Opening, naming, stopping and freezing brokerage accounts.

`connections` has those at brokers, `limits` what an owner lets one spend.
"""

from datetime import datetime

from django.db import transaction

from accounts.models import AccountStatus, BrokerageAccount, BrokerKind, Mode, User
from accounts.services.audit import audit_record
from accounts.services.openings import openers_run
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.lib.live import live_publish

REASON_MAX = 200
LABEL_MAX = 60
PAPER_LABEL = "Paper account"


def paper_account_open(*, user: User, now: datetime) -> BrokerageAccount:
    """The default paper account of a new user, funded by the registered openers.

    Runs inside the caller's transaction.
    """
    account = BrokerageAccount.objects.create(
        user=user,
        label=PAPER_LABEL,
        broker=BrokerKind.PAPER,
        mode=Mode.PAPER,
        is_default=True,
        created_at=now,
    )
    openers_run(account, now)
    return account


@transaction.atomic
def account_change(
    *, account: BrokerageAccount, label: str | None = None, is_default: bool | None = None
) -> BrokerageAccount:
    """Name an account or make it the default; None leaves a field as it is.

    Raises InvalidInput for an empty or too long label and for taking the default away without
    giving it to another account, Conflict for a disconnected account as the default.
    """
    # The user's row stands before the accounts: two accounts cannot both become the default.
    User.objects.select_for_update(no_key=True).get(pk=account.user_id)
    account = BrokerageAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    if label is not None:
        account.label = _label(label)
    if is_default is False and account.is_default:
        raise InvalidInput.field("is_default", "Make another account the default instead.")
    if is_default and not account.is_default:
        if account.status == AccountStatus.DISCONNECTED:
            raise Conflict("This account is disconnected: it can only be looked at.")
        others = BrokerageAccount.objects.filter(user_id=account.user_id, is_default=True)
        others.update(is_default=False)
        account.is_default = True
    account.save(update_fields=["label", "is_default"])
    return account


def _label(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= LABEL_MAX:
        raise InvalidInput.field("label", f"A label has 1 to {LABEL_MAX} characters.")
    return text


@transaction.atomic
def account_stop(*, account: BrokerageAccount, actor: User, now: datetime) -> BrokerageAccount:
    """The owner's own switch: no new orders until they lift it. Again changes nothing."""
    account = BrokerageAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.stopped_at is None:
        _switch(account, now, "account.stop", actor, now)
    return account


@transaction.atomic
def account_resume(*, account: BrokerageAccount, actor: User, now: datetime) -> BrokerageAccount:
    """Lift the owner's own switch. Again changes nothing; what support froze stays frozen."""
    account = BrokerageAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.stopped_at is not None:
        _switch(account, None, "account.resume", actor, now)
    return account


def _switch(
    account: BrokerageAccount, stopped_at: datetime | None, action: str, actor: User, now: datetime
) -> None:
    account.stopped_at = stopped_at
    account.save(update_fields=["stopped_at"])
    audit_record(actor=actor, action=action, target=f"account:{account.pk}", now=now)
    live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)


def account_freeze(*, account_id: int, actor: User, reason: str, now: datetime) -> BrokerageAccount:
    """Stop new orders in an account (cancels still work); for support staff, with a reason.

    Raises InvalidInput without a reason, Conflict where the account is not active.
    """
    return _turn(
        account_id, AccountStatus.ACTIVE, AccountStatus.FROZEN, "account.freeze", actor, reason, now
    )


def account_unfreeze(
    *, account_id: int, actor: User | None, reason: str, now: datetime
) -> BrokerageAccount:
    """Let a frozen account trade again; `actor` None is the command line. See `account_freeze`."""
    return _turn(
        account_id,
        AccountStatus.FROZEN,
        AccountStatus.ACTIVE,
        "account.unfreeze",
        actor,
        reason,
        now,
    )


@transaction.atomic
def _turn(
    account_id: int,
    before: AccountStatus,
    after: AccountStatus,
    action: str,
    actor: User | None,
    reason: str,
    now: datetime,
) -> BrokerageAccount:
    reason = reason_required(reason)
    found = BrokerageAccount.objects.select_for_update(no_key=True).filter(pk=account_id)
    account = found.first()
    if account is None:
        raise NotFound
    if account.status != before:
        raise Conflict(f"The account is {account.get_status_display().lower()}.")
    account.status = after
    account.status_reason = reason if after is AccountStatus.FROZEN else ""
    account.save(update_fields=["status", "status_reason"])
    audit_record(
        actor=actor,
        action=action,
        target=f"account:{account.pk}",
        reason=reason,
        data={"from": str(before), "to": str(after)},
        now=now,
    )
    live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)
    return account


def reason_required(reason: str) -> str:
    """The reason of an act of support, without blanks around; raises InvalidInput without one."""
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_MAX:
        raise InvalidInput.field("reason", f"Say why, in 1 to {REASON_MAX} characters.")
    return reason
