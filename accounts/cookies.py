"""What a browser remembers of a person who is logged out: how pages should look."""

from typing import TypeVar

from django.conf import settings
from django.http import HttpResponseBase

from accounts.models import User

THEME_COOKIE = "theme"
THEME_COOKIE_AGE = 365 * 24 * 3600  # seconds
Response = TypeVar("Response", bound=HttpResponseBase)


def with_theme(response: Response, user: User) -> Response:
    """Pages before the log-in look as the person chose."""
    response.set_cookie(
        THEME_COOKIE,
        user.theme,
        max_age=THEME_COOKIE_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response
