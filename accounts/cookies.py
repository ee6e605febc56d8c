"""What a browser remembers of a person who is logged out: looks, trust, and that they were here."""

from typing import TypeVar

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponseBase

from accounts.models import User

LOOKS = ("theme", "palette")  # preferences that matter before the log-in, each a cookie
LOOK_COOKIE_AGE = 365 * 24 * 3600  # seconds
TRUST_COOKIE_PATH = "/"  # as its name with __Host- demands
_SEEN = Signer(salt="speedtrade.seen-browser")
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


def browser_known(request: HttpRequest, user: User) -> bool:
    """Whether this user has logged in with this browser before. It opens nothing."""
    return str(user.pk) in _seen(request)


def with_browser(response: Response, request: HttpRequest, user: User) -> Response:
    """This browser is one of the user's from now on, beside a few others of whom it was before."""
    others = [pk for pk in _seen(request) if pk != str(user.pk)]
    response.set_cookie(
        settings.SEEN_COOKIE_NAME,
        _SEEN.sign(".".join([str(user.pk), *others][: settings.BROWSER_SEEN_USERS])),
        max_age=settings.BROWSER_SEEN_FOR,
        path=TRUST_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _seen(request: HttpRequest) -> list[str]:
    try:
        return _SEEN.unsign(request.COOKIES.get(settings.SEEN_COOKIE_NAME, "")).split(".")
    except BadSignature:
        return []
