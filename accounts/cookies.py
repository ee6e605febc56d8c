"""What a browser remembers of a person who is logged out: looks, trust, and that they were here."""

import re
from typing import TypeVar

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponseBase

from accounts.models import User

LOOKS = ("theme", "palette")  # preferences that matter before the log-in, each a cookie
LOOK_COOKIE_AGE = 365 * 24 * 3600  # seconds
TRUST_COOKIE_PATH = "/"  # as its name with __Host- demands
_SEEN_SALT = "speedtrade.seen-browser"
_SEEN_MARK = re.compile(
    r"\d{1,19}:[A-Za-z0-9]{1,11}:[\w-]{1,64}", re.ASCII
)  # user, moment, signature
Response = TypeVar("Response", bound=HttpResponseBase)


def with_look(response: Response, user: User) -> Response:
    """Pages before the log-in look as the person chose."""
    for name in LOOKS:
        response.set_cookie(
            name,
            getattr(user, name),
            max_age=LOOK_COOKIE_AGE,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return response


def with_trust(response: Response, value: str) -> Response:
    """This browser logs in by the password alone for a while, until that is taken back."""
    response.set_cookie(
        settings.TRUST_COOKIE_NAME,
        value,
        max_age=settings.BROWSER_TRUSTED_FOR,
        path=TRUST_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def with_reset(response: Response, token: str) -> Response:
    """This browser followed a link that sets a new password."""
    response.set_cookie(
        settings.RESET_COOKIE_NAME,
        token,
        max_age=settings.RESET_LINK_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def without_reset(response: Response) -> Response:
    """That link is used, or was none."""
    response.delete_cookie(settings.RESET_COOKIE_NAME, samesite="Lax")
    return response


def browser_known(request: HttpRequest, user: User, auth_hash: str = "") -> bool:
    """Whether this user logged in with this browser lately, and by today's password.

    It opens nothing: such a browser is told by no mail, and strangers cannot shut it out.

    `auth_hash` is one of the user's former hashes, for who has just changed it.
    """
    mine = [mark for mark in _seen(request) if _of(mark, user)]
    if not mine:
        return False
    hashes = (
        [auth_hash]
        if auth_hash
        else [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    )
    return any(_holds(mark, one) for mark in mine for one in hashes)


def with_browser(response: Response, request: HttpRequest, user: User) -> Response:
    """This browser is one of the user's from now on, beside a few others of whom it was before.

    Theirs cannot be checked here, and are kept as they came: each ends by itself.
    """
    mine = _signer(user.get_session_auth_hash()).sign(str(user.pk))
    others = [mark for mark in _seen(request) if not _of(mark, user)]
    response.set_cookie(
        settings.SEEN_COOKIE_NAME,
        ".".join([mine, *others][: settings.BROWSER_SEEN_USERS]),
        max_age=settings.BROWSER_SEEN_FOR,
        path=TRUST_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def browser_marked(request: HttpRequest) -> bool:
    """Whether this browser says of anybody that they were here; `browser_known` looks closer."""
    return bool(_seen(request))


def _seen(request: HttpRequest) -> list[str]:
    """The marks of this browser, one of each user, whether they hold or not."""
    marks = request.COOKIES.get(settings.SEEN_COOKIE_NAME, "").split(".")
    return [mark for mark in marks if _SEEN_MARK.fullmatch(mark)][: settings.BROWSER_SEEN_USERS]


def _of(mark: str, user: User) -> bool:
    return mark.partition(":")[0] == str(user.pk)


def _holds(mark: str, auth_hash: str) -> bool:
    try:
        _signer(auth_hash).unsign(mark, max_age=settings.BROWSER_SEEN_FOR)
    except BadSignature:
        return False
    return True


def _signer(auth_hash: str) -> TimestampSigner:
    """A new password or a log-out everywhere is another hash, so another signature."""
    return TimestampSigner(salt=f"{_SEEN_SALT}.{auth_hash}")
