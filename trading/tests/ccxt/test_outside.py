"""What is done at the own door of an exchange hides nothing else, and is booked once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, User
from marketdata.models import Instrument
from portfolio.models import Position
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing.vendors.faults import edited
from speedtrade.testing.vendors.kraken import API_KEY, SECRET, KrakenVendor
from trading.brokers.ccxt.kraken import KrakenDesk
from trading.models import BrokerLink, Order
from trading.presenters import order_payload
from trading.services.syncs import account_sync
from trading.tests.ccxt.test_opening import connected

D = Decimal


@pytest.fixture
def account(still: KrakenVendor, alice: User) -> Iterator[BrokerageAccount]:
    """Her account there, whose books have begun."""
    made = connected(alice)
    assert account_sync(account_id=made.pk, now=timezone.now())
    made.refresh_from_db()
    assert made.status == "active"
    yield made
    assert [str(one) for one in ledger_differences()] == []


def read(account: BrokerageAccount) -> None:
    BrokerLink.objects.update(holdings_at=None)
    assert account_sync(account_id=account.pk, now=timezone.now())


def row(order: Any) -> Order:
    return Order.objects.get(broker_order_id=order.txid)


def test_the_ledger_is_not_read_over_days_again_and_again(
    account: BrokerageAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trades stand in it too: three days of a busy account take longer than until the next time."""
    asked: list[Any] = []
    monkeypatch.setattr(KrakenDesk, "cash_events", lambda *given: asked.append(given[-1]) or ())
    now = timezone.now()
    BrokerLink.objects.update(holdings_at=now - timedelta(minutes=1))
    assert account_sync(account_id=account.pk, now=now)
    assert [now - since for since in asked] == [timedelta(hours=1, minutes=1)]


@pytest.mark.parametrize("kind", ["take-profit", "trailing-stop-limit", "iceberg", "of tomorrow"])
@pytest.mark.parametrize("since", ["before", "after"])
def test_an_order_of_a_kind_that_is_none_of_ours_hides_no_other(
    still: KrakenVendor, alice: User, kind: str, since: str
) -> None:
    """Fails where it counts as a limit without a price: no row can hold that, nothing is read."""
    made = None if since == "before" else connected(alice)
    if made:
        assert account_sync(account_id=made.pk, now=timezone.now())
    strange = still.external_order("BTC/USD", "buy", "0.2", "43000")
    strange.order_type = kind
    plain = still.external_order("BTC/USD", "buy", "0.1", "43000")
    made = made or connected(alice)
    assert account_sync(account_id=made.pk, now=timezone.now())
    made.refresh_from_db()
    assert made.status == "active"
    still.fill(plain.txid, "0.1", "43000")
    read(made)
    assert (row(plain).state, row(plain).filled_qty) == ("filled", D("0.1"))
    assert (row(strange).state, row(strange).limit_price) == ("new", None)


def test_what_no_column_takes_is_logged_and_hides_no_other(
    still: KrakenVendor, account: BrokerageAccount, caplog: pytest.LogCaptureFixture
) -> None:
    """Fails where one order that cannot be kept ends the reading of its account."""
    huge = still.external_order("BTC/USD", "buy", "0.2", "43000")
    plain = still.external_order("BTC/USD", "buy", "0.1", "43000")

    def change(body: Any) -> Any:
        if huge.txid in body["result"].get("open", {}):
            body["result"]["open"][huge.txid]["vol"] = "9" * 40
        return body

    still.faults.add("OpenOrders", edited(change), times=100)
    still.fill(plain.txid, "0.1", "43000")
    read(account)
    assert row(plain).state == "filled"
    assert not Order.objects.filter(broker_order_id=huge.txid).exists()
    assert "report_unkept" in caplog.text


def test_a_name_that_is_used_again_is_another_order(
    still: KrakenVendor, account: BrokerageAccount
) -> None:
    """Fails where a name alone says which order it is: the second one's fills go to the first."""
    first = still.external_order("BTC/USD", "buy", "0.2", "43000", client_id="grid-1")
    read(account)
    still.fill(first.txid, "0.2", "43000")
    read(account)
    still.external_order("BTC/USD", "buy", "0.01", "40000")  # there is always something open
    second = still.external_order("BTC/USD", "sell", "0.1", "44000", client_id="grid-1")
    still.fill(second.txid, "0.1", "44000")
    # Long after, when the first one is in no list any more.
    still.truth.orders[first.txid].closed -= 3600
    BrokerLink.objects.update(orders_at=timezone.now() + timedelta(minutes=5))
    for _ in range(2):
        read(account)
    assert (row(first).side, row(first).filled_qty) == ("buy", D("0.2"))
    assert (row(second).side, row(second).filled_qty, row(second).state) == (
        "sell",
        D("0.1"),
        "filled",
    )
    assert Position.objects.get(brokerage_account=account).qty == D("0.1")


def test_what_was_brought_there_and_sold_there_is_booked_without_a_gain(
    still: KrakenVendor, account: BrokerageAccount
) -> None:
    """Fails where a sale beyond our position is refused: its order never ends, with its hold."""
    still.deposit("BTC", "0.3")
    sale = still.external_order("BTC/USD", "sell", "0.3", "43000")
    still.fill(sale.txid, "0.3", "43000")
    read(account)
    read(account)
    assert (row(sale).state, row(sale).filled_qty) == ("filled", D("0.3"))
    position = Position.objects.get(brokerage_account=account)
    assert (position.qty, position.realized_pl) == (0, 0)


def test_what_is_paid_for_in_other_money_is_left_to_the_comparison(
    still: KrakenVendor, account: BrokerageAccount
) -> None:
    """Fails where an amount of another currency is booked as so many dollars."""
    still.deposit("BTC", "0.3")
    order = still.external_order("ETH/BTC", "buy", "1", "0.05")
    plain = still.external_order("BTC/USD", "buy", "0.1", "43000")
    read(account)
    assert not Order.objects.filter(broker_order_id=order.txid).exists()
    assert not Instrument.objects.filter(symbol="ETH/BTC").exists()
    assert row(plain).state == "new"


@pytest.mark.parametrize("told", ["0", "-1"])
def test_a_limit_whose_price_is_not_told_is_kept_without_one(
    still: KrakenVendor, account: BrokerageAccount, told: str
) -> None:
    """Fails where it stays a limit: no row can hold one without a price above nothing."""
    order = still.external_order("BTC/USD", "buy", "0.1", "43000")

    def change(body: Any) -> Any:
        for each in body["result"].get("open", {}).values():
            each["descr"]["price"] = each["price"] = each["limitprice"] = told
        return body

    still.faults.add("OpenOrders", edited(change), times=100)
    read(account)
    kept = row(order)
    assert (kept.state, kept.order_type, kept.limit_price) == ("new", "market", None)


def test_what_an_exchange_pays_back_to_a_maker_is_no_fee_below_nothing(
    still: KrakenVendor, account: BrokerageAccount
) -> None:
    """Fails where it is booked as a fee: no row holds one, and the order never fills."""
    order = still.external_order("BTC/USD", "buy", "0.1", "43000")
    read(account)

    def change(body: Any) -> Any:
        for trade in body["result"].get("trades", body["result"]).values():
            if isinstance(trade, dict) and "fee" in trade:
                trade["fee"] = "-1.00000"
        return body

    for door in ("TradesHistory", "QueryTrades"):
        still.faults.add(door, edited(change), times=100)
    still.fill(order.txid, "0.1", "43000")
    read(account)
    assert (row(order).state, row(order).fees) == ("filled", 0)


def test_a_second_key_of_the_same_account_is_refused(
    still: KrakenVendor, account: BrokerageAccount, alice: User
) -> None:
    """Fails where the number of the account is not read: all of it would be there twice."""
    other = BrokerKey("ANOTHER-KEY", SECRET)
    still.keys[other.api_key] = replace(still.keys[API_KEY], api_key=other.api_key)
    second = connected(alice, other)
    assert not account_sync(account_id=second.pk, now=timezone.now())
    second.refresh_from_db()
    assert (second.status, "connected here already" in second.status_reason) == ("error", True)


@pytest.mark.parametrize(
    ("kind", "limit", "words", "shown"),
    [
        ("stop-loss", None, "stop loss 41000.0", "stop"),
        ("stop-loss-limit", "40900.0", "stop loss 41000.0 -> limit 40900.0", "stop_limit"),
    ],
)
def test_an_order_with_a_stop_is_told_with_it(
    still: KrakenVendor,
    account: BrokerageAccount,
    kind: str,
    limit: str | None,
    words: str,
    shown: str,
) -> None:
    """Fails where it is told as an order without one: its owner could not see what it waits for."""
    theirs = still.external_order("BTC/USD", "buy", "0.1", "41000")
    theirs.order_type = kind

    def stop(body: Any) -> Any:
        if found := body["result"].get("open", {}).get(theirs.txid):
            said = {"price2": limit or "0", "order": f"buy 0.10000000 XBTUSD @ {words}"}
            found["descr"] |= said
        return body

    still.faults.add("OpenOrders", edited(stop), times=100)
    read(account)
    told = order_payload(row(theirs))
    assert (told["order_type"], told["stop_price"]) == (shown, "41000.00")
    assert told["limit_price"] == (limit and "40900.00")
