"""What this app lets the one above do with a connected account: it knows the brokers, we do not."""

from collections.abc import Callable
from functools import partial

from django.db import transaction

from accounts.models import BrokerageAccount
from speedtrade.lib.errors import Unavailable
from speedtrade.lib.later import later

#: Begins to read what is there at the broker; gets the account's id, after the commit.
Connector = Callable[[int], None]
#: What the account's key may do, in a sentence; raises DomainError where it may not even be asked.
KeyCheck = Callable[[BrokerageAccount], str]

_CONNECTORS: list[Connector] = []
_CHECKS: list[KeyCheck] = []


def register_connector(connector: Connector) -> None:
    """Called once, from AppConfig.ready() of the app that owns it; a second one takes its place."""
    _CONNECTORS[:] = [connector]


def register_key_check(check: KeyCheck) -> None:
    """Called once, from AppConfig.ready() of the app that owns it; a second one takes its place."""
    _CHECKS[:] = [check]


def connector_wake(account_id: int) -> None:
    """After the commit, tell the connector. A lost wake-up costs one sweep of whoever owns it."""
    for connector in _CONNECTORS:
        transaction.on_commit(partial(later, connector, account_id), robust=True)


def key_check(account: BrokerageAccount) -> str:
    """What the key of an account may do, in a sentence; asks the broker, so in no transaction.

    Raises Unavailable where nobody can ask, and what the check raises.
    """
    if not _CHECKS:
        raise Unavailable("Nobody here can ask a broker.")
    return _CHECKS[0](account)
