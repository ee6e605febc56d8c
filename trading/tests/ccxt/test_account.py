"""Money, the key, and the addresses of an account at Kraken."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from accounts.keys import BrokerKey
from speedtrade.testing.vendors.faults import (
    drop_after,
    edited,
    gateway,
    hang_after,
    raw_after,
    refuse,
)
from speedtrade.testing.vendors.kraken import API_KEY, SECRET
from speedtrade.testing.vendors.kraken_private import EVERYTHING
from speedtrade.testing.waiting import wait_until
from trading.brokers.base import AuthFailed, BrokerError, NotSent, OrderRejected, OutcomeUnknown
from trading.brokers.ccxt import client
from trading.brokers.ccxt.adapter import CcxtBroker
from trading.brokers.ccxt.client import (
    Forbidden,
    GuardedSession,
    addresses,
    markets_forget,
    place_of,
    places_of,
)
from trading.brokers.ccxt.venues import BINANCE, COINBASE, KRAKEN, VENUES
from trading.tests.ccxt.hand import EPOCH, Hand, order_ref, order_request


def test_cash_is_the_quote_currency_and_coins_with_a_market_are_positions(hand: Hand) -> None:
    for code, amount in (
        ("BTC", "0.5123456789"),
        ("DOGE", "100"),
        ("ETH", "0.000000001"),
        ("EUR", "250"),
        ("ADA.S", "120.5"),
        ("XBT.F", "0.1"),
        ("FEE", "12"),
    ):
        hand.vendor.deposit(code, amount)
    held = hand.broker.holdings()
    assert (held.currency, held.cash, held.blocked) == ("USD", Decimal(100_000), "")
    assert {one.symbol: one.qty for one in held.positions} == {
        "BTC/USD": Decimal("0.5123456789"),
        "DOGE/USD": Decimal(100),
    }
    assert held.ignored == (
        "ADA.S 120.50000000 (staked or set aside)",
        "BTC.F 0.1000000000 (staked or set aside)",
        "ETH 0.0000000010 (too little to trade)",
        "EUR 250.0000 (other money)",
        "KFEE 12.00 (no market in USD)",
    )


def test_money_that_open_orders_hold_is_still_ours(hand: Hand) -> None:
    hand.place()
    assert hand.broker.holdings().cash == Decimal(100_000)


def test_a_venue_that_takes_no_orders_says_so(hand: Hand) -> None:
    hand.vendor.status = "cancel_only"
    assert hand.broker.holdings().blocked == "Kraken is in cancel_only mode."
    hand.vendor.faults.add("SystemStatus", drop_after())
    assert hand.broker.holdings().blocked == ""


def test_a_balance_that_cannot_be_read_is_no_balance(hand: Hand) -> None:
    for text in ("{}", "[]", '{"error":[],"result":[]}', '{"error":[],"result":{"ZUSD":{}}}'):
        hand.vendor.faults.add("BalanceEx", raw_after(text))
        with pytest.raises(OutcomeUnknown):
            hand.broker.holdings()


def test_what_moved_cash_without_a_trade_is_told_once_and_net_of_its_fee(hand: Hand) -> None:
    hand.vendor.truth.ledger.clear()
    ids = [
        hand.vendor.deposit("USD", "500", fee="2.5"),
        hand.vendor.deposit("USD", "-100", kind="withdrawal", fee="5"),
        hand.vendor.deposit("USD", "1.25", kind="staking"),
        hand.vendor.deposit("USD", "-0.75", kind="rollover"),
        hand.vendor.deposit("USD", "-20", kind="spend"),
        hand.vendor.deposit("USD", "7", kind="receive"),
    ]
    hand.vendor.deposit("BTC", "1")  # a coin is a position
    hand.place(order_type="market")  # and a trade has its fills
    told = hand.broker.cash_events(EPOCH)
    assert sorted((one.event_id, one.kind, one.amount) for one in told) == sorted(
        zip(
            ids,
            ("deposit", "withdrawal", "dividend", "fee", "withdrawal", "deposit"),
            map(Decimal, ("497.5", "-105", "1.25", "-0.75", "-20", "7")),
            strict=True,
        )
    )
    assert hand.broker.cash_events(datetime.now(UTC) + timedelta(minutes=1)) == []
    for _ in range(60):
        hand.vendor.deposit("USD", "1")
    assert len(hand.broker.cash_events(EPOCH)) == 66


def test_test_connection_says_what_the_key_may_do(hand: Hand) -> None:
    facts = hand.broker.check()
    assert facts.may_trade and "place and cancel orders" in facts.words
    assert facts.number == "AA88 N84G WOAK NMOI"
    key = hand.vendor.keys[API_KEY]
    key.rights = EVERYTHING | {"withdraw-funds"} - {"query-ledger"}
    assert "withdraw money" in hand.broker.check().words
    key.rights = EVERYTHING - {"query-ledger"}
    assert "deposits show as differences" in hand.broker.check().words
    assert hand.broker.cash_events(EPOCH) == ()
    key.rights = EVERYTHING - {"query-closed-trades"}
    facts = hand.broker.check()
    assert not facts.may_trade and "read closed orders" in facts.words
    key.rights = EVERYTHING - {"query-funds"}
    with pytest.raises(AuthFailed, match="rights"):
        hand.broker.check()


def test_a_venue_that_does_not_list_rights_is_believed_as_far_as_it_goes(hand: Hand) -> None:
    hand.vendor.faults.add("GetApiKeyInfo", refuse("EGeneral:Unknown method"))
    facts = hand.broker.check()
    assert facts.may_trade and "does not say more" in facts.words


def test_a_venue_that_lacks_a_question_is_asked_another_way(hand: Hand) -> None:
    """What QueryTrades does not tell, TradesHistory does; without a ledger there are no events."""
    request, _ = hand.place()
    hand.vendor.fill(hand.at_vendor(request).txid)
    for fault in (refuse("EGeneral:Unknown method"), gateway(404)):
        for endpoint in ("QueryTrades", "Ledgers", "GetApiKeyInfo", "SystemStatus"):
            hand.vendor.faults.add(endpoint, fault)
        found = hand.broker.find_order(order_ref(request))
        assert found is not None and len(found.fills) == 1
        assert hand.broker.cash_events(EPOCH) == ()
        assert hand.broker.check().may_trade
        assert hand.broker.holdings().blocked == ""
    hand.vendor.faults.add("Ledgers", gateway(502))
    with pytest.raises(OutcomeUnknown):
        hand.broker.cash_events(EPOCH)


# ── addresses ──────────────────────────────────────────────────────────────


def test_a_paper_account_has_no_live_address_to_reach(quick: Any) -> None:
    quick.CCXT_URLS = {}
    live = {venue.id: places_of(getattr(ccxt, venue.id)().urls["api"]) for venue in VENUES.values()}
    for venue in (KRAKEN, COINBASE):
        broker = CcxtBroker(1, BrokerKey(API_KEY, SECRET), venue.id, "paper")
        for call in (broker.check, broker.holdings, lambda b=broker: b.submit_order(_order())):
            with pytest.raises(AuthFailed, match="no paper market of its own"):
                call()
    test = addresses(BINANCE, "paper")
    assert places_of(test) and not places_of(test) & live["binance"]
    for venue in VENUES.values():
        assert places_of(addresses(venue, "live")) == live[venue.id]
        for moved in (
            getattr(ccxt, venue.id)().urls["api"],
            {"public": next(iter(live[venue.id]))},
        ):
            quick.CCXT_URLS = {venue.id: moved}
            with pytest.raises(AuthFailed, match="live address"):
                addresses(venue, "paper")
        quick.CCXT_URLS = {}


def _order() -> Any:
    return order_request()


def test_the_session_goes_nowhere_else_whatever_ccxt_is_made_to_ask() -> None:
    session = GuardedSession(frozenset({"http://127.0.0.1:9"}))
    for url in (
        "https://api.kraken.com/0/private/AddOrder",
        "http://127.0.0.1:90/",
        "http://127.0.0.1:9@api.kraken.com/",
        "https://127.0.0.1:9/",
    ):
        with pytest.raises(Forbidden):
            session.request("POST", url)
    assert session.sent == 0
    assert place_of("HTTP://127.0.0.1:9/x?y") in session.places


def test_addresses_that_are_moved_are_the_only_ones_in_either_mode(hand: Hand) -> None:
    for mode in ("paper", "live"):
        hand.mode = mode
        markets_forget()
        broker = hand.broker
        broker.check()
        assert broker.client.exchange.session.places == {hand.vendor.wire.url}
        broker.client.exchange.urls["api"] = "https://api.kraken.com"  # somebody meddles
        broker.client.exchange.urls["api"] = {"private": "https://api.kraken.com"}
        with pytest.raises(OrderRejected, match="could not be asked"):
            broker.submit_order(order_request())
    assert not hand.vendor.truth.accepted


def test_only_exchanges_on_the_list_are_offered() -> None:
    for exchange, mode in (("bitfinex", "live"), ("kraken", "demo"), ("", "live")):
        with pytest.raises(KeyError):
            CcxtBroker(1, BrokerKey("a", "b"), exchange, mode)


def _hour_later() -> None:
    """The lists of markets that this process has are an hour older."""
    for known in client._shared.values():
        known.loaded -= 3600
        known.failed -= 3600


def test_the_markets_are_read_once_for_all_accounts_and_anew_after_an_hour(hand: Hand) -> None:
    calls = hand.vendor.faults.calls
    for _ in range(3):
        hand.broker.check()
    assert calls["AssetPairs"] == 1
    _hour_later()
    hand.broker.check()
    assert calls["AssetPairs"] == 2
    _hour_later()
    hand.vendor.faults.add("AssetPairs", gateway(502), times=9)
    hand.place()  # an old list is better than none
    hand.place()
    assert calls["AssetPairs"] == 3  # and is not asked for with each call
    hand.vendor.faults.clear()
    _hour_later()
    hand.place()
    assert calls["AssetPairs"] == 4


def test_an_adapter_that_lives_long_learns_of_new_markets_and_ticks(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where the markets of its first call stay with it for good."""
    broker, tell = hand.broker, hand.vendor.public_asset_pairs

    def told(params: Any) -> Any:
        pairs = tell(params)
        del pairs["XETHZUSD"]
        pairs["XXBTZUSD"] |= {"tick_size": "1", "pair_decimals": 0}
        return pairs

    monkeypatch.setattr(hand.vendor, "public_asset_pairs", told)
    for request in (order_request(), order_request(symbol="ETH/USD")):
        with pytest.raises(OrderRejected):
            broker.submit_order(request)
    monkeypatch.undo()
    _hour_later()
    broker.check()
    broker.submit_order(order_request())
    broker.submit_order(order_request(symbol="ETH/USD", limit_price=Decimal("2000")))


def test_who_has_a_list_of_markets_does_not_wait_for_the_one_who_reads_the_next(
    hand: Hand,
) -> None:
    hand.broker.check()
    _hour_later()
    hand.vendor.faults.add("AssetPairs", hang_after())
    reader = threading.Thread(target=hand.broker.client.market, args=("BTC/USD",))
    reader.start()
    wait_until(lambda: hand.vendor.faults.calls["AssetPairs"] == 2, 10, "the reading")
    hand.broker.client.market("BTC/USD")
    assert reader.is_alive()
    hand.vendor.faults.released.set()
    reader.join()


def test_an_order_that_waits_for_the_markets_leaves_in_time_or_not_at_all(
    hand: Hand, quick: Any
) -> None:
    """Fails where its time counts from after the reading: by then it may be called lost."""
    quick.CCXT_LEASE_WAIT = timedelta(milliseconds=500)
    hand.vendor.faults.add("AssetPairs", edited(_slow))
    request = order_request()
    with pytest.raises(NotSent, match="too late"):
        hand.broker.submit_order(request)
    assert not hand.vendor.truth.accepted


def _slow(body: Any) -> Any:
    threading.Event().wait(0.6)
    return body


def test_no_key_and_no_signature_reaches_a_log_or_an_error(
    hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hand.place()
    told = [str(hand.broker.client), repr(hand.broker.client.key)]
    for fault in (hang_after(), gateway(502), refuse("EGeneral:New")):
        hand.vendor.faults.add("AddOrder", fault)
        with pytest.raises(BrokerError) as caught:
            hand.place()
        told += [str(caught.value), repr(caught.value.__cause__)]
    text = caplog.text + "".join(told)
    assert API_KEY not in text and SECRET not in text and "API-Sign" not in text
