"""Who is asking, and about which of their accounts a page is."""

import json
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from accounts.models import BrokerageAccount, User
from accounts.selectors import accounts_of
from speedtrade.lib.errors import NotFound
from speedtrade.lib.htmx import HtmxHttpRequest


class UserRequest(HtmxHttpRequest):
    """A page's request behind the log-in: LoginDoorMiddleware has let nobody else through."""

    user: User


def user_of(request: Request | HttpRequest) -> User:
    """The user of a request behind a closed door; raises NotAuthenticated for anybody else."""
    user = request.user
    if not isinstance(user, User):
        raise NotAuthenticated
    return user


def credential_of(request: HttpRequest) -> Any:
    """What a browser answered; None for what is no answer."""
    try:
        return json.loads(request.POST.get("credential", ""))
    except (ValueError, RecursionError):
        return None


CHOSEN = "account_id"  # in the session, in forms and in addresses
HEADER = "X-Account"  # of what htmx asks for: the account of the page that asks


def accounts_mine(request: HttpRequest) -> list[BrokerageAccount]:
    """The user's accounts, the default one first; read once for each request."""
    known: list[BrokerageAccount] | None = getattr(request, "_accounts_mine", None)
    if known is None:
        known = list(accounts_of(user_of(request)))
        request._accounts_mine = known  # type: ignore[attr-defined]
    return known


def account_shown(request: HttpRequest) -> BrokerageAccount:
    """The account that this page is about; raises NotFound for one that is not the user's.

    A form and what htmx asks for name the account of their own page: another one that was chosen
    in a second window meanwhile must not get their order. Without a name it is the one that was
    chosen in this session, else the default one.
    """
    accounts = accounts_mine(request)
    named = request.POST.get(CHOSEN) or request.headers.get(HEADER) or request.GET.get(CHOSEN) or ""
    if named:
        for account in accounts:
            if str(account.pk) == named:
                return account
        raise NotFound("You have no such account.")
    chosen = request.session.get(CHOSEN)
    for account in accounts:
        if account.pk == chosen:
            return account
    if not accounts:
        raise NotFound("You have no such account.")
    return accounts[0]


def account_choose(request: HttpRequest, account: BrokerageAccount) -> None:
    """Show this account on the pages of this session. Programs go on with the default one."""
    request.session[CHOSEN] = account.pk
