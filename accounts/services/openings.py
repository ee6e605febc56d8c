"""What else happens when a brokerage account opens: apps above register it here.

The ledger lives above this app, so the funding of a paper account comes in by registry.
"""

from collections.abc import Callable
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured

from accounts.models import BrokerageAccount

#: Runs inside the transaction that made the account, with the account and now.
Opener = Callable[[BrokerageAccount, datetime], None]

_OPENERS: list[Opener] = []


def register_opener(opener: Opener) -> None:
    """Called once per opener, from AppConfig.ready() of the app that owns it."""
    if opener not in _OPENERS:
        _OPENERS.append(opener)


def openers_run(account: BrokerageAccount, now: datetime) -> None:
    """Run every opener; what one raises undoes the account.

    Raises ImproperlyConfigured where there is none: a user without the promised cash must not
    exist.
    """
    if not _OPENERS:
        raise ImproperlyConfigured("No opener is registered: who funds the new account?")
    for opener in _OPENERS:
        opener(account, now)
