"""Pages: register, log in, log out."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.cookies import browser_known, browser_marked, with_browser, with_look, with_trust
from accounts.forms import HouseForm, LoginForm, RegisterForm, StepForm
from accounts.idle import ended_words
from accounts.models import User
from accounts.requests import credential_of, user_of
from accounts.second_factor import has_factor, has_passkey
from accounts.selectors import user_by_login
from accounts.services.devices import browser_trust, browser_trusted, browser_words
from accounts.services.letters import BROWSER_NEW, letter_tell
from accounts.services.logins import (
    InvalidCredentials,
    code_check,
    login_begin,
    login_finish,
    passkey_check,
)
from accounts.services.passwords import password_rules
from accounts.services.tries import login_count, place_of
from accounts.services.users import name_problem, user_register
from accounts.sessions import session_enter, step_begin, step_user
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.live import live_publish
from speedtrade.lib.middleware import ENDED
from speedtrade.lib.ratelimit import RateLimited, limit_address, limited_by_address
from speedtrade.lib.requests import own_address


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def login_page(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST `username`, `password`, `next`: in, 422, or 429 while it is locked."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(_next(request))
    form = LoginForm(request.POST or None)
    try:
        if request.method == "POST":
            login_count(request, _named(request, form))
        if form.is_valid():
            given, now = form.cleaned_data, timezone.now()
            user = login_begin(**given, door="page", request=request, now=now)
            return _password_right(request, user)
    except InvalidCredentials as error:
        form.with_error(error)
    except RateLimited as error:
        return _locked_page(request, "accounts/login.html", form, error)
    return _form_page(request, "accounts/login.html", form)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code", "credential")
def login_code(request: HttpRequest) -> HttpResponseBase:
    """The second step: POST `code` or `credential`, `next`: in, 422, or 429; or too late."""
    now = timezone.now()
    user = step_user(request, now)
    if user is None:
        return redirect(f"{resolve_url('accounts:login')}?{_next_query(request)}")
    form, place = StepForm(request.POST or None), place_of(request, user)
    try:
        if request.method == "POST":
            login_count(request, user)
        if request.POST.get("credential"):
            answer = credential_of(request)
            factor = passkey_check(
                user=user, credential=answer, request=request, place=place, now=now
            )
            return _second_right(request, user, factor, now)
        if form.is_valid():
            factor = code_check(user=user, code=form.cleaned_data["code"], place=place, now=now)
            return _second_right(request, user, factor, now)
    except InvalidCredentials as error:
        form.with_error(error)
    except RateLimited as error:
        return _locked_page(request, "accounts/login_code.html", form, error)
    return _form_page(request, "accounts/login_code.html", form, has_passkey=has_passkey(user))


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def register_page(request: HttpRequest) -> HttpResponseBase:
    """GET the form; POST `username`, `email`, `password`, `paper`, `next`: in, or 422, or 429."""
    if request.method != "POST" and request.user.is_authenticated:
        return redirect(_next(request))
    form = RegisterForm(request.POST or None)
    try:
        _limit(request, "register", settings.RATE_REGISTER_PER_ADDRESS)
        if form.is_valid():
            user = user_register(**form.person(), now=timezone.now())
            return _enter(request, user, factor=False)
    except InvalidInput as error:
        form.with_error(error)
    except RateLimited as error:
        return _locked_page(request, "accounts/register.html", form, error)
    return _form_page(request, "accounts/register.html", form)


@login_not_required
@require_POST
@sensitive_post_parameters("password")
@limited_by_address("register_check", "RATE_REGISTER_CHECK_PER_ADDRESS")
def register_check(request: HttpRequest) -> HttpResponseBase:
    """While the form is filled in: the rules for its password, or `?part=name` whether it is free.

    Nothing here depends on whether an address is known.
    """
    username = request.POST.get("username", "")[:254]
    if request.GET.get("part") == "name":
        problem = name_problem(username=username) if username.strip() else ""
        context = {"name_problem": problem, "name_free": bool(username.strip()) and not problem}
        return render(request, "accounts/partials/_name_check.html", context)
    rules = password_rules(
        password=request.POST.get("password", ""),
        username=username,
        email=request.POST.get("email", ""),
    )
    return render(request, "accounts/partials/_rules.html", {"rules": rules})


@require_POST
def logout_page(request: HttpRequest) -> HttpResponseBase:
    """End this session; sockets look again whether their session lives."""
    live_publish(user_id=user_of(request).pk, kind="logout", thing_id=user_of(request).pk)
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


def _status(request: HttpRequest) -> int:
    """A POST that comes back to its form was refused."""
    return 422 if request.method == "POST" else 200


def _named(request: HttpRequest, form: LoginForm) -> User | None:
    """Who is named, looked for only where it matters: in a browser that says to be somebody's."""
    if not (browser_marked(request) and form.is_valid()):
        return None
    return user_by_login(form.cleaned_data["username"])


def _limit(request: HttpRequest, name: str, rate: str) -> None:
    """Only what is sent counts; raises RateLimited."""
    if request.method == "POST":
        limit_address(request, name, rate)


def _form_page(
    request: HttpRequest, template: str, form: HouseForm, status: int = 0, **more: Any
) -> HttpResponseBase:
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    rules = password_rules(password="", username="", email="")
    context = {
        "form": form,
        "next": asked if own_address(request, asked) else "",
        "ended": ended_words(request.GET.get(ENDED, "")),
        "rules": rules,
        "opening_cash": settings.PAPER_OPENING_CASH,
        **more,
    }
    return render(request, template, context, status=status or _status(request))


def _locked_page(
    request: HttpRequest, template: str, form: HouseForm, error: RateLimited
) -> HttpResponseBase:
    """The same form, and how long it takes no more tries, whether or not there is such a user."""
    seconds = error.retry_after or 1
    why = error.detail.partition(".")[0]  # what follows says to wait; the page knows how long
    response = _form_page(request, template, form, error.status, locked=seconds, why=why)
    response.headers["Retry-After"] = str(seconds)
    return response


def _password_right(request: HttpRequest, user: User) -> HttpResponseBase:
    """In, or on to the second step for who has one."""
    now = timezone.now()
    cookie = request.COOKIES.get(settings.TRUST_COOKIE_NAME, "")
    asked = has_factor(user)
    trusted = asked and browser_trusted(user=user, cookie=cookie, now=now)
    if asked and not trusted:
        step_begin(request, user, now)
        return redirect(f"{resolve_url('accounts:login_code')}?{_next_query(request)}")
    factor = "trusted browser" if trusted else ""
    login_finish(user=user, door="page", place=place_of(request, user), factor=factor, now=now)
    return _enter(request, user, factor=False, trusted=trusted)


def _second_right(request: HttpRequest, user: User, factor: str, now: datetime) -> HttpResponseBase:
    """In, and asked less next time where that was ticked."""
    place = place_of(request, user)
    login_finish(user=user, door="page", place=place, factor=factor, now=now)
    response = _enter(request, user)
    if request.POST.get("trust") == "on":
        agent = request.headers.get("User-Agent", "")
        with_trust(response, browser_trust(user=user, agent=agent, now=now))
    return response


def _enter(
    request: HttpRequest, user: User, *, factor: bool = True, trusted: bool = False
) -> HttpResponseBase:
    """A new session id, so that one planted before is worth nothing, then to where they wanted."""
    now = timezone.now()
    if not browser_known(request, user):
        words = browser_words(request.headers.get("User-Agent", ""))
        letter_tell(user=user, kind=BROWSER_NEW, about=words, now=now)
    session_enter(request, user, factor=factor, trusted=trusted, now=now)
    return with_browser(with_look(redirect(_next(request)), user), request, user)


def _next(request: HttpRequest) -> str:
    """Where to go after the log-in: `next` on our own host, else the dashboard."""
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME, "")
    return asked if own_address(request, asked) else resolve_url(settings.LOGIN_REDIRECT_URL)


def _next_query(request: HttpRequest) -> str:
    return urlencode({REDIRECT_FIELD_NAME: _next(request)}, safe="/")
