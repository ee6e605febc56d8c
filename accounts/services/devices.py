"""The browsers of a user: each log-in, and those that need not show the second factor again."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import QuerySet

from accounts.models import BrowserSession, TrustedBrowser, User
from accounts.services.audit import audit_record
from speedtrade.lib.errors import NotFound
from speedtrade.lib.live import live_publish

_SIGNER = Signer(salt="speedtrade.trusted-browser")
#: What stands in a User-Agent -> what it is; the first that fits, for each names those it imitates.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "a Mac"),
    ("Linux", "Linux"),
)
_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)


def browser_words(agent: str) -> str:
    """A User-Agent in words for its owner: "Firefox on Windows"."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser


def session_record(*, user: User, key: str, agent: str, now: datetime) -> BrowserSession:
    """Write down that a browser is logged in; anew where the same one was already."""
    values = {
        "user": user,
        "auth_hash": user.get_session_auth_hash(),
        "browser": browser_words(agent),
        "created_at": now,
    }
    row, _ = BrowserSession.objects.update_or_create(session_key=key, defaults=values)
    return row


def session_follow(*, user: User, old: str, new: str, now: datetime) -> None:
    """A session got a new key, as it does by a new password or SECRET_KEY: it is the same one.

    Of two requests at once each gets a key of its own: the second is another, and is listed, too.
    """
    followed = BrowserSession.objects.filter(user=user, session_key=old).update(
        session_key=new, auth_hash=user.get_session_auth_hash()
    )
    if not followed:
        session_record(user=user, key=new, agent="", now=now)


def sessions_of(user: User, now: datetime) -> QuerySet[BrowserSession]:
    """Where this user is logged in now, the newest first."""
    alive = Session.objects.filter(expire_date__gt=now).values("session_key")
    mine = BrowserSession.objects.filter(user=user, auth_hash__in=_hashes(user))
    return mine.filter(session_key__in=alive).order_by("-created_at", "-pk")


def sessions_shorten(*, user: User, now: datetime) -> None:
    """From now on this user's sessions end as early as those of who has a live account."""
    keys = BrowserSession.objects.filter(user=user).values("session_key")
    last = now + settings.SESSION_IDLE_LIVE
    Session.objects.filter(session_key__in=keys, expire_date__gt=last).update(expire_date=last)


@transaction.atomic
def session_end(*, user: User, session_id: int, now: datetime) -> None:
    """Log one browser out; its sockets look again. Raises NotFound for what is not this user's."""
    row = BrowserSession.objects.filter(user=user, pk=session_id).first()
    if row is None:
        raise NotFound("You have no such session.")
    Session.objects.filter(session_key=row.session_key).delete()
    row.delete()
    _audit(user, "user.session_end", {"browser": row.browser}, now)
    live_publish(user_id=user.pk, kind="logout", thing_id=user.pk)


@transaction.atomic
def browser_trust(*, user: User, agent: str, now: datetime) -> str:
    """Trust this browser for a while: the value of its cookie, which is nowhere else."""
    token = secrets.token_urlsafe(32)
    TrustedBrowser.objects.create(
        user=user,
        token_hash=_hash(token),
        auth_hash=user.get_session_auth_hash(),
        browser=browser_words(agent),
        created_at=now,
        expires_at=now + settings.BROWSER_TRUSTED_FOR,
    )
    _audit(user, "user.browser_trust", {"browser": browser_words(agent)}, now)
    return _SIGNER.sign(token)


def browser_trusted(*, user: User, cookie: str, now: datetime) -> bool:
    """Whether a browser with this cookie may log this user in by the password alone."""
    try:
        token = _SIGNER.unsign(cookie)
    except BadSignature:
        return False
    return (
        bool(_TOKEN.fullmatch(token))
        and trusted_of(user, now).filter(token_hash=_hash(token)).exists()
    )


def trusted_of(user: User, now: datetime) -> QuerySet[TrustedBrowser]:
    """The browsers that are trusted now, the newest first."""
    mine = TrustedBrowser.objects.filter(user=user, auth_hash__in=_hashes(user))
    return mine.filter(expires_at__gt=now).order_by("-created_at", "-pk")


@transaction.atomic
def trust_end(
    *, user: User, browser_id: int | None = None, actor: User | None = None, now: datetime
) -> int:
    """Trust one browser no longer, or none without an id; how many were. Raises NotFound.

    `actor` is who does it where it is not the user.
    """
    rows = TrustedBrowser.objects.filter(user=user)
    if browser_id is not None:
        rows = rows.filter(pk=browser_id)
        if not rows.exists():
            raise NotFound("You have no such browser.")
    count, _ = rows.delete()
    if count:
        target = f"user:{user.pk}"
        audit_record(actor=actor or user, action="user.trust_end", target=target, now=now)
    return count


def devices_expire(*, now: datetime) -> int:
    """Delete what has ended long ago; harmless twice. How many rows."""
    trusts, _ = TrustedBrowser.objects.filter(expires_at__lte=now).delete()
    alive = Session.objects.filter(expire_date__gt=now).values("session_key")
    sessions, _ = BrowserSession.objects.exclude(session_key__in=alive).delete()
    # Kept so long, for a browser that comes back with one to be told why it ended.
    oldest = now - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    Session.objects.filter(expire_date__lt=oldest).delete()
    return trusts + sessions


def _hashes(user: User) -> list[str]:
    """What still counts as this user's: by the key of today, and by former ones."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _audit(user: User, action: str, data: dict[str, str], now: datetime) -> None:
    audit_record(actor=user, action=action, target=f"user:{user.pk}", data=data, now=now)
