"""The settings: six pages, each with its forms, and each whole without JavaScript."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.cookies import with_look
from accounts.forms import (
    AppearanceForm,
    CloseForm,
    HouseForm,
    LimitsForm,
    NotificationsForm,
    PasswordForm,
    PreferencesForm,
    ProfileForm,
    TradingForm,
)
from accounts.requests import CHOSEN, account_shown, user_of
from accounts.selectors import security_log
from accounts.services.closing import closing_refusal, user_close
from accounts.services.devices import sessions_of, trusted_of
from accounts.services.exports import export_lines, export_names
from accounts.services.factors import factors_shown
from accounts.services.letters import mail_on
from accounts.services.limits import account_limits_change, limits_raise
from accounts.services.preferences import user_columns_change, user_preferences_change
from accounts.services.users import (
    user_password_change,
    user_profile_change,
    user_sessions_end,
)
from accounts.sessions import confirm_wanted, confirmed_first, session_keep
from speedtrade.lib.columns import TABLES
from speedtrade.lib.errors import Conflict, DomainError, InvalidInput
from speedtrade.lib.htmx import SeeOther, see_other
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.lib.requests import own_address


@require_safe
def settings_page(request: HttpRequest) -> HttpResponseBase:
    """Name and e-mail address, and the way to all that has no tab on a phone."""
    return _page(request, "profile", profile_form=ProfileForm.of(user_of(request)))


@require_POST
@confirmed_first("accounts:settings")
def profile_change(request: HttpRequest) -> HttpResponseBase:
    """POST `email`: back to the settings, or 422 with them."""
    form = ProfileForm(request.POST)
    if form.is_valid():
        try:
            user_profile_change(user=user_of(request), **form.cleaned_data, now=timezone.now())
        except InvalidInput as error:
            form.with_error(error)
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("accounts:settings")
    return _page(request, "profile", status=422, profile_form=form)


@require_http_methods(["GET", "HEAD", "POST"])
def trading(request: HttpRequest) -> HttpResponseBase:
    """GET; POST `order_unit`, `review_below`, `hold_from`: how a ticket begins, skips, asks."""
    limits_form = LimitsForm.of(account_shown(request))
    return _preferences(request, "trading", TradingForm, limits_form=limits_form)


@require_POST
@sensitive_post_parameters("password")
def limits(request: HttpRequest) -> HttpResponseBase:
    """POST `account_id`, `order_cap`, `day_cap`, `password`: back to the page, or 422 with it."""
    account, user = account_shown(request), user_of(request)
    form = LimitsForm(request.POST)
    if form.is_valid():
        higher = limits_raise(account, form.caps())  # a lower one must wait for nothing
        if higher and (asks := confirm_wanted(request, "accounts:trading", password=False)):
            return asks
        try:
            account_limits_change(
                account=account,
                caps=form.caps(),
                password=form.cleaned_data["password"],
                actor=user,
                now=timezone.now(),
            )
        except RateLimited:
            raise
        except DomainError as error:
            form.with_error(error)
        else:
            messages.success(request, "Saved. The limits hold from the next order on.")
            return SeeOther(f"{resolve_url('accounts:trading')}?{CHOSEN}={account.pk}")
    return _page(request, "trading", status=422, form=TradingForm.of(user), limits_form=form)


@require_http_methods(["GET", "HEAD", "POST"])
def appearance(request: HttpRequest) -> HttpResponseBase:
    """GET; POST `theme`, `palette`, `density`, `flashes`, `paused`, `shortcuts`."""
    return _preferences(request, "appearance", AppearanceForm)


@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: HttpRequest) -> HttpResponseBase:
    """GET; POST `toast_fills`, `toast_ends`, `toast_alerts`, `toast_connection`."""
    return _preferences(request, "notifications", NotificationsForm)


def _preferences(
    request: HttpRequest, section: str, kind: type[PreferencesForm], **context: Any
) -> HttpResponseBase:
    user, posted = user_of(request), request.method == "POST"
    form = kind(request.POST) if posted else kind.of(user)
    if posted and form.is_valid():
        try:
            user = user_preferences_change(user=user, now=timezone.now(), **form.cleaned_data)
        except InvalidInput as error:
            form.with_error(error)
        else:
            messages.success(request, "Saved.")
            return with_look(see_other(request, f"accounts:{section}"), user)
    return _page(request, section, status=422 if posted else 200, form=form, **context)


@require_POST
def columns(request: HttpRequest, table: str) -> HttpResponseBase:
    """POST `column` (any number), or `reset`; and `next`: back to the table, as it is now.

    htmx follows as a browser does, and takes the table out of what it finds there.
    """
    if table not in TABLES:
        raise Http404
    names = None if "reset" in request.POST else request.POST.getlist("column")
    user_columns_change(user=user_of(request), table=TABLES[table], names=names, now=timezone.now())
    asked = request.POST.get("next", "")
    own = own_address(request, asked)
    return SeeOther(asked if own else resolve_url("accounts:appearance"))


@require_safe
def security(request: HttpRequest) -> HttpResponseBase:
    """The password, the other sessions, and who logged in when."""
    return _security(request, PasswordForm())


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_first("accounts:security", password=False)
@sensitive_post_parameters("current_password", "new_password")
def password_change(request: HttpRequest) -> HttpResponseBase:
    """POST `current_password`, `new_password`: this session stays, every other door closes."""
    posted = request.method == "POST"
    form = PasswordForm(request.POST) if posted else PasswordForm()
    if posted and form.is_valid():
        try:
            user = user_password_change(
                user=user_of(request), **form.cleaned_data, now=timezone.now()
            )
        except InvalidInput as error:
            form.with_error(error)
        else:
            messages.success(request, "Your password is changed. Other devices are logged out.")
            return session_keep(request, user, redirect("accounts:security"))
    return _security(request, form, status=422 if posted else 200)


@require_POST
def sessions_end(request: HttpRequest) -> HttpResponseBase:
    """Every other session and every API token of this user ends; this session stays."""
    user = user_sessions_end(user=user_of(request), now=timezone.now())
    messages.success(request, "Every other browser and every API token is logged out.")
    return session_keep(request, user, see_other(request, "accounts:security"))


@require_safe
def data(request: HttpRequest) -> HttpResponseBase:
    """A copy of everything, and the end of the account."""
    return _data(request, CloseForm())


@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """Everything that is kept about this user, as a file of JSON lines."""
    lines = export_lines(user_of(request))
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson; charset=utf-8")
    name = f"speedtrade-data-{timezone.now():%Y-%m-%d}.jsonl"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_POST
@confirmed_first("accounts:data", password=False)
@sensitive_post_parameters("password")
def close(request: HttpRequest) -> HttpResponseBase:
    """POST `username`, `password`: the account is closed and this person logged out, or 422."""
    form = CloseForm(request.POST)
    if form.is_valid():
        try:
            user_close(user=user_of(request), **form.cleaned_data, now=timezone.now())
        except (InvalidInput, Conflict) as error:
            form.with_error(error)
        else:
            logout(request)
            messages.success(request, "Your account is closed. Support can open it again.")
            return redirect(settings.LOGOUT_REDIRECT_URL)
    return _data(request, form, status=422)


def _security(request: HttpRequest, form: HouseForm, status: int = 200) -> HttpResponseBase:
    user, now = user_of(request), timezone.now()
    context = {
        "password_form": form,
        "events": security_log(user),
        "sessions": sessions_of(user, now),
        "here": request.session.session_key,
        "trusted": trusted_of(user, now),
        **factors_shown(user),
    }
    return _page(request, "security", status=status, **context)


def _data(request: HttpRequest, form: HouseForm, status: int = 200) -> HttpResponseBase:
    refusal = closing_refusal(user_of(request))
    return _page(request, "data", status=status, form=form, refusal=refusal, parts=export_names())


def _page(
    request: HttpRequest, section: str, *, status: int = 200, **context: Any
) -> HttpResponseBase:
    context |= {"section": section, "mail_on": mail_on()}
    return render(request, f"accounts/settings/{section}.html", context, status=status)
