"""The books of an account at an exchange begin: what is there counts once, by any clock."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import User
from accounts.services.connections import account_connect
from portfolio.models import LedgerAccount
from speedtrade.testing import market
from speedtrade.testing.vendors.kraken import API_KEY, SECRET
from trading.models import BrokerLink, Difference
from trading.services.syncs import account_sync
from trading.tests.ccxt.hand import Hand

LATE = datetime(2035, 1, 3, 12, 0, 0, 900_000, tzinfo=UTC)  # in its second, and after all else


@pytest.mark.parametrize("what", ["deposit", "part", "all"])
def test_what_came_in_the_second_before_the_books_begin_counts_once(
    hand: Hand, alice: User, what: str
) -> None:
    """Kraken tells its time in whole seconds: by that it came after the books had begun."""
    vendor: Any = hand.vendor
    vendor.truth.instant = False
    with time_machine.travel(LATE, tick=False) as clock:
        market.instrument("BTC/USD")
        market.put_quote(market.quote("BTC/USD", "43210.0", "43210.1", now=timezone.now()))
        order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
        clock.shift(0.01)
        if what == "deposit":
            vendor.deposit("USD", "500")
        else:
            vendor.fill(order.txid, "0.1" if what == "part" else "0.2", "43000")
        clock.shift(0.01)
        account = account_connect(
            user=alice,
            broker="ccxt",
            exchange="kraken",
            mode="paper",
            key=BrokerKey(API_KEY, SECRET),
            now=timezone.now(),
        )
        assert account_sync(account_id=account.pk, now=timezone.now())
        for _ in range(2):
            clock.shift(61)
            BrokerLink.objects.update(holdings_at=None)
            assert account_sync(account_id=account.pk, now=timezone.now())
        pockets = LedgerAccount.objects.filter(brokerage_account=account)
        assert pockets.get(kind="cash").balance == vendor.truth.balances["ZUSD"]
        coins = pockets.filter(kind="position").first()
        assert (coins.balance if coins else Decimal(0)) == vendor.truth.balances["XXBT"]
        assert not Difference.objects.exists()
