"""Settings of a user's browsers: where they are logged in, and which are trusted."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.factor_views import HOME
from accounts.requests import user_of
from accounts.services.devices import session_end, trust_end
from speedtrade.lib.htmx import see_other


@require_POST
def session(request: HttpRequest, session_id: int) -> HttpResponseBase:
    """Log one browser out."""
    session_end(user=user_of(request), session_id=session_id, now=timezone.now())
    messages.success(request, "That browser is logged out.")
    return see_other(request, HOME)


@require_POST
def trust(request: HttpRequest, browser_id: int) -> HttpResponseBase:
    """Trust one browser no longer."""
    trust_end(user=user_of(request), browser_id=browser_id, now=timezone.now())
    return _distrusted(request)


@require_POST
def trust_none(request: HttpRequest) -> HttpResponseBase:
    """Trust no browser any more."""
    trust_end(user=user_of(request), now=timezone.now())
    return _distrusted(request)


def _distrusted(request: HttpRequest) -> HttpResponseBase:
    messages.success(request, "It asks for the second factor from the next log-in on.")
    return see_other(request, HOME)
