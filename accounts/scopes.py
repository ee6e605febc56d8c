"""Which doors of the API a key opens: what is not named here, it does not.

Logging in, passwords, second factors, limits, keys themselves and all that has to do with accounts
at brokers stay with whoever has the password, however much a key may do.
"""

from collections.abc import Mapping

from accounts.models import ApiKey
from speedtrade.lib.errors import DomainError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NONE: frozenset[str] = frozenset()
_POST = frozenset({"POST"})

#: route -> the unsafe methods that a trading key may use there; every key may read it
DOORS: Mapping[str, frozenset[str]] = {
    "api:accounts": _NONE,
    "api:account": _NONE,
    "api:account-stop": _POST,  # the safe direction; to resume takes a log-in
    "api:alerts": _POST,
    "api:alert": frozenset({"DELETE"}),
    "api:quotes": _NONE,
    "api:quote": _NONE,
    "api:bars": _NONE,
    "api:search": _NONE,
    "api:movers": _NONE,
    "api:orderbook": _NONE,
    "api:clock": _NONE,
    "api:portfolio": _NONE,
    "api:portfolio-positions": _NONE,
    "api:portfolio-position": _NONE,
    "api:portfolio-history": _NONE,
    "api:portfolio-activity": _NONE,
    "api:portfolio-transfers": _POST,
    "api:orders": _POST,
    "api:order": frozenset({"PATCH", "DELETE"}),
    "api:positions": _NONE,
    "api:position": frozenset({"DELETE"}),
}

#: what belongs to a person and to none of their accounts: shut to a key that is bound to one
PERSONAL = frozenset({"api:alerts", "api:alert"})


class ScopeMissing(DomainError):
    """The key may read and no more."""

    code, status = "scope_missing", 403


class KeyNotAllowed(DomainError):
    """No key opens this, whatever its scope."""

    code, status = "key_not_allowed", 403


def scope_check(key: ApiKey, *, route: str, method: str, exists: bool) -> None:
    """Whether `key` may do this; raises KeyNotAllowed or ScopeMissing.

    `exists` says whether the route has this method at all: what it has not is no question of
    rights, and 405 is the truer answer.
    """
    if not exists:
        return
    if route not in DOORS:
        raise KeyNotAllowed("An API key does not open this: log in and use an access token.")
    if key.account_id is not None and route in PERSONAL:
        raise KeyNotAllowed(
            "This API key is for one account, and alerts belong to none. Use a key for all of them."
        )
    if method in SAFE:
        return
    if method not in DOORS[route]:
        raise KeyNotAllowed("An API key may not change this: log in and use an access token.")
    if not key.may_trade:
        raise ScopeMissing('This key may only read. Make one with "Read and trade" for this.')
