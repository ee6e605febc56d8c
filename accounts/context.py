"""What the shell of every page knows of the user's accounts."""

from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from django.utils.functional import SimpleLazyObject

from accounts.models import BrokerageAccount
from accounts.requests import account_shown, accounts_mine
from speedtrade.lib.errors import DomainError

#: What reading a form may raise.
UNREADABLE = (BadRequest, MultiPartParserError, SuspiciousOperation)


def account_context(request: HttpRequest) -> dict[str, Any]:
    """`shown`, the account of the page, and `accounts_mine`, all of them; read when asked for.

    A view may say better what is shown: the page of an order is about the order's account.
    """
    if not getattr(getattr(request, "user", None), "is_authenticated", False):
        return {"shown": None, "accounts_mine": []}
    return {
        "shown": SimpleLazyObject(lambda: _shown(request)),
        "accounts_mine": SimpleLazyObject(lambda: _mine(request)),
    }


def _shown(request: HttpRequest) -> BrokerageAccount | None:
    """None on the page that says what went wrong, where that is what went wrong.

    The form that may name an account is read here first where no address fitted.
    """
    try:
        return account_shown(request)
    except (DomainError, DatabaseError, *UNREADABLE):
        return None


def _mine(request: HttpRequest) -> list[BrokerageAccount]:
    try:
        return accounts_mine(request)
    except DatabaseError:
        return []
