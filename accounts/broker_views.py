"""Settings of broker accounts: the list, connecting one, and all that its owner does with one."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.broker_forms import AccountForm, ConnectForm, KeyForm
from accounts.models import AccountStatus, BrokerageAccount, BrokerKind
from accounts.requests import account_choose, accounts_mine, user_of
from accounts.selectors import account_for_user
from accounts.services.accounts import (
    account_change,
    account_resume,
    account_stop,
)
from accounts.services.connections import (
    REKEYED,
    account_connect,
    account_disconnect,
    account_reconnect,
    account_test,
)
from accounts.services.factors import SecondFactorMissing
from accounts.sessions import confirmed_first
from speedtrade.lib.errors import DomainError
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.requests import own_address

BROKERS = {BrokerKind.ALPACA.value: "Alpaca, stocks", BrokerKind.CCXT.value: "An exchange, crypto"}
KEY_FIELDS = ("api_key", "secret_key", "passphrase")


@require_safe
def brokers(request: HttpRequest) -> HttpResponse:
    """Every account with how it is; asked for again when one changes, or while one connects."""
    mine = accounts_mine(request)
    context = {
        "section": "brokers",
        "connecting": any(one.status == AccountStatus.CONNECTING for one in mine),
        "none": all(one.is_paper for one in mine),
    }
    partial = "accounts/partials/_brokers.html"
    return page(request, "accounts/settings/brokers.html", context, partial=partial)


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed_first("accounts:connect")
@sensitive_post_parameters(*KEY_FIELDS)
def connect(request: HttpRequest) -> HttpResponseBase:
    """`?broker=`: its fields. POST them: 303 to the account, or 422 without what was secret."""
    posted = request.method == "POST"
    broker = (request.POST if posted else request.GET).get("broker", "")
    form = ConnectForm(request.POST if posted else None, broker=broker)
    if posted and form.is_valid():
        try:
            account = account_connect(user=user_of(request), now=timezone.now(), **form.wish())
        except SecondFactorMissing as error:
            messages.info(request, f"{error.detail} Set it up here, then connect the account.")
            return see_other(request, "accounts:factor_app")
        except DomainError as error:
            form.with_error(error)
        else:
            messages.success(request, "The key is stored. The account is connecting.")
            return see_other(request, "accounts:broker", account.pk)
    context = {
        "section": "brokers",
        "form": form,
        "brokers": BROKERS.items(),
        "broker": broker if broker in BROKERS else "",
    }
    status = 422 if posted else 200
    return page(request, "accounts/settings/connect.html", context, status=status)


@require_POST
def choose(request: HttpRequest) -> HttpResponseBase:
    """POST `account_id`, `next`: the pages of this session show that account from now on."""
    account = account_for_user(user=user_of(request), account_id=_number(request))
    account_choose(request, account)
    back = request.POST.get("next", "")
    own = own_address(request, back)
    return see_other(request, back if own else resolve_url("portfolio:dashboard"))


def _number(request: HttpRequest) -> int:
    text = request.POST.get("account_id", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0


@require_safe
def broker(request: HttpRequest, account_id: int) -> HttpResponse:
    """One account: how it is, and what its owner can do with it."""
    return _broker(request, account_for_user(user=user_of(request), account_id=account_id))


@require_POST
def test(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """Ask the broker what the key may do, and say it."""
    return _act(
        request, account_id, lambda account: account_test(account=account, actor=user_of(request))
    )


@require_POST
def stop(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """No new orders until the owner lifts it."""

    def act(account: BrokerageAccount) -> str:
        account_stop(account=account, actor=user_of(request), now=timezone.now())
        return "Stopped: no new orders in this account until you let it go on."

    return _act(request, account_id, act)


@require_POST
def resume(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """Lift the owner's own stop."""

    def act(account: BrokerageAccount) -> str:
        account_resume(account=account, actor=user_of(request), now=timezone.now())
        return "The account takes new orders again."

    return _act(request, account_id, act)


@require_POST
def disconnect(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """Forget the key; what happened stays."""

    def act(account: BrokerageAccount) -> str:
        account_disconnect(account=account, actor=user_of(request), now=timezone.now())
        return "Disconnected. The key is deleted; delete it at the broker too."

    return _act(request, account_id, act)


@require_POST
def change(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """POST `label`: back to the account, or 422 with it."""
    account = account_for_user(user=user_of(request), account_id=account_id)
    form = AccountForm(request.POST)
    if form.is_valid():
        try:
            account_change(account=account, label=form.cleaned_data["label"])
        except DomainError as error:
            form.with_error(error)
        else:
            messages.success(request, "Saved.")
            return see_other(request, "accounts:broker", account_id)
    return _broker(request, account, status=422, change_form=form)


@require_POST
@confirmed_first("accounts:brokers")
@sensitive_post_parameters(*KEY_FIELDS)
def key(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """POST a new key: the account connects anew, or 422 without what was secret."""
    account = account_for_user(user=user_of(request), account_id=account_id)
    form = KeyForm(request.POST)
    if form.is_valid():
        try:
            account_reconnect(
                account=account, key=form.key(), actor=user_of(request), now=timezone.now()
            )
        except DomainError as error:
            form.with_error(error)
        else:
            messages.success(request, "The new key is stored. The account is connecting.")
            return see_other(request, "accounts:broker", account_id)
    return _broker(request, account, status=422, key_form=form)


def _act(
    request: HttpRequest, account_id: int, act: Callable[[BrokerageAccount], str]
) -> HttpResponseBase:
    """Do it, say what came of it, and back to the account."""
    account = account_for_user(user=user_of(request), account_id=account_id)
    try:
        messages.success(request, act(account))
    except DomainError as error:
        messages.error(request, error.detail)
    return see_other(request, "accounts:broker", account.pk)


def _broker(
    request: HttpRequest, account: BrokerageAccount, *, status: int = 200, **forms: Any
) -> HttpResponse:
    credential = getattr(account, "credential", None)
    context = {
        "section": "brokers",
        "account": account,
        "hint": credential.key_hint if credential else "",
        "may_rekey": not account.is_paper and account.status in REKEYED,
        "change_form": AccountForm.of(account),
        "key_form": KeyForm(),
        **forms,
    }
    partial = "" if status == 422 else "accounts/partials/_broker_status.html"
    return page(request, "accounts/settings/broker.html", context, partial=partial, status=status)
