"""When a session ends by itself: so long after the last sign of its person, and at its age.

A sign is a page that somebody goes to, or an act on one. What an open page asks by itself is none,
or a page that was left open would keep its session for ever.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.selectors import trades_live
from accounts.session_store import AGE, ENTERED_AT, IDLE, IDLE_LIVE, SessionStore, age_ends
from speedtrade.lib.later import later

BY_HAND = "X-By-Hand"  # static/js/ui.js: whether somebody has just touched the page that asks


class SeenMiddleware:
    """Note that somebody is there, after the answer and once a minute at most."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        session = request.session
        # One that nobody asked for is not read for this; one without an end was just made or ended.
        if isinstance(session, SessionStore) and session.accessed and session.ends_at is not None:
            now = timezone.now()
            if not by_hand(request) or SESSION_KEY not in session:
                return response
            if ENTERED_AT not in session:
                later(session_begin, session.session_key, now)
            elif _due(session, now):
                later(session_seen, session.session_key, request.user.pk, _latest(session), now)
        return response


def by_hand(request: HttpRequest) -> bool:
    """Whether a person asked for this, and not a page that is open."""
    if request.headers.get(BY_HAND) == "true":
        return True
    if request.headers.get("HX-Request") == "true":
        return False
    mode = request.headers.get("Sec-Fetch-Mode", "")  # over plain HTTP browsers do not say
    return mode == "navigate" if mode else "text/html" in request.headers.get("Accept", "")


def session_begin(key: str, now: datetime) -> None:
    """Let a session of before there was such an end begin now; its first sign moves that."""
    session = SessionStore(key)
    if SESSION_KEY in session and ENTERED_AT not in session:
        session[ENTERED_AT] = now.timestamp()
        session.save()


def session_seen(key: str, user_id: int, latest: datetime, now: datetime) -> None:
    """Move the end of a living session; one that is over stays so. `latest` is its last moment."""
    ends_at = min(session_ends(user_id, now), latest)
    Session.objects.filter(session_key=key, expire_date__gt=now).update(expire_date=ends_at)


def session_ends(user_id: int, now: datetime) -> datetime:
    """When a session ends whose person was seen `now` and never again."""
    return now + (settings.SESSION_IDLE_LIVE if trades_live(user_id) else settings.SESSION_IDLE)


def ended_words(why: str) -> str:
    """What the log-in page says of a session that ended by itself; "" for a word that is none."""
    quiet = {IDLE: settings.SESSION_IDLE, IDLE_LIVE: settings.SESSION_IDLE_LIVE}
    if why in quiet:
        return f"Your session ended after {_span(quiet[why])} without a sign of you."
    if why == AGE:
        days = timedelta(seconds=settings.SESSION_COOKIE_AGE).days
        return f"Your session ended: after {days} days everybody logs in anew."
    return ""


def _latest(session: SessionStore) -> datetime:
    return age_ends(session[ENTERED_AT])


def _due(session: SessionStore, now: datetime) -> bool:
    """Whether the last sign was noted SESSION_SEEN_NOTED ago; its end tells when that was.

    An end is one of two periods after it. Where both could be, one sign more or less is noted.
    """
    left = (session.ends_at or now) - now
    if session.ends_at == _latest(session):
        return False  # it cannot end later
    noted = (period - left for period in (settings.SESSION_IDLE, settings.SESSION_IDLE_LIVE))
    return not any(timedelta(0) <= ago < settings.SESSION_SEEN_NOTED for ago in noted)


def _span(period: timedelta) -> str:
    minutes = period // timedelta(minutes=1)
    count, unit = (minutes // 60, "hour") if minutes % 60 == 0 else (minutes, "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"
