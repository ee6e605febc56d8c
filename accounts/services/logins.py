"""Checking who somebody is: every door that asks for a password or a code counts in `tries`."""

from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts.models import AuditEvent, User
from accounts.second_factor import code_use, has_factor, passkey_use
from accounts.selectors import user_by_login
from accounts.services.audit import audit_record
from accounts.services.letters import PROGRAM, letter_tell, mail_on
from accounts.services.tries import (
    KNOWN,
    code_count,
    codes_excuse,
    limit_name,
    password_count,
    passwords_excuse,
    place_of,
)
from speedtrade.lib.crypto import Unreadable
from speedtrade.lib.errors import DomainError, InvalidInput, Unavailable
from speedtrade.lib.later import later
from speedtrade.lib.ratelimit import RateLimited, rate_take

FAILED, LOCKED = "user.login_failed", "user.login_locked"
_INSIDE: Final = {"door": "session"}  # of who is in and is asked for the password again
WRONG_CODE = "This code is wrong, or it was used before. An app shows a new one every 30 seconds."

WRONG_PASSKEY = "This passkey does not open this account."


class InvalidCredentials(DomainError):
    """Wrong name, wrong password or a closed user: nobody learns which."""

    code, status = "invalid_credentials", 401


class MfaRequired(DomainError):
    """The password is right; this user's log-in takes a code as well."""

    code, status = "mfa_required", 401


def login_check(
    *,
    username: str,
    password: str,
    otp: str = "",
    door: str,
    request: HttpRequest,
    now: datetime,
) -> User:
    """The user with this name (or e-mail address), password and, with a second factor, code.

    Raises InvalidCredentials, MfaRequired without a code where one is needed, and RateLimited after
    too many wrong passwords and codes, for names that nobody has as well.
    """
    user = login_begin(username=username, password=password, door=door, request=request, now=now)
    factor, place = "", place_of(request, user)
    if has_factor(user):
        if not otp:
            raise MfaRequired
        factor = code_check(user=user, code=otp, place=place, now=now)
    if mail_on() and not _program_known(user, now):
        letter_tell(user=user, kind=PROGRAM, now=now)
    return login_finish(user=user, door=door, place=place, factor=factor, now=now)


def login_begin(
    *, username: str, password: str, door: str, request: HttpRequest, now: datetime
) -> User:
    """Whose password this is: the first step of a log-in. Raises as `login_check`."""
    known = user_by_login(username)
    place, tried = place_of(request, known), {"door": door, "tried": username.strip()}
    try:
        password_count(known, username, place)
    except RateLimited as error:
        later(_failed, known, LOCKED, {**tried, "limit": limit_name(error, place)}, now)
        raise
    # Excused by who is in, and not here: where a code follows, the password is half of it.
    user = _authenticated(username, password)
    if user is None:
        later(_failed, known, FAILED, tried, now)
        raise InvalidCredentials
    return user


def _failed(known: User | None, action: str, data: dict[str, str], now: datetime) -> None:
    """Write down that a log-in failed, or that too many did, for a user that there is.

    The audit is for ever, and who fails is a stranger who need not stop: of each user there is one
    row of a failure, and one of each limit that was reached, within RATE_LOGIN_FAILURES_NOTED, and
    as many of who is in; so guessing fills nothing, and the log has all that is refused. It is
    written after the answer, by who is known and who is not alike, or the time of an answer would
    say who exists; what a process that dies just then has not written is lost. A name that nobody
    has is not kept: it may be a password that slipped into the wrong field, and there is no end of
    such names. The actor is nobody, because nobody knows who it was.
    """
    if known is None:
        return
    inside = data.get("door") == _INSIDE["door"]
    who = f"user:{known.pk} {data.get('limit', '')}{' inside' if inside else ''}".strip()
    try:
        rate_take(name=action, who=who, rate=settings.RATE_LOGIN_FAILURES_NOTED)
    except RateLimited:
        return
    audit_record(actor=None, action=action, target=f"user:{known.pk}", data=data, now=now)


def login_finish(*, user: User, door: str, place: str, factor: str = "", now: datetime) -> User:
    """Write down that somebody is in, and by which second factor; excuses wrong passwords."""
    passwords_excuse(user, place)
    data = {"door": door, **({"factor": factor} if factor else {})}
    audit_record(actor=user, action="user.login", target=f"user:{user.pk}", data=data, now=now)
    return user


def _program_known(user: User, now: datetime) -> bool:
    """Whether a program has logged in for this user lately; programs keep no cookie to tell."""
    logins = AuditEvent.objects.filter(target=f"user:{user.pk}", action="user.login")
    return logins.filter(at__gt=now - settings.BROWSER_SEEN_FOR, data__door="api").exists()


def code_check(*, user: User, code: str, place: str, now: datetime) -> str:
    """Use up a code of the app or a recovery code and say which it was.

    Counts like a password: raises InvalidCredentials for a wrong one, RateLimited after too many.
    """
    _code_count(user, place, now)
    try:
        factor = code_use(user, code, now)
    except Unreadable as error:
        raise Unavailable("Your second factor cannot be read here. Ask support.") from error
    if not factor:
        factor_wrong(user, now)
        raise InvalidCredentials(WRONG_CODE)
    codes_excuse(user, place)
    return factor


def passkey_check(
    *, user: User, credential: Any, request: HttpRequest, place: str, now: datetime
) -> str:
    """A passkey's answer in place of a code: counts, and raises, as `code_check`."""
    _code_count(user, place, now)
    if not passkey_use(request, user, credential, now):
        factor_wrong(user, now)
        raise InvalidCredentials(WRONG_PASSKEY)
    codes_excuse(user, place)
    return "webauthn"


def _code_count(user: User, place: str, now: datetime) -> None:
    try:
        code_count(user, place)
    except RateLimited as error:
        later(_failed, user, LOCKED, {"limit": limit_name(error, place)}, now)
        raise


def factor_wrong(user: User, now: datetime) -> None:
    """Write down a wrong code: whoever sent it knew the password."""
    audit_record(actor=user, action="user.factor_wrong", target=f"user:{user.pk}", now=now)


def person_check(*, user: User, password: str = "", code: str = "", now: datetime) -> bool:
    """Whether it is this user who is in, by password or by code; True where it was a code.

    Raises InvalidInput at the field that is wrong, RateLimited after too many.
    """
    if code:
        try:
            code_check(user=user, code=code, place=KNOWN, now=now)
        except InvalidCredentials as error:
            raise InvalidInput.field("code", error.detail, "wrong_code") from error
        return True
    password_demand(user=user, password=password, now=now)
    return False


def password_demand(*, user: User, password: str, field: str = "password", now: datetime) -> None:
    """Go on only with the user's password; raises InvalidInput at `field`, and RateLimited."""
    if not password_check(user=user, password=password, now=now):
        raise InvalidInput.field(field, "This is not your password.", "wrong_password")


def password_check(*, user: User, password: str, now: datetime) -> bool:
    """Whether this is the password of who is in; counts like a log-in and raises RateLimited.

    A right one excuses the wrong ones before it. Wrong ones are in the audit, as those of a log-in
    are: whoever guesses here has the session of somebody already.
    """
    try:
        password_count(user, user.username, KNOWN)
    except RateLimited as error:
        later(_failed, user, LOCKED, {**_INSIDE, "limit": limit_name(error, KNOWN)}, now)
        raise
    right = _authenticated(user.username, password) is not None
    if right:
        passwords_excuse(user, KNOWN)
    else:
        later(_failed, user, FAILED, _INSIDE, now)
    return right


def _authenticated(username: str, password: str) -> User | None:
    user = authenticate(username=username, password=password)
    return user if isinstance(user, User) else None
