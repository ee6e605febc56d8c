"""What a session knows of its person beyond who it is: how they came in, and how lately.

Between the password and the code a session has no user, only the step that it has reached.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import (
    HASH_SESSION_KEY,
    REDIRECT_FIELD_NAME,
    login,
    logout,
    update_session_auth_hash,
)
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.cookies import Response, browser_known, with_browser
from accounts.idle import session_ends
from accounts.models import BrokerageAccount, User
from accounts.requests import user_of
from accounts.second_factor import has_factor
from accounts.services.devices import session_record
from accounts.services.factors import SecondFactorMissing, live_check
from accounts.session_store import ENTERED_AT, SessionStore
from speedtrade.lib.htmx import see_other
from speedtrade.lib.live import live_publish

STEP = "second_step"  # whose password was right, and when
FACTOR_AT = "factor_at"  # when a second factor was shown in this session
TRUSTED = "trusted"  # a browser that showed one lately: enough for pages, not for the desk
CONFIRMED_AT = "confirmed_at"  # when its person last showed who they are
SHOW_WORDS = "Real money takes your second factor, and this log-in did not show it."

View = Callable[..., HttpResponseBase]


def step_begin(request: HttpRequest, user: User, now: datetime) -> None:
    """The password was right: this session may show the second factor, for a few minutes.

    Who was logged in here is so no longer: it may be somebody else who comes.
    """
    if request.user.is_authenticated:
        live_publish(user_id=user_of(request).pk, kind="logout", thing_id=user_of(request).pk)
        logout(request)
    request.session.cycle_key()  # one that was planted before is worth nothing
    request.session[STEP] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": now.timestamp(),
    }


def step_user(request: HttpRequest, now: datetime) -> User | None:
    """Who has to show a second factor in this session; None where nobody has, or it took long."""
    step = request.session.get(STEP)
    if not step or not _within(step["at"], settings.SECOND_STEP_WAIT, now):
        return None
    user = User.objects.filter(pk=step["user"], is_active=True).first()
    if user is None or not constant_time_compare(step["hash"], user.get_session_auth_hash()):
        return None
    return user


def session_enter(
    request: HttpRequest, user: User, *, factor: bool, trusted: bool = False, now: datetime
) -> None:
    """A session of this user, with a new id.

    `factor` says that they showed more than a password, `trusted` that this browser did lately.
    """
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session.pop(STEP, None)
    confirmed_now(request, factor=factor, now=now)
    request.session[TRUSTED] = trusted
    request.session[ENTERED_AT] = now.timestamp()
    if isinstance(request.session, SessionStore):
        request.session.ends_at = session_ends(user.pk, now)
    request.session.save()  # the key is new: the row below names it
    agent = request.headers.get("User-Agent", "")
    session_record(user=user, key=request.session.session_key or "", agent=agent, now=now)


def session_keep(request: HttpRequest, user: User, response: Response) -> Response:
    """Answer so that this session outlives what has just ended all others of the user.

    A browser that was known by the user's former hash is known by the new one.
    """
    known = browser_known(request, user, request.session.get(HASH_SESSION_KEY, ""))
    update_session_auth_hash(request, user)
    request.session.save()
    return with_browser(response, request, user) if known else response


def confirmed_now(request: HttpRequest, *, factor: bool, now: datetime) -> None:
    """This person has just shown who they are."""
    request.session[CONFIRMED_AT] = now.timestamp()
    if factor:
        request.session[FACTOR_AT] = now.timestamp()


def factor_shown(request: HttpRequest) -> bool:
    """Whether a second factor was shown in this session."""
    return FACTOR_AT in request.session


def factor_first(request: HttpRequest) -> HttpResponseBase | None:
    """Where somebody goes who must have shown a second factor in this session; None who has."""
    if not has_factor(user_of(request)):  # asked first: what was shown may be gone since
        return see_other(request, "accounts:factor_app")
    return None if factor_shown(request) else _to_confirm(request, request.get_full_path())


def live_session_check(request: HttpRequest, account: BrokerageAccount) -> None:
    """Pages move real money in a session that showed a second factor; raises SecondFactorMissing.

    A session of before that factor ended with its set-up; this is for whoever still has one.
    """
    live_check(user_of(request), account)
    asked = settings.LIVE_SECOND_FACTOR and account.is_live
    if asked and not (factor_shown(request) or request.session.get(TRUSTED)):
        raise SecondFactorMissing(SHOW_WORDS)


def confirmed_first(back: str, *, password: bool = True) -> Callable[[View], View]:
    """Decorate a page for what matters: it asks who one is unless that was shown lately.

    The one way that pages ask again. Who has a second factor shows it: a password and a trusted
    browser together would else set up, renew or remove the factor that they stand in for. Others
    give their password, unless the page asks for that by itself (`password` False). A GET comes
    back to itself; a POST, whose body is not kept, to the page `back`, where it is sent again.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return confirm_wanted(request, back, password=password) or view(
                request, *args, **kwargs
            )

        return guarded

    return decorate


def confirm_wanted(
    request: HttpRequest, back: str, *, password: bool = True
) -> HttpResponseBase | None:
    """The same for a page that asks of some forms alone; None where nobody need be asked."""
    factor = has_factor(user_of(request))
    asked = factor or password
    if not asked or _lately(request, FACTOR_AT if factor else CONFIRMED_AT):
        return None
    looks = request.method in ("GET", "HEAD")
    if not looks:
        messages.info(request, "Nothing was changed yet: confirm, then send it again.")
    return _to_confirm(request, request.get_full_path() if looks else resolve_url(back))


def _to_confirm(request: HttpRequest, back: str) -> HttpResponseBase:
    query = urlencode({REDIRECT_FIELD_NAME: back}, safe="/")
    return see_other(request, f"{resolve_url('accounts:confirm')}?{query}")


def _lately(request: HttpRequest, what: str) -> bool:
    at = request.session.get(what)
    return at is not None and _within(at, settings.CONFIRMED_FOR, timezone.now())


def _within(at: float, period: timedelta, now: datetime) -> bool:
    return 0 <= now.timestamp() - at < period.total_seconds()
