"""Which adapter serves which account: the mode is the account's, so paper never meets live."""

from collections.abc import Callable

from accounts.models import BrokerageAccount, BrokerKind
from trading.brokers.base import Broker
from trading.brokers.paper.adapter import PaperBroker

_ADAPTERS: dict[str, Callable[[BrokerageAccount], Broker]] = {
    BrokerKind.PAPER: lambda account: PaperBroker(account.pk),
}


def broker_for(account: BrokerageAccount) -> Broker:
    """The adapter of an account; raises KeyError for a kind that has none."""
    return _ADAPTERS[account.broker](account)
