"""How a program says who it is: `Authorization: Bearer <access token>`."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.models import User
from accounts.tokens import InvalidToken
from accounts.tokens import authenticate_token as authenticate_token  # for the socket's door
from speedtrade.lib.api import CHALLENGE


class TokenAuthentication(BaseAuthentication):
    """Signature first, then family and user in one query."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            return authenticate_token(token.decode("ascii")), None
        except (InvalidToken, UnicodeDecodeError) as error:
            raise AuthenticationFailed(code="invalid_token") from error

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
