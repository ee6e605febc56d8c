"""How often somebody may be wrong, and who is shut out by it: not the one whose name was tried.

A wrong password counts where it comes from. The browsers in which this user was logged in lately
and whoever is in are one place; of all others each address is one. A place has RATE_WRONG_PASSWORD,
and all addresses together WRONG_PASSWORD_ANYWHERE times as much. So one address that guesses shuts
out itself, many of them shut out all addresses, and neither the browsers of the user.
"""

from django.conf import settings
from django.http import HttpRequest

from accounts.cookies import browser_known
from accounts.models import User
from speedtrade.lib.ratelimit import (
    RateLimited,
    client_address,
    limit_address,
    rate_clear,
    rate_take,
)

KNOWN = (
    "known"  # no address; all such browsers as one, or logging out everywhere would make new ones
)
STRANGE = "strange"
LOGINS, LOGINS_KNOWN = "login", "login_known"  # all that is sent, right or wrong
PASSWORDS = "wrong_password"
ANYWHERE = "wrong_password_anywhere"
CODES = "wrong_code"  # of its own: a right password excuses wrong passwords, and no wrong code
#: What the audit calls the limit that was reached, by whom it shuts out.
ADDRESS, STRANGERS, BROWSERS = "address", "strangers", "known_browsers"
STRANGE_CODES, KNOWN_CODES = "codes_of_strangers", "codes_of_known_browsers"
TOO_MANY = "Too many wrong passwords. Wait a few minutes, then try again."
TOO_MANY_ANYWHERE = (
    "Too many wrong passwords from several places, so only browsers that you used before get in"
    " for now. Wait a few minutes, then try again."
)
TOO_MANY_CODES = "Too many wrong codes. Wait a few minutes, then try again."


def place_of(request: HttpRequest, user: User | None) -> str:
    """Where a request comes from that says to be this user's, None for a name that nobody has."""
    known = user is not None and browser_known(request, user)
    return KNOWN if known else client_address(request)


def login_count(request: HttpRequest, user: User | None) -> None:
    """Count what is sent to the log-in as this user, None for nobody known; raises RateLimited.

    By address, or one address would try a few passwords of everybody. A browser of the user counts
    apart, or a stranger beside it would shut it out by sending nothing at all; its mark holds for
    this user alone, so it tries nobody else's. All such browsers of a user count as one: each
    log-in makes a mark, and each mark would else be more tries.
    """
    rate = settings.RATE_LOGIN_PER_ADDRESS
    if place_of(request, user) == KNOWN and user is not None:
        rate_take(name=LOGINS_KNOWN, who=f"user:{user.pk}", rate=rate)
    else:
        limit_address(request, LOGINS, rate)


def password_count(user: User | None, name: str, place: str) -> None:
    """Count one try, before anything is compared: of many at once no more get through.

    Raises RateLimited. The place first: what is refused there must not use up what all have.
    """
    who, rate = _whose(user, name), settings.RATE_WRONG_PASSWORD
    rate_take(name=PASSWORDS, who=f"{who} {place}", rate=rate, detail=TOO_MANY)
    if place != KNOWN:
        times = settings.WRONG_PASSWORD_ANYWHERE
        rate_take(name=ANYWHERE, who=who, rate=rate, times=times, detail=TOO_MANY_ANYWHERE)


def passwords_excuse(user: User, place: str) -> None:
    """Forget the wrong passwords of this place: somebody there has shown to be the user."""
    who, rate = _whose(user), settings.RATE_WRONG_PASSWORD
    rate_clear(name=PASSWORDS, who=f"{who} {place}", rate=rate)
    if place != KNOWN:
        rate_clear(name=ANYWHERE, who=who, rate=rate, times=settings.WRONG_PASSWORD_ANYWHERE)


def code_count(user: User, place: str) -> None:
    """Count one try with a second factor; raises RateLimited.

    Who gets so far knows the password, so all addresses together have no more than one place.
    """
    rate = settings.RATE_WRONG_PASSWORD
    rate_take(name=CODES, who=_by_factor(user, place), rate=rate, detail=TOO_MANY_CODES)


def codes_excuse(user: User, place: str) -> None:
    """The right factor excuses what was wrong before it, passwords too."""
    passwords_excuse(user, place)
    rate_clear(name=CODES, who=_by_factor(user, place), rate=settings.RATE_WRONG_PASSWORD)


def limit_name(error: RateLimited, place: str) -> str:
    """Which limit of this module a try at `place` has reached: a word for the audit."""
    if error.limit == ANYWHERE:
        return STRANGERS
    if error.limit == CODES:
        return KNOWN_CODES if place == KNOWN else STRANGE_CODES
    return BROWSERS if place == KNOWN else ADDRESS


def _whose(user: User | None, name: str = "") -> str:
    """By user, so a name and an e-mail address do not give twice as many tries.

    And by password: a new one does not wait for the end of the old one's wrong tries.
    """
    return f"user:{user.pk}:{user.password}" if user else f"name:{name.strip().casefold()}"


def _by_factor(user: User, place: str) -> str:
    return f"user:{user.pk} {KNOWN if place == KNOWN else STRANGE}"
