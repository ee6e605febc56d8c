"""How a program says who it is: `Authorization: Bearer`, with an access token or an API key."""

from typing import Any

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.api_keys import MARK, InvalidKey, key_authenticate, key_refused
from accounts.models import ApiKey, User
from accounts.scopes import scope_check
from accounts.tokens import InvalidToken, authenticate_token
from speedtrade.lib.api import CHALLENGE
from speedtrade.lib.errors import DomainError
from speedtrade.lib.ratelimit import client_ip
from speedtrade.lib.request_log import caller_note


def _bearer(request: Request) -> bytes | None:
    """What stands behind `Bearer`, or None."""
    scheme, _, token = get_authorization_header(request).partition(b" ")
    return token if scheme.lower() == b"bearer" else None


class TokenAuthentication(BaseAuthentication):
    """Signature first, then family and user in one query."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        token = _bearer(request)
        if token is None:
            return None
        try:
            user = authenticate_token(token.decode("ascii"))
        except (InvalidToken, UnicodeDecodeError) as error:
            raise AuthenticationFailed(code="invalid_token") from error
        caller_note(request._request, user.pk)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class KeyAuthentication(BaseAuthentication):
    """Key and user in one query; what the key may do is asked here, before any view is."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        token = _bearer(request)
        if token is None or not token.startswith(MARK.encode()):
            return None
        raw, address, now = token.decode("latin-1"), client_ip(request._request), timezone.now()
        try:
            key = key_authenticate(raw=raw, address=address, now=now)
        except InvalidKey as error:
            if error.key is not None:  # its owner may see that somebody tries
                caller_note(request._request, error.key.user_id, error.key.prefix)
            raise
        caller_note(request._request, key.user_id, key.prefix)
        match, view = request._request.resolver_match, request.parser_context["view"]
        method = str(request.method)
        try:
            scope_check(
                key,
                route=match.view_name if match else "",
                method=method,
                exists=hasattr(view, method.lower()),
            )
        except DomainError as error:
            key_refused(key, error.detail, address, now)
            raise
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
