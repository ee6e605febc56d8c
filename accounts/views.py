"""Pages: register, log in, log out."""

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, login, logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.cookies import with_theme
from accounts.forms import HouseForm, LoginForm, RegisterForm
from accounts.models import User
from accounts.requests import user_of
from accounts.services.logins import InvalidCredentials, login_check
from accounts.services.users import user_register
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.live import live_publish
from speedtrade.lib.ratelimit import limited_by_address


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@limited_by_address("login", "RATE_LOGIN_PER_ADDRESS")
def login_page(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST `username`, `password`, `next`: in, or 422 with the form."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(_next(request))
    form = LoginForm(request.POST or None)
    if form.is_valid():
        try:
            return _enter(
                request, login_check(**form.cleaned_data, door="page", now=timezone.now())
            )
        except InvalidCredentials as error:
            form.with_error(error)
    return _form_page(request, "accounts/login.html", form)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@limited_by_address("register", "RATE_REGISTER_PER_ADDRESS")
def register_page(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST `username`, `email`, `password`, `next`: registered and in, or 422."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(_next(request))
    form = RegisterForm(request.POST or None)
    if form.is_valid():
        try:
            return _enter(request, user_register(**form.cleaned_data, now=timezone.now()))
        except InvalidInput as error:
            form.with_error(error)
    return _form_page(request, "accounts/register.html", form)


@require_POST
def logout_page(request: HttpRequest) -> HttpResponseBase:
    """End this session; sockets look again whether their session lives."""
    live_publish(user_id=user_of(request).pk, kind="logout", thing_id=user_of(request).pk)
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


def _status(request: HttpRequest) -> int:
    """A POST that comes back to its form was refused."""
    return 422 if request.method == "POST" else 200


def _form_page(request: HttpRequest, template: str, form: HouseForm) -> HttpResponseBase:
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    context = {"form": form, "next": asked if _own(request, asked) else ""}
    return render(request, template, context, status=_status(request))


def _enter(request: HttpRequest, user: User) -> HttpResponseBase:
    """A new session id, so that one planted before is worth nothing, then to where they wanted."""
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return with_theme(redirect(_next(request)), user)


def _next(request: HttpRequest) -> str:
    """Where to go after the log-in: `next` on our own host, else the dashboard."""
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    return asked if _own(request, asked) else resolve_url(settings.LOGIN_REDIRECT_URL)


def _own(request: HttpRequest, url: str) -> bool:
    return url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
