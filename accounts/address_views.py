"""Settings of the e-mail address: asking for a link, and following it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.links import address_link_fits
from accounts.requests import user_of
from accounts.services.addresses import address_ask, address_confirm
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.htmx import see_other
from speedtrade.lib.ratelimit import RateLimited

HOME = "accounts:settings"


@require_POST
def ask(request: HttpRequest) -> HttpResponseBase:
    """Send a link to the address of this user, and say so."""
    user = user_of(request)
    try:
        address_ask(user=user, now=timezone.now())
    except (Conflict, RateLimited) as error:
        messages.info(request, error.detail)
    else:
        messages.success(request, f"A link is on its way to {user.email}.")
    return see_other(request, HOME)


@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponseBase:
    """GET asks, for programs that read mail follow links; POST: the address is verified, or 422."""
    user = user_of(request)
    fits, status = address_link_fits(user, token), 200
    if request.method == "POST":
        try:
            address_confirm(user=user, token=token, now=timezone.now())
        except InvalidInput:
            fits, status = False, 422
        else:
            messages.success(request, "Your address is verified.")
            return see_other(request, HOME)
    context = {"section": "profile", "fits": fits}
    return render(request, "accounts/settings/address.html", context, status=status)
