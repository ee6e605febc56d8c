"""Access and refresh tokens of the API: the one module that knows how they are signed and kept.

simplejwt signs and parses (HS256, issuer, audience, type, expiry). Its own rotation is neither
atomic nor does it notice a replay, so refresh tokens live in families of ours: the row of a
family names the one refresh token that still works, and to use it is one conditional UPDATE.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import structlog
from django.conf import settings
from django.db.models import QuerySet, UUIDField
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.models import TokenFamily, User
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import DomainError

logger = structlog.get_logger(__name__)
_FAMILY = Compiled(
    lambda: TokenFamily.objects.select_related("user").filter(pk=Given("family_id", UUIDField()))
)


class InvalidToken(DomainError):
    """The token is forged, expired, of the other type, or its family is dead."""

    code, status = "invalid_token", 401


class _Access(Token):
    token_type = "access"  # noqa: S105 - a kind, no secret
    lifetime = settings.ACCESS_TOKEN_LIFETIME


class _Refresh(Token):
    token_type = "refresh"  # noqa: S105 - a kind, no secret
    lifetime = settings.REFRESH_TOKEN_LIFETIME


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a log-in or a refresh answers; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105 - a scheme, no secret


def tokens_issue(*, user: User, now: datetime) -> TokenPair:
    """Begin a family for somebody whose password was just checked."""
    family = TokenFamily(
        user=user,
        current=uuid.uuid4(),
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    family.save(force_insert=True)
    return _pair(family, now)


def tokens_rotate(*, refresh_token: str, now: datetime) -> TokenPair:
    """Trade the current refresh token of a family for a new pair; raises InvalidToken.

    Any refresh token but the current one was used before: somebody has a copy, and nobody can
    tell who is who, so the whole family dies. Of twins that race, one wins and the other is such
    a copy.
    """
    claims = _parse(_Refresh, refresh_token)
    family = _family(claims)
    if family is None or not _alive(family) or family.expires_at <= now:
        raise InvalidToken
    used, fresh = uuid.UUID(str(claims["jti"])), uuid.uuid4()
    expires_at = min(
        now + settings.REFRESH_TOKEN_LIFETIME, family.created_at + settings.REFRESH_FAMILY_LIFETIME
    )
    # No join in here: PostgreSQL looks again at the row it waited for, not at a sub-select of it,
    # and twins would both win.
    mine = TokenFamily.objects.filter(pk=family.pk, current=used, revoked_at=None)
    # The hash anew: it may be one of a SECRET_KEY that will be taken away.
    current_hash = family.user.get_session_auth_hash()
    if not mine.update(current=fresh, expires_at=expires_at, auth_hash=current_hash):
        _revoke(TokenFamily.objects.filter(pk=family.pk), now, "replay")
        logger.warning("refresh_token_replayed", user_id=family.user_id, family=str(family.pk))
        raise InvalidToken
    family.current, family.expires_at = fresh, expires_at
    return _pair(family, now)


def tokens_revoke(*, refresh_token: str, now: datetime) -> None:
    """Log out: the family of this refresh token dies; raises InvalidToken for no token of ours."""
    claims = _parse(_Refresh, refresh_token)
    _revoke(TokenFamily.objects.filter(pk=_family_id(claims)), now, "logout")


def tokens_revoke_all(*, user: User, now: datetime, reason: str) -> None:
    """Every family of this user dies; the next request with any of their tokens is refused."""
    _revoke(TokenFamily.objects.filter(user=user), now, reason)


def authenticate_token(raw: str) -> User:
    """The user of a living access token, in one query; raises InvalidToken."""
    family = _family(_parse(_Access, raw))
    if family is None or not _alive(family):
        raise InvalidToken
    return family.user


def families_expire(*, now: datetime) -> int:
    """Delete the families that nothing can wake any more; returns how many."""
    # An access token outlives the refresh token of its family by less than its own life.
    past = now - settings.ACCESS_TOKEN_LIFETIME - settings.JWT_LEEWAY
    deleted, _ = TokenFamily.objects.filter(expires_at__lt=past).delete()
    return deleted


def _alive(family: TokenFamily) -> bool:
    user = family.user
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    unchanged = any(constant_time_compare(family.auth_hash, one) for one in hashes)
    return family.revoked_at is None and user.is_active and unchanged


def _family(claims: Token) -> TokenFamily | None:
    return _FAMILY.first(family_id=_family_id(claims))


def _family_id(claims: Token) -> uuid.UUID:
    try:
        return uuid.UUID(str(claims["fam"]))
    except (KeyError, ValueError) as error:
        raise InvalidToken from error


def _revoke(families: QuerySet[TokenFamily], now: datetime, reason: str) -> None:
    families.filter(revoked_at=None).update(revoked_at=now, revoke_reason=reason)


def _parse(kind: type[Token], raw: str) -> Token:
    """A token signed with JWT_SIGNING_KEY, or with a former one that is still taken."""
    formerly = (_formerly(kind.__name__, key) for key in settings.JWT_SIGNING_KEY_FALLBACKS)
    for one in (kind, *formerly):
        try:
            # simplejwt annotates its own argument as a Token; it is the encoded text.
            return one(raw)  # type: ignore[arg-type]
        except TokenError:
            continue
    raise InvalidToken


@lru_cache(maxsize=8)
def _formerly(kind: str, key: str) -> type[Token]:
    """This kind of token under another key: simplejwt itself knows one."""
    backend = TokenBackend(
        "HS256",
        key,
        audience=settings.JWT_AUDIENCE,
        issuer=settings.JWT_ISSUER,
        leeway=settings.JWT_LEEWAY,
    )
    base = next(one for one in (_Access, _Refresh) if one.__name__ == kind)
    return type(kind, (base,), {"_token_backend": backend})


def _pair(family: TokenFamily, now: datetime) -> TokenPair:
    refresh = _sign(_Refresh(), family, now, family.expires_at - now)
    refresh["jti"] = family.current.hex
    access = _sign(_Access(), family, now, settings.ACCESS_TOKEN_LIFETIME)
    seconds = int(settings.ACCESS_TOKEN_LIFETIME.total_seconds())
    return TokenPair(str(access), str(refresh), seconds)


def _sign(token: Token, family: TokenFamily, now: datetime, lifetime: timedelta) -> Token:
    token.set_iat(at_time=now)
    token.set_exp(from_time=now, lifetime=lifetime)
    token["sub"] = str(family.user_id)
    token["fam"] = family.pk.hex
    return token
