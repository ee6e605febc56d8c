"""Checking who somebody is: one counter for every door that asks for a password or a code."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.http import HttpRequest

from accounts.models import AuditEvent, User
from accounts.second_factor import code_use, has_factor, passkey_use
from accounts.selectors import user_by_login
from accounts.services.audit import audit_record
from accounts.services.letters import PROGRAM, letter_tell, mail_on
from speedtrade.lib.crypto import Unreadable
from speedtrade.lib.errors import DomainError, InvalidInput, Unavailable
from speedtrade.lib.later import later
from speedtrade.lib.ratelimit import RateLimited, rate_clear, rate_take

COUNTER = "wrong_password"
CODES = "wrong_code"  # of its own: a right password excuses wrong passwords, and no wrong code
TOO_MANY = "Too many wrong passwords. Wait a few minutes, then try again."
WRONG_CODE = "This code is wrong, or it was used before. An app shows a new one every 30 seconds."

WRONG_PASSKEY = "This passkey does not open this account."


class InvalidCredentials(DomainError):
    """Wrong name, wrong password or a closed user: nobody learns which."""

    code, status = "invalid_credentials", 401


class MfaRequired(DomainError):
    """The password is right; this user's log-in takes a code as well."""

    code, status = "mfa_required", 401


def login_check(*, username: str, password: str, otp: str = "", door: str, now: datetime) -> User:
    """The user with this name (or e-mail address), password and, with a second factor, code.

    Raises InvalidCredentials, MfaRequired without a code where one is needed, and RateLimited after
    too many wrong passwords and codes, for names that nobody has as well. The counter belongs to
    the user, so a name and an e-mail address do not give twice as many tries.
    """
    user = login_begin(username=username, password=password, door=door, now=now)
    factor = ""
    if has_factor(user):
        if not otp:
            raise MfaRequired
        factor = _code_used(user, otp, now)
    if mail_on() and not _program_known(user, now):
        letter_tell(user=user, kind=PROGRAM, now=now)
    return login_finish(user=user, door=door, factor=factor, now=now)


def login_begin(*, username: str, password: str, door: str, now: datetime) -> User:
    """Whose password this is: the first step of a log-in. Raises as `login_check`."""
    known = user_by_login(username)
    who = _who(known) if known else f"name:{username.strip().casefold()}"
    try:
        user = _counted(who, username, password)
    except RateLimited:
        later(_failed, known, "user.login_locked", username, door, now)
        raise
    if user is None:
        later(_failed, known, "user.login_failed", username, door, now)
        raise InvalidCredentials
    return user


def _failed(known: User | None, action: str, tried: str, door: str, now: datetime) -> None:
    """Write down that a log-in failed, or that too many did, for a user that there is.

    The audit is for ever, and who fails is a stranger who need not stop: of each user there is one
    row of either kind within RATE_LOGIN_FAILURES_NOTED, so guessing fills nothing; the log has all
    that is refused for the rate. It is written after the answer, by who is known and who is not
    alike, or the time of an answer would say who exists; what a process that dies just then has not
    written is lost. A name that nobody has is not kept: it may be a password that
    slipped into the wrong field, and there is no end of such names. The actor is nobody, because
    nobody knows who it was.
    """
    if known is None:
        return
    try:
        rate_take(name=action, who=_who(known), rate=settings.RATE_LOGIN_FAILURES_NOTED)
    except RateLimited:
        return
    data = {"door": door, "tried": tried.strip()}
    audit_record(actor=None, action=action, target=f"user:{known.pk}", data=data, now=now)


def login_finish(*, user: User, door: str, factor: str = "", now: datetime) -> User:
    """Write down that somebody is in, and by which second factor; excuses wrong passwords."""
    passwords_excuse(user)
    data = {"door": door, **({"factor": factor} if factor else {})}
    audit_record(actor=user, action="user.login", target=f"user:{user.pk}", data=data, now=now)
    return user


def _program_known(user: User, now: datetime) -> bool:
    """Whether a program has logged in for this user lately; programs keep no cookie to tell."""
    logins = AuditEvent.objects.filter(target=f"user:{user.pk}", action="user.login")
    return logins.filter(at__gt=now - settings.BROWSER_SEEN_FOR, data__door="api").exists()


def code_check(*, user: User, code: str, now: datetime) -> str:
    """Use up a code of the app or a recovery code and say which it was.

    Counts like a password: raises InvalidCredentials for a wrong one, RateLimited after too many.
    """
    factor_count(user)
    return _code_used(user, code, now)


def passkey_check(*, user: User, credential: Any, request: HttpRequest, now: datetime) -> str:
    """A passkey's answer in place of a code: counts, and raises, as `code_check`."""
    factor_count(user)
    if not passkey_use(request, user, credential, now):
        factor_wrong(user, now)
        raise InvalidCredentials(WRONG_PASSKEY)
    factor_right(user)
    return "webauthn"


def factor_count(user: User) -> None:
    """Count one try with a second factor; raises RateLimited."""
    _take(_who(user))


def factor_right(user: User) -> None:
    """The right factor excuses what was wrong before it; the password alone no wrong code."""
    passwords_excuse(user)
    rate_clear(name=CODES, who=_who(user), rate=settings.RATE_WRONG_PASSWORD)


def factor_wrong(user: User, now: datetime) -> None:
    """Write down a wrong code: whoever sent it knew the password."""
    audit_record(actor=user, action="user.factor_wrong", target=f"user:{user.pk}", now=now)


def person_check(*, user: User, password: str = "", code: str = "", now: datetime) -> bool:
    """Whether it is this user who sits there, by password or by code; True where it was a code.

    Raises InvalidInput at the field that is wrong, RateLimited after too many.
    """
    if code:
        try:
            code_check(user=user, code=code, now=now)
        except InvalidCredentials as error:
            raise InvalidInput.field("code", error.detail, "wrong_code") from error
        return True
    password_demand(user=user, password=password)
    return False


def password_demand(*, user: User, password: str, field: str = "password") -> None:
    """Go on only with the user's password; raises InvalidInput at `field`, and RateLimited."""
    if not password_check(user=user, password=password):
        raise InvalidInput.field(field, "This is not your password.", "wrong_password")


def password_check(*, user: User, password: str) -> bool:
    """Whether this is the user's password; counts like a log-in and raises RateLimited.

    Of who is in: a right one excuses the wrong ones before it.
    """
    right = _counted(_who(user), user.username, password) is not None
    if right:
        passwords_excuse(user)
    return right


def _code_used(user: User, code: str, now: datetime) -> str:
    _take(_who(user), CODES)
    try:
        factor = code_use(user, code, now)
    except Unreadable as error:
        raise Unavailable("Your second factor cannot be read here. Ask support.") from error
    if not factor:
        factor_wrong(user, now)
        raise InvalidCredentials(WRONG_CODE)
    factor_right(user)
    return factor


def _counted(who: str, username: str, password: str) -> User | None:
    # Counted before the password is looked at: of many tries at once no more get through.
    _take(who)
    # Cleared by who is in, and not here: where a code follows, the password is half of it.
    user = authenticate(username=username, password=password)
    return user if isinstance(user, User) else None


def passwords_excuse(user: User) -> None:
    """Forget this user's wrong passwords: somebody has shown who they are."""
    rate_clear(name=COUNTER, who=_who(user), rate=settings.RATE_WRONG_PASSWORD)


def _take(who: str, name: str = COUNTER) -> None:
    # Before anything is compared: of many tries at once no more get through.
    rate_take(name=name, who=who, rate=settings.RATE_WRONG_PASSWORD, detail=TOO_MANY)


def _who(user: User) -> str:
    return f"user:{user.pk}"
