"""The books of an account at an exchange begin: what is there counts once, by any clock."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest import mock

import ccxt
import pytest
import time_machine
from django.utils import timezone
from time_machine import Traveller

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from accounts.services.connections import account_connect
from portfolio.models import LedgerAccount
from speedtrade.testing import market
from speedtrade.testing.vendors.faults import edited, refuse
from speedtrade.testing.vendors.kraken import API_KEY, SECRET, KrakenVendor
from trading.brokers.base import CLOCK_GUESS
from trading.brokers.registry import broker_for
from trading.models import BrokerLink, Difference, Fill
from trading.services.syncs import account_sync

KEY = BrokerKey(API_KEY, SECRET)
LATE = datetime(2035, 1, 3, 12, 0, 0, 900_000, tzinfo=UTC)  # in its second, and after all else


@pytest.fixture
def vendor(still: KrakenVendor) -> KrakenVendor:
    return still


def connected(alice: User, key: BrokerKey = KEY) -> BrokerageAccount:
    """Alice's account there; it is not read yet."""
    market.put_quote(market.quote("BTC/USD", "43210.0", "43210.1", now=timezone.now()))
    return account_connect(
        user=alice,
        broker="ccxt",
        exchange="kraken",
        mode="paper",
        key=key,
        now=timezone.now(),
    )


def agree(account: BrokerageAccount, vendor: KrakenVendor, clock: Traveller) -> None:
    """Read twice more, each time with all that is held: ours is theirs."""
    for _ in range(2):
        clock.shift(61)
        BrokerLink.objects.update(holdings_at=None)
        assert account_sync(account_id=account.pk, now=timezone.now())
    pockets = LedgerAccount.objects.filter(brokerage_account=account)
    assert pockets.get(kind="cash").balance == vendor.truth.balances["ZUSD"]
    coins = pockets.filter(kind="position").first()
    assert (coins.balance if coins else Decimal(0)) == vendor.truth.balances["XXBT"]
    assert not Difference.objects.exists()


@pytest.mark.parametrize("what", ["deposit", "part", "all", "at once"])
def test_what_came_in_the_second_before_the_books_begin_counts_once(
    vendor: KrakenVendor, alice: User, what: str
) -> None:
    """Kraken tells its time in whole seconds: by that it came after the books had begun.

    At once: nothing was seen that is later than when the order was made, so they begin with that.
    """
    with time_machine.travel(LATE, tick=False) as clock:
        order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
        clock.shift(0 if what == "at once" else 0.01)
        if what == "deposit":
            vendor.deposit("USD", "500")
        else:
            vendor.fill(order.txid, "0.1" if what == "part" else "0.2", "43000")
        clock.shift(0.01)
        account = connected(alice)
        assert account_sync(account_id=account.pk, now=timezone.now())
        agree(account, vendor, clock)


@pytest.mark.parametrize("told", ["first", "last"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clock_that_takes_long_to_tell_its_time_loses_and_doubles_nothing(
    vendor: KrakenVendor, alice: User, monkeypatch: pytest.MonkeyPatch, told: str, when: str
) -> None:
    """Fails where its clock is taken as of the middle of the call, or what was seen is dropped."""
    with time_machine.travel(LATE, tick=False) as clock:
        tell = vendor.public_time

        def slowly(query: Any) -> Any:
            time = tell(query) if told == "first" else None
            clock.shift(8)
            if when == "before":
                at_once()
            return time or tell(query)

        def at_once() -> None:
            order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
            vendor.fill(order.txid, "0.2", "43000")
            clock.shift(0.01)

        monkeypatch.setattr(vendor, "public_time", slowly)
        account = connected(alice)
        assert account_sync(account_id=account.pk, now=timezone.now())
        if when == "after":
            clock.shift(0.01)
            at_once()
        agree(account, vendor, clock)


def test_books_do_not_begin_while_the_venue_does_not_tell_its_time(
    vendor: KrakenVendor, alice: User
) -> None:
    """Fails where they begin by our clock: it may be off, and what came before counts as after."""
    with time_machine.travel(LATE, tick=False) as clock:
        vendor.clock_offset = 30
        vendor.faults.add("Time", refuse("EService:Unavailable"))
        vendor.deposit("USD", "500")
        clock.shift(0.01)
        account = connected(alice)
        assert not account_sync(account_id=account.pk, now=timezone.now())
        clock.shift(5)
        assert account_sync(account_id=account.pk, now=timezone.now())
        agree(account, vendor, clock)


def test_books_begin_by_our_clock_where_the_venue_has_none(
    vendor: KrakenVendor, alice: User
) -> None:
    """Fails where such a venue is asked for ever."""
    with time_machine.travel(LATE, tick=False) as clock:
        vendor.faults.add("Time", refuse("EGeneral:Unknown method"), times=100)
        vendor.deposit("USD", "500")
        clock.shift(5)
        account = connected(alice)
        assert account_sync(account_id=account.pk, now=timezone.now())
        agree(account, vendor, clock)


@pytest.mark.parametrize("ours", [-10, 0, 10], ids=["behind", "right", "ahead"])
def test_books_begin_by_our_clock_where_the_package_cannot_ask_for_the_venues(
    vendor: KrakenVendor, alice: User, ours: int
) -> None:
    """Fails where an exchange without `fetchTime` counts as one that does not answer.

    What is seen counts once by any clock: an order that ends a moment before, and a deposit.
    """
    with time_machine.travel(LATE, tick=False) as clock:
        vendor.clock_offset = -ours
        account = connected(alice)
        exchange = broker_for(account)._inner.client.exchange  # type: ignore[attr-defined]
        exchange.has["fetchTime"] = False
        exchange.fetch_time = mock.Mock(side_effect=ccxt.NotSupported("fetchTime"))
        order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
        vendor.fill(order.txid, "0.2", "43000")
        vendor.deposit("USD", "500")
        clock.shift(0.01)
        facts = broker_for(account).check()
        assert (facts.clock_offset, facts.clock_doubt) == (-CLOCK_GUESS, 2 * CLOCK_GUESS)
        assert account_sync(account_id=account.pk, now=timezone.now())
        order = vendor.external_order("BTC/USD", "buy", "0.1", "43000")
        vendor.fill(order.txid, "0.1", "43000")
        agree(account, vendor, clock)
        assert Fill.objects.get().qty == Decimal("0.1")


@pytest.mark.parametrize("end", ["filled", "canceled"])
def test_a_trade_that_is_listed_late_counts_once(
    vendor: KrakenVendor, alice: User, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Fails where only time tells what was before: the balances showed it, the trades did not."""
    with time_machine.travel(LATE, tick=False) as clock:
        tell = vendor.public_time
        order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
        clock.shift(0.01)

        def slowly(query: Any) -> Any:
            time = tell(query)
            clock.shift(8)
            vendor.fill(order.txid, "0.2" if end == "filled" else "0.1", "43000")
            if end == "canceled":
                vendor.truth.close(order, "canceled", "User requested")
            return time

        monkeypatch.setattr(vendor, "public_time", slowly)
        none = edited(lambda body: body | {"result": {"count": 0, "trades": {}}})
        vendor.faults.add("TradesHistory", none, times=100)
        vendor.faults.add("QueryTrades", edited(lambda body: body | {"result": {}}), times=100)
        account = connected(alice)
        assert account_sync(account_id=account.pk, now=timezone.now())
        vendor.faults.clear()
        agree(account, vendor, clock)
        assert not Fill.objects.exists()


@pytest.mark.parametrize("made", ["before", "after"])
def test_an_order_that_rests_partly_filled_costs_no_question_about_its_trades(
    vendor: KrakenVendor, alice: User, made: str
) -> None:
    """Fails where the books, or what the opening balance has of it, do not count as read."""
    with time_machine.travel(LATE, tick=False) as clock:
        account = connected(alice)
        if made == "after":
            assert account_sync(account_id=account.pk, now=timezone.now())
            clock.shift(10)
        order = vendor.external_order("BTC/USD", "buy", "0.2", "43000")
        vendor.fill(order.txid, "0.1", "43000")
        clock.shift(1)
        assert account_sync(account_id=account.pk, now=timezone.now())
        read = dict(vendor.faults.calls)
        agree(account, vendor, clock)
        for name in ("QueryTrades", "TradesHistory"):
            assert vendor.faults.calls.get(name) == read.get(name)
        vendor.fill(order.txid, "0.05", "43000")
        agree(account, vendor, clock)
        assert Fill.objects.count() == (1 if made == "before" else 2)
