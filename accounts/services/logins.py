"""Checking a password: one counter for every door that asks for one."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth import authenticate

from accounts.models import User
from accounts.selectors import user_by_login
from accounts.services.audit import audit_record
from speedtrade.lib.errors import DomainError
from speedtrade.lib.ratelimit import rate_clear, rate_take

COUNTER = "wrong_password"
TOO_MANY = "Too many wrong passwords. Wait a few minutes, then try again."


class InvalidCredentials(DomainError):
    """Wrong name, wrong password or a closed user: nobody learns which."""

    code, status = "invalid_credentials", 401


def login_check(*, username: str, password: str, door: str, now: datetime) -> User:
    """The user with this name (or e-mail address) and password.

    Raises InvalidCredentials, and RateLimited after too many wrong passwords, for names that
    nobody has as well. The counter belongs to the user, so a name and an e-mail address do not
    give twice as many tries.
    """
    known = user_by_login(username)
    who = _who(known) if known else f"name:{username.strip().casefold()}"
    user = _counted(who, username, password)
    if user is None:
        raise InvalidCredentials
    audit_record(
        actor=user, action="user.login", target=f"user:{user.pk}", data={"door": door}, now=now
    )
    return user


def password_check(*, user: User, password: str) -> bool:
    """Whether this is the user's password; counts like a log-in and raises RateLimited."""
    return _counted(_who(user), user.username, password) is not None


def _counted(who: str, username: str, password: str) -> User | None:
    # Counted before the password is looked at: of many tries at once no more get through.
    rate_take(name=COUNTER, who=who, rate=settings.RATE_WRONG_PASSWORD, detail=TOO_MANY)
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        return None
    rate_clear(name=COUNTER, who=who, rate=settings.RATE_WRONG_PASSWORD)
    return user


def _who(user: User) -> str:
    return f"user:{user.pk}"
