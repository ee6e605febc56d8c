"""Connecting an account at a broker, giving it a new key, and letting it go."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.keys import BrokerKey
from accounts.models import AccountStatus, BrokerageAccount, BrokerKind, Mode, User
from accounts.services.audit import audit_record
from accounts.services.credentials import credential_forget, credential_put
from accounts.services.devices import sessions_shorten
from accounts.services.factors import live_allow, live_check
from accounts.services.guards import closing_reasons
from accounts.services.offers import CannotConnect, Wish, key_problems, key_tidied, wish_of
from accounts.services.vendors import connector_wake, key_check
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.lib.live import live_publish
from speedtrade.lib.ratelimit import rate_take

COUNTER = "connect"
TOO_OFTEN = "Too many keys in a short time. Wait a little, then try again."
REKEYED = (AccountStatus.CONNECTING, AccountStatus.ACTIVE, AccountStatus.ERROR)


class TooManyAccounts(DomainError):
    """One user connects so many accounts and no more."""

    code, status = "too_many_accounts", 422


def account_connect(
    *,
    user: User,
    broker: str,
    mode: str,
    key: BrokerKey,
    exchange: str = "",
    label: str = "",
    confirm_live: object = False,
    now: datetime,
) -> BrokerageAccount:
    """A new account that is `connecting`, with its key sealed; the connector does the rest.

    Raises CannotConnect with a sentence for each field, AlreadyConnected for a key that serves an
    account here, TooManyAccounts, RateLimited, and SecondFactorMissing where real money meets a
    password alone.
    """
    wish = wish_of(
        broker=broker,
        mode=mode,
        exchange=exchange,
        key=key,
        label=label,
        confirm_live=confirm_live,
    )
    if wish.mode == Mode.LIVE:
        live_allow(user)
    connect_limit(user)
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _room_for_one_more(user)
        account = BrokerageAccount(
            user=user,
            broker=wish.broker,
            exchange=wish.exchange,
            mode=wish.mode,
            status=AccountStatus.CONNECTING,
            day_cap=settings.LIVE_DAY_CAP if wish.mode == Mode.LIVE else None,
            connected_at=now,
            created_at=now,
        )
        account.label = wish.label or f"{account.venue} {account.mode}"
        account.save(force_insert=True)
        credential_put(account=account, key=wish.key, now=now)
        if account.is_live:
            sessions_shorten(user=user, now=now)
        _audit(account, user, "account.connect", _facts(wish), now)
        _announce(account)
    return account


def account_reconnect(
    *, account: BrokerageAccount, key: BrokerKey, actor: User, now: datetime
) -> BrokerageAccount:
    """A new key for the same account at the broker; it connects anew.

    Raises CannotConnect for what is no key, AlreadyConnected, RateLimited, SecondFactorMissing as
    `account_connect`, and Conflict where the account is frozen, was disconnected or needs no key.
    """
    key = key_tidied(key)
    if errors := key_problems(key):
        raise CannotConnect(" ".join(one.detail for one in errors), errors=errors)
    live_check(actor, account)
    connect_limit(actor)
    with transaction.atomic():
        account = _locked(account)
        if account.is_paper or account.status not in REKEYED:
            raise Conflict(_closed_words(account))
        credential_put(account=account, key=key, now=now)
        account.status, account.status_reason = AccountStatus.CONNECTING, ""
        account.connected_at = now
        account.save(update_fields=["status", "status_reason", "connected_at"])
        _audit(account, actor, "account.rekey", {}, now)
        _announce(account)
    return account


@transaction.atomic
def account_disconnect(
    *, account: BrokerageAccount, actor: User, now: datetime
) -> BrokerageAccount:
    """Forget the key; what happened in the account stays to be read. Again changes nothing.

    Raises Conflict for the paper account, for a frozen one, and while something stands in the way,
    such as open orders.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=account.user_id)
    account = _locked(account)
    if account.is_paper:
        raise Conflict("The paper account stays: it is the one that you trade in.")
    if account.status == AccountStatus.DISCONNECTED:
        return account
    if account.status == AccountStatus.FROZEN:
        raise Conflict(_closed_words(account))
    if reasons := closing_reasons([account]):
        raise Conflict(" ".join(reasons))
    credential_forget(account)
    was_default = account.is_default
    account.status, account.status_reason = AccountStatus.DISCONNECTED, ""
    account.is_default = False
    account.save(update_fields=["status", "status_reason", "is_default"])
    if was_default:
        paper = BrokerageAccount.objects.filter(user=user, broker=BrokerKind.PAPER)
        paper.update(is_default=True)
    _audit(account, actor, "account.disconnect", {}, now)
    live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)
    return account


def account_test(*, account: BrokerageAccount, actor: User) -> str:
    """What the key of a connected account may do, in a sentence; asks the broker.

    Raises Conflict for an account without a key, RateLimited, Unavailable, and what the broker's
    own answer comes to.
    """
    if account.is_paper or account.status not in (*REKEYED, AccountStatus.FROZEN):
        raise Conflict(_closed_words(account))
    connect_limit(actor)
    return key_check(account)


def connect_limit(user: User) -> None:
    """Count one try with a key; raises RateLimited: a broker takes every guess for ours."""
    rate_take(
        name=COUNTER,
        who=f"user:{user.pk}",
        rate=settings.RATE_CONNECT_PER_USER,
        detail=TOO_OFTEN,
    )


def _room_for_one_more(user: User) -> None:
    connected = BrokerageAccount.objects.filter(user=user).exclude(broker=BrokerKind.PAPER)
    if connected.exclude(status=AccountStatus.DISCONNECTED).count() >= settings.BROKER_ACCOUNTS_MAX:
        raise TooManyAccounts(
            f"You have {settings.BROKER_ACCOUNTS_MAX} connected accounts: disconnect one first."
        )


def _locked(account: BrokerageAccount) -> BrokerageAccount:
    return BrokerageAccount.objects.select_for_update(no_key=True).get(pk=account.pk)


def _closed_words(account: BrokerageAccount) -> str:
    if account.is_paper:
        return "The paper account needs no key."
    if account.status == AccountStatus.FROZEN:
        return "Support has frozen this account. Ask them first."
    return "This account was disconnected: connect a new one."


def _facts(wish: Wish) -> dict[str, str]:
    return {"broker": wish.broker, "exchange": wish.exchange, "mode": wish.mode}


def _audit(
    account: BrokerageAccount, actor: User, action: str, data: dict[str, str], now: datetime
) -> None:
    audit_record(actor=actor, action=action, target=f"account:{account.pk}", data=data, now=now)


def _announce(account: BrokerageAccount) -> None:
    connector_wake(account.pk)
    live_publish(user_id=account.user_id, kind="account", thing_id=account.pk)
