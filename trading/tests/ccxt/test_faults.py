"""Every row of the fault matrix: what the adapter says when Kraken, or the line, fails."""

from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import BrokerKey
from speedtrade.testing.vendors.faults import (
    Fault,
    answer,
    drip_after,
    drop_after,
    edited,
    empty_after,
    gateway,
    hang_after,
    html_after,
    raw_after,
    refuse,
    refuse_after,
    truncated_after,
)
from speedtrade.testing.vendors.kraken import READ_KEY, SECRET
from trading.brokers.base import (
    AuthFailed,
    BrokerError,
    DuplicateClientOrderId,
    NotCancelable,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from trading.domain.orders import OrderState
from trading.tests.ccxt.hand import EPOCH, changed, order_ref, order_request

AFTER = [  # the order is there, and the answer is none
    drop_after(),
    hang_after(),
    drip_after(),
    gateway(500),
    gateway(502),
    gateway(503),
    gateway(504),
    gateway(520),
    gateway(403),
    gateway(404),
    gateway(429),
    answer(302, b"moved", accept=True, Location="/0/private/AddOrder"),
    answer(307, b"moved", accept=True, Location="/0/private/AddOrder"),
    empty_after(),
    truncated_after(),
    html_after(),
    raw_after("null"),
    raw_after("{}"),
    raw_after('{"error":[]}'),
    raw_after('{"error":[],"result":{}}'),
    raw_after('{"error":[],"result":{"txid":[]}}'),
    raw_after('{"error":[],"result":{"txid":[null]}}'),
    raw_after('{"error":"oh","result":null}'),
    raw_after('{"error":7}'),
    raw_after("[" * 5000),
    refuse_after("EService:Timeout"),
    refuse_after("EService:Busy"),
    refuse_after("EService:Unavailable"),
    refuse_after("EService:Deadline elapsed"),
    refuse_after("EGeneral:Internal error"),
    refuse_after("EOrder:Something nobody has seen"),
    refuse_after("EGeneral:Unknown order"),
]


@pytest.mark.parametrize("fault", AFTER, ids=str)
def test_an_order_whose_answer_is_lost_is_sent_once_and_found_again(
    hand: Any, fault: Fault
) -> None:
    request = order_request()
    hand.vendor.faults.add("AddOrder", fault)
    with pytest.raises(OutcomeUnknown):
        hand.broker.submit_order(request)
    assert hand.vendor.faults.calls["AddOrder"] == 1 == hand.accepted(request)
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and found.state == OrderState.NEW


REFUSALS = [
    ("EOrder:Insufficient funds", OrderRejected, "insufficient_buying_power", "too little"),
    ("EOrder:Order minimum not met", OrderRejected, "qty_too_small", "so small"),
    ("EOrder:Cost minimum not met", OrderRejected, "qty_too_small", "so small"),
    ("EOrder:Tick size check failed", OrderRejected, "price_off_grid", "Tick size"),
    ("EQuery:Unknown asset pair", OrderRejected, "instrument_not_at_broker", "asset pair"),
    ("EQuery:Invalid asset pair", OrderRejected, "instrument_not_at_broker", "asset pair"),
    ("EService:Market in cancel_only mode", OrderRejected, "market_closed", "cancel_only"),
    ("EGeneral:Permission denied", OrderRejected, "broker_permission", "rights"),
    ("EGeneral:Invalid arguments", OrderRejected, "broker_rejected", "Invalid arguments"),
    ("EOrder:Orders limit exceeded", OrderRejected, "broker_rejected", "Orders limit"),
    ("ETrade:User Locked", OrderRejected, "broker_permission", "User Locked"),
    ("EAPI:Invalid key", AuthFailed, "", "wrong, expired or deleted"),
    ("EAPI:Invalid signature", AuthFailed, "", "wrong, expired or deleted"),
    ("EAPI:Rate limit exceeded", RateLimited, "", "no more requests"),
    ("EOrder:Rate limit exceeded", RateLimited, "", "no more requests"),
    ("EGeneral:Temporary lockout", RateLimited, "", "no more requests"),
    ("EAPI:Invalid nonce", NotSent, "", "another program uses the same key"),
]


@pytest.mark.parametrize(("text", "error", "code", "words"), REFUSALS, ids=lambda v: str(v)[:32])
def test_a_refusal_in_the_venues_own_words_is_definite(
    hand: Any, text: str, error: type[BrokerError], code: str, words: str
) -> None:
    request = order_request()
    hand.vendor.faults.add("AddOrder", refuse(text))
    with pytest.raises(error, match=words) as caught:
        hand.broker.submit_order(request)
    assert getattr(caught.value, "code", "") == code
    assert hand.vendor.faults.calls["AddOrder"] == 1 and hand.accepted(request) == 0
    assert hand.broker.find_order(order_ref(request)) is None


def test_one_word_that_nobody_knows_makes_a_refusal_doubtful(hand: Any) -> None:
    both = '{"error":["EOrder:Insufficient funds","EOrder:New word"]}'
    hand.vendor.faults.add("AddOrder", raw_after(both))
    with pytest.raises(OutcomeUnknown):
        hand.place()


def test_a_refusal_left_over_from_the_call_before_is_none(hand: Any) -> None:
    """A time-out leaves ccxt's last reply where it was; the same object is used again here."""
    broker = hand.broker
    hand.vendor.faults.add("AddOrder", refuse("EOrder:Insufficient funds"))
    with pytest.raises(OrderRejected):
        broker.submit_order(order_request())
    hand.vendor.faults.add("AddOrder", hang_after())
    request = order_request()
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(request)
    assert hand.accepted(request) == 1


def test_a_refused_connection_is_proof_that_nothing_was_sent(hand: Any) -> None:
    hand.place()  # the markets are known
    port = hand.vendor.wire.port
    hand.vendor.stop()
    with pytest.raises(NotSent, match="could not be reached"):
        hand.place()
    request = order_request()
    with pytest.raises(NotSent):
        hand.broker.find_order(order_ref(request))
    assert hand.vendor.wire.port == port
    hand.vendor.start()
    hand.place()


def test_a_name_that_nobody_knows_is_one_too(hand: Any, quick: Any) -> None:
    quick.CCXT_URLS = {"kraken": {"public": hand.vendor.wire.url, "private": "http://no.invalid"}}
    with pytest.raises(NotSent):
        hand.place()


def test_without_the_list_of_markets_nothing_is_sent(hand: Any) -> None:
    for fault in (empty_after(), truncated_after(), gateway(502), html_after()):
        hand.vendor.faults.add("AssetPairs", fault)
        with pytest.raises(NotSent, match="markets"):
            hand.place()
    assert "AddOrder" not in hand.vendor.faults.calls
    hand.place()


def test_a_twin_among_open_orders_is_told_apart_from_a_refusal(hand: Any) -> None:
    request, _ = hand.place()
    with pytest.raises(DuplicateClientOrderId):
        hand.broker.submit_order(request)
    assert hand.accepted(request) == 1


def test_a_key_that_only_reads_and_one_that_is_wrong_are_told_so(hand: Any) -> None:
    hand.key = BrokerKey(READ_KEY, SECRET)
    with pytest.raises(OrderRejected, match="place and cancel orders") as caught:
        hand.place()
    assert caught.value.code == "broker_permission"
    assert hand.broker.holdings().cash == 100_000
    facts = hand.broker.check()
    assert not facts.may_trade and "place orders, cancel orders" in facts.words
    for key in (BrokerKey("nobody", SECRET), BrokerKey(READ_KEY, "d3Jvbmc="), BrokerKey("a", "?")):
        hand.key = key
        with pytest.raises((AuthFailed, NotSent)):
            hand.broker.check()
    assert not hand.vendor.truth.accepted


LOOKUPS = [
    drop_after(),
    hang_after(),
    gateway(502),
    empty_after(),
    truncated_after(),
    html_after(),
    raw_after("{}"),
    raw_after("[]"),
    raw_after('{"error":[],"result":{}}'),
    raw_after('{"error":[],"result":{"open":null,"closed":null}}'),
    refuse("EService:Busy"),
    refuse("EGeneral:Something new"),
]


@pytest.mark.parametrize("fault", LOOKUPS, ids=str)
@pytest.mark.parametrize("endpoint", ["OpenOrders", "ClosedOrders"])
def test_a_look_up_that_failed_is_no_miss(hand: Any, endpoint: str, fault: Fault) -> None:
    request = order_request()
    hand.vendor.faults.add(endpoint, fault)
    with pytest.raises(OutcomeUnknown):
        hand.broker.find_order(order_ref(request))
    with pytest.raises(OutcomeUnknown):
        hand.vendor.faults.add(endpoint, fault)
        hand.broker.list_since(EPOCH)


def test_an_order_that_shows_late_is_missed_and_then_found(hand: Any) -> None:
    hand.vendor.hide_next = 3
    request, _ = hand.place()
    for _ in range(3):
        assert hand.broker.find_order(order_ref(request)) is None
    assert hand.broker.find_order(order_ref(request)) is not None


def test_a_word_that_we_do_not_know_says_nothing(hand: Any) -> None:
    request, _ = hand.place()
    hand.vendor.faults.add("OpenOrders", edited(changed(status="pondering")))
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and (found.state, found.raw_status) == (None, "pondering")


def test_more_fields_do_no_harm_and_missing_ones_are_not_guessed(hand: Any) -> None:
    request, _ = hand.place()
    hand.vendor.faults.add("OpenOrders", edited(changed(novel={"a": [1]})))
    assert hand.broker.find_order(order_ref(request)) is not None
    for name in ("status", "vol_exec"):
        hand.vendor.faults.add("OpenOrders", edited(changed(**{name: None})))
        with pytest.raises(OutcomeUnknown):
            hand.broker.find_order(order_ref(request))
    for odd in ("NaN", "Infinity", "much", "", [], {}, True):
        hand.vendor.faults.add("OpenOrders", edited(changed(vol_exec=odd)))
        with pytest.raises(OutcomeUnknown):
            hand.broker.find_order(order_ref(request))


def test_one_odd_order_does_not_hide_the_others_of_a_list(hand: Any) -> None:
    first, _ = hand.place()
    second, _ = hand.place()

    def spoil(body: Any) -> Any:
        del body["result"]["open"][hand.at_vendor(first).txid]["vol_exec"]
        return body

    hand.vendor.faults.add("OpenOrders", edited(spoil))
    told = hand.broker.list_orders([order_ref(first), order_ref(second)])
    assert [one.client_order_id for one in told] == [second.client_order_id]


def test_a_cancel_whose_answer_is_lost_is_unknown(hand: Any) -> None:
    for fault in (drop_after(), gateway(504), empty_after()):
        request, _ = hand.place()
        hand.vendor.faults.add("CancelOrder", fault)
        with pytest.raises(OutcomeUnknown):
            hand.broker.cancel_order(order_ref(request))
        with pytest.raises(NotCancelable):
            hand.broker.cancel_order(order_ref(request))
    request, _ = hand.place()
    hand.vendor.faults.add("CancelOrder", refuse("EService:Busy"))
    with pytest.raises(OutcomeUnknown):
        hand.broker.cancel_order(order_ref(request))
    hand.vendor.faults.add("CancelOrder", raw_after('{"error":[],"result":{"count":0}}'))
    with pytest.raises(NotCancelable):
        hand.broker.cancel_order(order_ref(request))


def test_a_list_without_an_end_is_no_answer(hand: Any, quick: Any) -> None:
    quick.BROKER_PAGES_MAX = 3
    order = hand.vendor.external_order("BTC/USD", "buy", "0.01", "20000")
    hand.vendor.cancel(order.txid)
    rows = hand.vendor.private.closed_orders({}, None)["closed"]
    pages = iter(range(99))

    def endless(body: Any) -> Any:
        body["result"]["closed"] = {f"O{next(pages)}": rows[order.txid]}
        body["result"]["count"] = 10_000
        return body

    def again(body: Any) -> Any:
        body["result"] = {"closed": rows, "count": 10_000}
        return body

    for change in (endless, again):
        hand.vendor.faults.clear()
        hand.vendor.faults.calls.clear()
        hand.vendor.faults.add("ClosedOrders", edited(change), times=99)
        with pytest.raises(OutcomeUnknown, match="does not end"):
            hand.broker.find_order(order_ref(order_request()))
        assert hand.vendor.faults.calls["ClosedOrders"] <= 3


@pytest.mark.fault("F15")
def test_a_clock_ten_seconds_off_is_measured_and_changes_no_order(hand: Any) -> None:
    for offset in (10.0, -10.0):
        hand.vendor.clock_offset = offset
        facts = hand.broker.check()
        assert abs(facts.clock_offset.total_seconds() - offset) < 1.5
        request, _ = hand.place()
        assert hand.broker.find_order(order_ref(request)) is not None
    assert hand.vendor.keys[hand.key.api_key].refused == 0


def test_numbers_that_are_not_text_are_taken_as_they_are_written(hand: Any) -> None:
    request, _ = hand.place()
    hand.vendor.fill(hand.at_vendor(request).txid, "0.04")
    hand.vendor.faults.add("OpenOrders", edited(changed(vol_exec=0.04, vol=0.1)))
    found = hand.broker.find_order(order_ref(request))
    assert found is not None and found.filled_qty == Decimal("0.04")
