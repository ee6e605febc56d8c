"""Who may call a broker whose rate limit is spent, or nearly so."""

from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.utils import timezone

from accounts.models import BrokerageAccount, User
from accounts.selectors import account_for_user
from trading.brokers.base import Budget, Capabilities
from trading.brokers.capabilities import ALPACA, EXCHANGES
from trading.brokers.gate import GateClosed, GatedBroker
from trading.models import BrokerLink

KRAKEN = EXCHANGES["kraken"]


@pytest.fixture
def account(alice: User) -> BrokerageAccount:
    """The gate does not ask what kind it is."""
    return account_for_user(user=alice)


def passes(account: BrokerageAccount, caps: Capabilities) -> set[str]:
    """The calls that get through."""
    inner = Mock(caps=caps, budget=Budget())
    broker, asked = GatedBroker(inner, account.pk), Mock()
    calls: dict[str, tuple[Any, ...]] = {
        "submit_order": (asked,),
        "find_order": (asked,),
        "cancel_order": (asked,),
        "holdings": (),
    }
    passed = set()
    for name, given in calls.items():
        try:
            getattr(broker, name)(*given)
        except GateClosed:
            continue
        assert getattr(inner, name).call_count == 1
        passed.add(name)
    return passed


# An adapter that keeps the pace counts what its venue counts, and an order is not among it.
CANNOT_WAIT = {"find_order", "cancel_order"}
SPENT = {"paused_until": timedelta(minutes=1)}
NEARLY = {"remaining": 1, "resets_at": timedelta(minutes=1)}


@pytest.mark.parametrize(
    ("limit", "caps", "may"),
    [
        (SPENT, ALPACA, set()),
        (SPENT, KRAKEN, CANNOT_WAIT | {"submit_order"}),
        (NEARLY, ALPACA, CANNOT_WAIT),
        (NEARLY, KRAKEN, CANNOT_WAIT | {"submit_order"}),
    ],
    ids=["spent-alpaca", "spent-kraken", "nearly-alpaca", "nearly-kraken"],
)
def test_a_rate_limit_holds_up_no_order_where_the_adapter_keeps_the_pace(
    account: BrokerageAccount, limit: dict[str, Any], caps: Capabilities, may: set[str]
) -> None:
    now = timezone.now()
    fields = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in limit.items()
    }
    BrokerLink.objects.create(brokerage_account=account, created_at=now, **fields)
    assert passes(account, caps) == may
