"""The owner's own limits of an account: each may be lower than the house's, never above it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from accounts.models import BrokerageAccount, User
from accounts.services.audit import audit_record
from accounts.services.logins import password_demand
from speedtrade.lib.errors import FieldError, InvalidInput
from speedtrade.lib.formats import money_text
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import money_round, plain

Caps = Mapping[str, Decimal | None]

#: limit -> the setting of the house that it cannot exceed, and what it limits
_HOUSE = {
    "order_cap": ("RISK_MAX_ORDER_NOTIONAL", "one order"),
    "day_cap": ("RISK_MAX_DAY_NOTIONAL", "the purchases of a day"),
}


def account_limits_change(
    *, account: BrokerageAccount, caps: Caps, password: str = "", actor: User, now: datetime
) -> BrokerageAccount:
    """Set `order_cap`, of one order, and `day_cap`, what the purchases of a day may come to.

    Amounts are in the money of the account; None leaves the house's limit alone, and a limit that
    is not named stays. A lower one holds from the next order on; a higher one takes the password
    of `actor`, so that neither a moment's mood nor a page left open lifts it. Raises InvalidInput
    for each that cannot be, RateLimited after too many wrong passwords.
    """
    # Before the lock: hashing takes its time, and orders wait for the lock.
    confirmed = _confirmed(actor, password, now)
    with transaction.atomic():
        account = BrokerageAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        before = {name: getattr(account, name) for name in _HOUSE}
        wanted = {
            name: money_round(cap) if cap is not None and cap.is_finite() else cap
            for name, cap in caps.items()
        }
        changes = {name: cap for name, cap in wanted.items() if cap != before[name]}
        _check(account, changes)
        if not confirmed and any(_raises(before[name], cap) for name, cap in changes.items()):
            raise InvalidInput.field(
                "password", "Raising a limit takes your password.", "password_required"
            )
        if not changes:
            return account
        for name, cap in changes.items():
            setattr(account, name, cap)
        account.save(update_fields=list(changes))
        audit_record(
            actor=actor,
            action="account.limits",
            target=f"account:{account.pk}",
            data={
                name: {"from": _text(before[name]), "to": _text(cap)}
                for name, cap in changes.items()
            },
            now=now,
        )
        live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)
    return account


def limits_raise(account: BrokerageAccount, caps: Caps) -> bool:
    """Whether one of these would let more be spent than the account's limits of now."""
    return any(_raises(getattr(account, name), cap) for name, cap in caps.items())


def _confirmed(actor: User, password: str, now: datetime) -> bool:
    if password:
        password_demand(user=actor, password=password, now=now)
    return bool(password)


def _text(cap: Decimal | None) -> str | None:
    return None if cap is None else plain(cap)


def _raises(before: Decimal | None, after: Decimal | None) -> bool:
    """Whether more could be spent than before; None is the house's limit, the highest there is."""
    return before is not None and (after is None or after > before)


def _check(account: BrokerageAccount, caps: Caps) -> None:
    errors = [
        FieldError(name, "invalid", words)
        for name, cap in caps.items()
        if (words := _problem(account, name, cap))
    ]
    if errors:
        raise InvalidInput(" ".join(error.detail for error in errors), errors=errors)


def _problem(account: BrokerageAccount, name: str, cap: Decimal | None) -> str:
    """Why this limit cannot be, or nothing."""
    setting, what = _HOUSE[name]
    if cap is None:
        live = name == "day_cap" and account.is_live
        return "A live account has a limit of its own for a day: write an amount." if live else ""
    if not (cap.is_finite() and cap >= 0):
        return "Write an amount of at least 0."
    most = getattr(settings, setting)
    if cap > most:
        return f"The house lets {what} come to {money_text(most)}: write no more than that."
    return ""
