"""Pages of who forgot the password: asking for a link, following it, and a new password."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts.cookies import with_reset, without_reset
from accounts.links import reset_user
from accounts.password_forms import ForgottenForm, NewPasswordForm
from accounts.services.forgotten import password_reset, reset_ask
from accounts.services.letters import mail_on
from accounts.services.passwords import password_rules
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.htmx import SeeOther
from speedtrade.lib.ratelimit import limited_by_address


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@limited_by_address("reset", "RATE_RESET_PER_ADDRESS")
def forgotten(request: HttpRequest) -> HttpResponseBase:
    """POST `username`, a name or an address: a link is sent there or not, and the page is one."""
    posted = request.method == "POST"
    form = ForgottenForm(request.POST if posted else None)
    sent = posted and mail_on() and form.is_valid()
    if sent:
        reset_ask(name=form.cleaned_data["username"], now=timezone.now())
    minutes = settings.RESET_LINK_AGE.total_seconds() // 60
    context = {"form": form, "mail_on": mail_on(), "sent": sent, "minutes": int(minutes)}
    return _page(request, "forgotten", context, status=422 if posted and not sent else 200)


@login_not_required
@require_safe
def reset_link(request: HttpRequest, token: str) -> HttpResponseBase:
    """Take the secret out of the address, where histories, referrers and helpers would keep it."""
    response = SeeOther(resolve_url("accounts:reset"))
    return with_reset(response, token) if reset_user(token) else without_reset(response)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@limited_by_address("reset", "RATE_RESET_PER_ADDRESS")
def reset(request: HttpRequest) -> HttpResponseBase:
    """POST `password`, with the cookie of a link: on to the log-in, or 422."""
    token, posted = request.COOKIES.get(settings.RESET_COOKIE_NAME, ""), request.method == "POST"
    user = reset_user(token)
    form = NewPasswordForm(request.POST if posted else None)
    if user and posted and form.is_valid():
        try:
            user = password_reset(token=token, **form.cleaned_data, now=timezone.now())
        except InvalidInput as error:
            form.with_error(error)
        else:
            messages.success(request, f"The password of {user.username} is set. Log in with it.")
            return without_reset(redirect("accounts:login"))
    rules = password_rules(password="", username="", email="")
    context = {"form": form, "person": user, "rules": rules}
    return _page(request, "reset", context, status=422 if posted else 200)


def _page(
    request: HttpRequest, name: str, context: dict[str, Any], status: int
) -> HttpResponseBase:
    return render(request, f"accounts/{name}.html", context, status=status)
