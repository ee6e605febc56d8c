"""A user closes their own account. Apps above say here what still stands in the way."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from accounts.models import AccountStatus, BrokerageAccount, User
from accounts.services.accounts import account_freeze
from accounts.services.connections import account_disconnect
from accounts.services.credentials import credential_forget
from accounts.services.guards import closing_reasons
from accounts.services.guards import register_closing_guard as register_closing_guard
from accounts.services.logins import password_demand
from accounts.services.users import user_deactivate
from speedtrade.lib.errors import Conflict, InvalidInput

BY_OWNER = "Closed by its owner."

#: What else ends with a user, in the transaction of the close.
Closer = Callable[[User, datetime], object]

_CLOSERS: list[Closer] = []


def register_closer(closer: Closer) -> None:
    """Called once per closer, from AppConfig.ready() of the app that owns it."""
    if closer not in _CLOSERS:
        _CLOSERS.append(closer)


def closing_refusal(user: User) -> str:
    """Why a user cannot close their account now; "" where nothing stands in the way."""
    if user.is_staff:
        return "You work at the support desk: ask a colleague to close your account."
    accounts = BrokerageAccount.objects.filter(user=user).order_by("id")
    return " ".join(closing_reasons(accounts))


def user_close(*, user: User, username: str, password: str, now: datetime) -> User:
    """Close a user who typed their name and password; support can open them again.

    Their brokerage accounts are frozen, so that no order that is under way slips in, and the keys
    of those at brokers are forgotten. Raises
    InvalidInput for a wrong name or password, RateLimited after too many, Conflict while
    something stands in the way.
    """
    if User.normalize_username(username.strip()).casefold() != user.username.casefold():
        raise InvalidInput.field("username", "This is not your name.", "wrong_name")
    password_demand(user=user, password=password, now=now)
    with transaction.atomic():
        # The user's row stands before the accounts; an account's row is what an order locks.
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        mine = BrokerageAccount.objects.select_for_update(no_key=True).filter(user=user)
        accounts = list(mine.order_by("id"))
        if refusal := closing_refusal(user):
            raise Conflict(refusal)
        for account in accounts:
            if account.status == AccountStatus.FROZEN:
                credential_forget(account)  # it stays frozen, and its key goes like all others
            elif not account.is_paper:
                account_disconnect(account=account, actor=user, now=now)
            elif account.status == AccountStatus.ACTIVE:
                account_freeze(account_id=account.pk, actor=user, reason=BY_OWNER, now=now)
        for closer in _CLOSERS:
            closer(user, now)
        return user_deactivate(user=user, actor=user, reason=BY_OWNER, now=now)
