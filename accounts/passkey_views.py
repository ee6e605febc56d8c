"""Passkeys: what a browser is asked to make or to sign, and the list of a user's own."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.factor_views import HOME, factor_ready
from accounts.forms import PasskeyForm
from accounts.requests import credential_of, user_of
from accounts.second_factor import passkey_challenge, passkey_offer
from accounts.services.factors import passkey_enable, passkey_rename
from accounts.services.tries import login_count
from accounts.sessions import confirmed_first, step_user
from speedtrade.lib.errors import DomainError, NotFound
from speedtrade.lib.htmx import see_other


@require_POST
@confirmed_first(HOME)
def make(request: HttpRequest) -> HttpResponseBase:
    """What a browser needs to make a passkey, as JSON (WebAuthn creation options)."""
    return JsonResponse(passkey_offer(request, user_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_first(HOME)
@sensitive_post_parameters("credential")
def passkey(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST `name`, `credential` (JSON): it is a factor, or 422."""
    user, posted = user_of(request), request.method == "POST"
    form = PasskeyForm(request.POST if posted else None)
    if posted and form.is_valid():
        try:
            codes = passkey_enable(
                user=user,
                name=form.cleaned_data["name"],
                credential=credential_of(request),
                request=request,
                now=timezone.now(),
            )
        except DomainError as error:
            form.with_error(error)
        else:
            return factor_ready(request, user, codes)
    context = {"section": "security", "form": form}
    status = 422 if posted else 200
    return render(request, "accounts/settings/passkey.html", context, status=status)


@require_POST
@confirmed_first(HOME)
def rename(request: HttpRequest, factor_id: int) -> HttpResponseBase:
    """POST `name`: what its owner calls a passkey."""
    form = PasskeyForm(request.POST)
    if form.is_valid():
        passkey_rename(user=user_of(request), factor_id=factor_id, **form.cleaned_data)
        messages.success(request, "Saved.")
    else:
        messages.error(request, "A passkey has a name of at most 40 letters.")
    return see_other(request, HOME)


@require_POST
def ask(request: HttpRequest) -> HttpResponseBase:
    """What a passkey of this user must sign, as JSON, to show again who they are."""
    return JsonResponse(passkey_challenge(request, user_of(request)))


@login_not_required
@require_POST
def ask_step(request: HttpRequest) -> HttpResponseBase:
    """The same between the password and the second step; 404 for who is not there."""
    user = step_user(request, timezone.now())
    login_count(request, user)
    if user is None:
        raise NotFound
    return JsonResponse(passkey_challenge(request, user))
