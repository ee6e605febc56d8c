"""Second factors: setting one up, taking it away, and who must have one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from accounts.models import BrokerageAccount, User
from accounts.second_factor import (
    Kind,
    app_add,
    codes_left,
    codes_renew,
    factor_name,
    factors_forget,
    factors_of,
    has_factor,
    passkey_add,
)
from accounts.selectors import trades_live
from accounts.services.api_keys import keys_revoke_all
from accounts.services.audit import audit_record
from accounts.services.devices import trust_end
from accounts.services.users import user_sessions_end
from speedtrade.lib.crypto import Unreadable
from speedtrade.lib.errors import Conflict, DomainError, InvalidInput, NotFound

WRONG = "This is not the code that the app shows now. Check the clock of the phone."


@dataclass(frozen=True, slots=True)
class Shown:
    """A factor as the settings list it."""

    pk: int
    name: str
    kind: str
    created_at: datetime
    last_used_at: datetime | None


LIVE_WORDS = "Real money takes a second factor."


class SecondFactorMissing(DomainError):
    """Support staff and whoever trades real money have a second factor."""

    code, status = "second_factor_missing", 403


@transaction.atomic
def app_enable(*, user: User, sealed: str, code: str, now: datetime) -> list[str]:
    """An authenticator app from now on; new recovery codes where it is the first factor, else [].

    With the first one every other session, token and API key ends: they came by a password alone.
    Raises InvalidInput for a wrong code or an offer that is not this user's, Conflict for a second
    app.
    """
    user, first = _locked(user)
    if factors_of(user).filter(type=Kind.TOTP).exists():
        raise Conflict("You have an app already. Remove it to set up another one.")
    try:
        right = app_add(user, sealed=sealed, code=code, now=now)
    except Unreadable as error:
        raise InvalidInput.field("code", "This page is too old. Load it again.") from error
    if not right:
        raise InvalidInput.field("code", WRONG, "wrong_code")
    return factor_added(user, "totp", first=first, now=now)


def factor_added(user: User, kind: str, *, first: bool, now: datetime) -> list[str]:
    """What follows on every new factor, in its transaction: recovery codes with the first one."""
    _audit(user, "user.factor_add", {"factor": kind}, now)
    if not first:
        return []
    user_sessions_end(user=user, now=now)
    keys_revoke_all(user=user, now=now)
    return codes_renew(user)


@transaction.atomic
def passkey_enable(
    *, user: User, name: str, credential: Any, request: HttpRequest, now: datetime
) -> list[str]:
    """A passkey from now on; returns what `app_enable` does. The session holds what was asked.

    Raises InvalidInput for an answer that does not fit, Conflict for one passkey too many.
    """
    user, first = _locked(user)
    if factors_of(user).filter(type=Kind.WEBAUTHN).count() >= settings.PASSKEYS_MAX:
        raise Conflict(f"You have {settings.PASSKEYS_MAX} passkeys: remove one first.")
    if passkey_add(request, user, name=name, credential=credential) is None:
        raise InvalidInput("The browser made no passkey for this page. Try again.")
    return factor_added(user, "webauthn", first=first, now=now)


@transaction.atomic
def passkey_rename(*, user: User, factor_id: int, name: str) -> None:
    """Call a passkey something else; raises NotFound for what is not this user's."""
    rows = factors_of(user).filter(type=Kind.WEBAUTHN, pk=factor_id)
    row = rows.select_for_update(no_key=True).first()
    if row is None:
        raise NotFound("You have no such passkey.")
    row.data["name"] = name
    row.save(update_fields=["data"])


@transaction.atomic
def factor_remove(*, user: User, factor_id: int, now: datetime) -> User:
    """Take one factor away; trust, sessions and tokens end, and a caller may keep its own session.

    The last one of somebody who must have one stays: raises Conflict.
    """
    user, _ = _locked(user)
    row = factors_of(user).filter(pk=factor_id).first()
    if row is None:
        raise NotFound("You have no such factor.")
    if factors_of(user).count() == 1 and (duty := factor_duty(user)):
        raise Conflict(f"{duty} Set up another one first.")
    factors_forget(user, row.pk)
    trust_end(user=user, now=now)
    user_sessions_end(user=user, now=now)
    _audit(user, "user.factor_remove", {"factor": str(row.type)}, now)
    return user


@transaction.atomic
def recovery_renew(*, user: User, now: datetime) -> list[str]:
    """New recovery codes in place of all older ones; raises Conflict without a factor."""
    user, first = _locked(user)
    if first:
        raise Conflict("Recovery codes come with an app or a passkey.")
    _audit(user, "user.recovery_renew", {}, now)
    return codes_renew(user)


def live_check(user: User, account: BrokerageAccount) -> None:
    """Real money moves for who has a second factor; raises SecondFactorMissing for others.

    Paper accounts cost no query.
    """
    if account.is_live:
        live_allow(user)


def live_allow(user: User) -> None:
    """The one place where it is asked of who has a live account, or wants one."""
    if settings.LIVE_SECOND_FACTOR and not has_factor(user):
        raise SecondFactorMissing(LIVE_WORDS)


def factor_duty(user: User) -> str:
    """Why this user must have a second factor, in a sentence; "" for who trades on paper alone."""
    if user.is_staff:
        return "Whoever works at the support desk has a second factor."
    if not settings.LIVE_SECOND_FACTOR:
        return ""
    if trades_live(user.pk):
        return "Whoever has a live account has a second factor."
    return ""


def factors_shown(user: User) -> dict[str, Any]:
    """What the settings show of a user's factors: rows with names, the codes left, and the duty."""
    rows = list(factors_of(user))
    return {
        "factors": [
            Shown(r.pk, factor_name(r), str(r.type), r.created_at, r.last_used_at) for r in rows
        ],
        "has_app": any(row.type == Kind.TOTP for row in rows),
        "codes_left": codes_left(user),
        "duty": factor_duty(user),
    }


def _locked(user: User) -> tuple[User, bool]:
    """The user, locked against a twin of this call, and whether there is no factor yet."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return user, not has_factor(user)


def _audit(user: User, action: str, data: dict[str, str], now: datetime) -> None:
    audit_record(actor=user, action=action, target=f"user:{user.pk}", data=data, now=now)
