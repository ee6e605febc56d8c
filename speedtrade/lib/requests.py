"""What both doors read from a request in the same way."""

import re
from collections.abc import Mapping

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from speedtrade.lib.errors import InvalidInput

_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
ID_DIGITS = 18  # any number of so many fits a bigint
_WHOLE = ("/", "http://", "https://")


def own_address(request: HttpRequest, url: str) -> bool:
    """Whether an address that somebody sent us is one of ours, to lead a browser to.

    "abc" and "?a" are no whole addresses: a redirect would take them for the name of a view.
    """
    own = url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())
    return own and url.startswith(_WHOLE)


def idempotency_key(request: HttpRequest) -> str | None:
    """The Idempotency-Key header, or None; raises InvalidInput when it is empty, long or odd."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidInput.field("Idempotency-Key", "Use 1 to 200 visible ASCII characters.")
    return key


def whole_number(text: str | None, field: str) -> int | None:
    """A positive id from a query or a body, or None where there is none; raises InvalidInput.

    An empty one is refused: `account_id=$ACCOUNT` of a script that forgot to set it must not mean
    another account.
    """
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > ID_DIGITS:
        raise InvalidInput.field(field, "Write a whole number.")
    return int(text)


def account_chosen(named: int | None, query: Mapping[str, str]) -> int | None:
    """The account that a body names, or the query; raises InvalidInput where they name two."""
    asked = whole_number(query.get("account_id"), "account_id")
    if None not in (named, asked) and named != asked:
        raise InvalidInput.field("account_id", "The address and the body name two accounts.")
    return asked if named is None else named
