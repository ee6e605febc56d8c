"""What a browser remembers of a person who is logged out: how pages should look, and trust."""

from typing import TypeVar

from django.conf import settings
from django.http import HttpResponseBase

from accounts.models import User

LOOKS = ("theme", "palette")  # preferences that matter before the log-in, each a cookie
LOOK_COOKIE_AGE = 365 * 24 * 3600  # seconds
TRUST_COOKIE_PATH = "/"  # as its name with __Host- demands
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
