"""Settings for developers: API keys, and the newest requests that came with one."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from redis.exceptions import RedisError

from accounts.developer_forms import ApiKeyForm
from accounts.keys import KeyText
from accounts.requests import accounts_mine, user_of
from accounts.selectors import keys_of
from accounts.services.api_keys import key_create, key_revoke, keys_revoke_all
from accounts.sessions import confirmed_first
from speedtrade.lib.errors import DomainError
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.lib.redis import redis_failed
from speedtrade.lib.request_log import calls_of

PANEL = "accounts/settings/developers.html"


@require_safe
def developers(request: HttpRequest) -> HttpResponse:
    """Every key with how it is, and the newest API requests; htmx asks for the requests alone."""
    user = user_of(request)
    living, dead = keys_of(user, timezone.now())
    context = {"section": "developers", "living": living, "dead": dead, **_calls(user.pk)}
    return page(request, PANEL, context, partial="accounts/partials/_api_calls.html")


def _calls(user_id: int) -> dict[str, Any]:
    """The newest requests, or that they cannot be had: keys do not depend on it."""
    kept: dict[str, Any] = {"logged": settings.API_LOG, "shown_most": settings.API_LOG_SHOWN}
    if not settings.API_LOG:
        return kept
    try:
        return {**kept, "calls": calls_of(user_id)}
    except RedisError:
        redis_failed()
        return {**kept, "failed": True}


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_first("accounts:key_new", password=False)
@sensitive_post_parameters("password")
@sensitive_variables("raw")
def key_new(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST it: 201 with the key, this once, or 422 with what is wrong.

    No redirect: the key is on this page and nowhere else, neither in a session nor in a message.
    """
    posted = request.method == "POST"
    form = ApiKeyForm(request.POST if posted else None, accounts=accounts_mine(request))
    if posted and form.is_valid():
        try:
            key, raw = key_create(user=user_of(request), now=timezone.now(), **form.wish())
        except RateLimited:
            raise
        except DomainError as error:
            form.with_error(error)
        else:
            origin = request.build_absolute_uri("/").rstrip("/")
            context = {"section": "developers", "key": key, "raw": KeyText(raw), "origin": origin}
            return page(request, "accounts/settings/key_shown.html", context, status=201)
    context = {"section": "developers", "form": form}
    return page(request, "accounts/settings/key_new.html", context, status=422 if posted else 200)


@require_POST
def key_end(request: HttpRequest, key_id: int) -> HttpResponseBase:
    """Revoke one key."""
    key = key_revoke(user=user_of(request), key_id=key_id, now=timezone.now())
    messages.success(request, f"{key.name} is revoked: nothing opens with it any more.")
    return see_other(request, "accounts:developers")


@require_POST
def keys_end(request: HttpRequest) -> HttpResponseBase:
    """Revoke every key."""
    count = keys_revoke_all(user=user_of(request), now=timezone.now())
    words = "1 key is revoked." if count == 1 else f"{count} keys are revoked."
    messages.success(request, words)
    return see_other(request, "accounts:developers")
