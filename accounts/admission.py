"""Who may open a socket, and whether those inside still may.

A browser comes with its session cookie, and must come from a page of ours: browsers send cookies
along with whatever opens the socket, so the cookie alone proves nothing. A page that may call the
API (ALLOWED_ORIGINS) is none of ours, though it may be of one site with us and so get the cookie
sent: it comes as a program does. A program comes with
`Authorization: Bearer` and an access token or an API key, which no page of a stranger can make a
browser send. A token in the URL is never read: addresses end up in logs.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.api_keys import MARK, key_authenticate
from accounts.models import User
from accounts.tokens import authenticate_token
from speedtrade.lib.admission import FORBIDDEN, LOG_IN, Admission, Refused
from speedtrade.lib.errors import DomainError
from speedtrade.lib.ratelimit import peer_ip


def admit(headers: Iterable[tuple[bytes, bytes]], peer: str) -> Admission:
    """Find out whose socket this is, by the headers of its handshake; raises Refused.

    `peer` is the address at the other end: keys may name where they are used from.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.decode("latin-1").lower()
        if key in found and key in ("authorization", "origin", "host"):
            raise Refused(LOG_IN)  # which of the two would a proxy before us have checked?
        found[key] = value.decode("latin-1")
    if "authorization" in found:
        address = peer_ip(peer, found.get("x-forwarded-for", ""))
        return _by_token(found["authorization"], address)
    return _by_session(found)


def same_origin(origin: str, host: str) -> bool:
    """Whether `origin` is where our own pages are, at `host`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def still_admitted(admissions: Iterable[Admission], now: datetime) -> set[Admission]:
    """Those whose session or token, user and password are still what they were."""
    asked = set(admissions)
    ids = {admission.user_id for admission in asked}
    users = {user.pk: user for user in User.objects.filter(pk__in=ids, is_active=True)}
    keys = {admission.session_key for admission in asked if admission.browser}
    alive = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    sessions = set(alive.values_list("session_key", flat=True))
    return {admission for admission in asked if _still(admission, users, sessions)}


def _still(admission: Admission, users: Mapping[int, User], sessions: set[str]) -> bool:
    user = users.get(admission.user_id)
    if user is None:
        return False
    if admission.browser:
        return admission.session_key in sessions and _unchanged(admission.auth_hash, user)
    try:
        # Let in once, it is no guess: strangers at its address must not close it.
        user = _bearer(admission.token, admission.address, guess=False)
        return user.pk == admission.user_id
    except DomainError:
        return False


def _bearer(token: str, address: str, *, guess: bool = True) -> User:
    """The user of a living access token or API key; raises DomainError."""
    if token.startswith(MARK):
        now = timezone.now()
        return key_authenticate(raw=token, address=address, guess=guess, now=now).user
    return authenticate_token(token)


def _by_token(header: str, address: str) -> Admission:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(LOG_IN)
    try:
        user = _bearer(token.strip(), address)
    except DomainError as error:
        raise Refused(LOG_IN) from error
    return Admission(
        user_id=user.pk, token=token.strip(), address=address, account_id=user.only_account_id
    )


def _by_session(headers: Mapping[str, str]) -> Admission:
    if not same_origin(headers.get("origin", ""), headers.get("host", "")):
        raise Refused(FORBIDDEN)
    key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME, "")
    if not key:
        raise Refused(LOG_IN)
    user = _session_user(SessionStore(key))
    if user is None:
        raise Refused(LOG_IN)
    return Admission(user_id=user.pk, session_key=key, auth_hash=user.get_session_auth_hash())


def _session_user(session: SessionStore) -> User | None:
    """Whose session this is. Django's `get_user` would do, but it gives a session of the former
    SECRET_KEY a new key, and a handshake has no answer that could take that to the browser.
    """
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = User.objects.filter(pk=session.get(SESSION_KEY, 0), is_active=True).first()
    if user is None or not _unchanged(session.get(HASH_SESSION_KEY, ""), user):
        return None
    return user


def _unchanged(auth_hash: str, user: User) -> bool:
    """Whether this hash is the user's still, by the key of today or by a former one."""
    known = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(auth_hash, one) for one in known)
