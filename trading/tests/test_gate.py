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


@pytest.mark.parametrize(
    ("caps", "may"),
    [
        (ALPACA, set()),
        # Its adapter counts what the venue counts, and an order is not among it.
        (KRAKEN, {"submit_order", "find_order", "cancel_order"}),
    ],
    ids=["alpaca", "kraken"],
)
def test_a_rate_limit_holds_up_no_order_where_the_adapter_keeps_the_pace(
    account: BrokerageAccount, caps: Capabilities, may: set[str]
) -> None:
    now = timezone.now()
    BrokerLink.objects.create(
        brokerage_account=account, created_at=now, paused_until=now + timedelta(minutes=1)
    )
    assert passes(account, caps) == may


@pytest.mark.parametrize(
    ("caps", "may"),
    [
        (ALPACA, {"find_order", "cancel_order"}),
        (KRAKEN, {"submit_order", "find_order", "cancel_order"}),
    ],
    ids=["alpaca", "kraken"],
)
def test_the_last_requests_are_kept_for_what_cannot_wait(
    account: BrokerageAccount, caps: Capabilities, may: set[str]
) -> None:
    now = timezone.now()
    BrokerLink.objects.create(
        brokerage_account=account,
        created_at=now,
        remaining=1,
        resets_at=now + timedelta(minutes=1),
    )
    assert passes(account, caps) == may
