"""Settings of the second factor: the app, recovery codes, and showing again who one is."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import CodeForm, ConfirmForm
from accounts.models import User
from accounts.requests import credential_of, user_of
from accounts.second_factor import app_offer, has_factor, has_passkey
from accounts.services.factors import app_enable, factor_remove, recovery_renew
from accounts.services.logins import InvalidCredentials, passkey_check, person_check
from accounts.services.tries import KNOWN
from accounts.sessions import FACTOR_AT, confirmed_first, confirmed_now, session_keep
from speedtrade.lib.crypto import Unreadable
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.htmx import SeeOther, see_other
from speedtrade.lib.requests import own_address

HOME = "accounts:security"


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password", "code", "credential")
def confirm(request: HttpRequest) -> HttpResponseBase:
    """POST `password`, or a factor's `code` or `credential`, `next`: on to what matters, or 422."""
    user, now, posted = user_of(request), timezone.now(), request.method == "POST"
    form = ConfirmForm(request.POST if posted else None, factor=has_factor(user))
    if posted and form.is_valid():
        try:
            if request.POST.get("credential"):
                answer = credential_of(request)
                passkey_check(user=user, credential=answer, request=request, place=KNOWN, now=now)
                factor = True
            else:
                factor = person_check(user=user, **form.cleaned_data, now=now)
        except (InvalidInput, InvalidCredentials) as error:
            form.with_error(error)
        else:
            confirmed_now(request, factor=factor, now=now)
            return SeeOther(_next(request))
    context = {
        "form": form,
        "next": _next(request),
        "has_passkey": has_passkey(user),
    }
    return _page(request, "confirm", context, status=422 if posted else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_first(HOME)
@sensitive_post_parameters("code", "offer")
def app(request: HttpRequest) -> HttpResponseBase:
    """GET a secret for an authenticator app; POST it sealed with a `code`: a factor, or 422."""
    user, posted = user_of(request), request.method == "POST"
    form, sealed = CodeForm(request.POST if posted else None), request.POST.get("offer", "")
    if posted and form.is_valid():
        try:
            given = form.cleaned_data["code"]
            codes = app_enable(user=user, sealed=sealed, code=given, now=timezone.now())
        except Conflict as error:
            messages.error(request, error.detail)
            return see_other(request, HOME)
        except InvalidInput as error:
            form.with_error(error)
        else:
            return factor_ready(request, user, codes)
    try:
        offer = app_offer(user, sealed)
    except Unreadable:
        offer = app_offer(user)
    return _page(request, "app", {"form": form, "offer": offer}, status=422 if posted else 200)


def factor_ready(request: HttpRequest, user: User, codes: list[str]) -> HttpResponseBase:
    """After a new factor: this session has shown it; the first one's recovery codes, this once."""
    user.refresh_from_db()
    confirmed_now(request, factor=True, now=timezone.now())
    if codes:
        return session_keep(request, user, _codes(request, codes))
    messages.success(request, "Your second factor is set up.")
    return session_keep(request, user, see_other(request, HOME))


@require_POST
@confirmed_first(HOME)
def codes(request: HttpRequest) -> HttpResponseBase:
    """New recovery codes, shown in this one answer and never again."""
    return _codes(request, recovery_renew(user=user_of(request), now=timezone.now()))


@require_POST
@confirmed_first(HOME)
def remove(request: HttpRequest, factor_id: int) -> HttpResponseBase:
    """Take a factor away; the last one of who must have one stays. Other sessions end."""
    try:
        user = factor_remove(user=user_of(request), factor_id=factor_id, now=timezone.now())
    except Conflict as error:
        messages.error(request, error.detail)
        return see_other(request, HOME)
    if not has_factor(user):
        request.session.pop(FACTOR_AT, None)  # the next one was not shown yet
    messages.success(request, "It is removed, and opens nothing any more.")
    return session_keep(request, user, see_other(request, HOME))


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponseBase:
    shown = [f"{code[:5]} {code[5:]}" for code in codes]
    return _page(request, "codes", {"codes": shown})


def _page(
    request: HttpRequest, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponseBase:
    template = f"accounts/settings/{name}.html"
    return render(request, template, {"section": "security", **context}, status=status)


def _next(request: HttpRequest) -> str:
    given = request.POST if request.method == "POST" else request.GET
    url = given.get(REDIRECT_FIELD_NAME, "")
    own = own_address(request, url)
    return url if own else resolve_url(HOME)
