"""Any reply at all: submit raises in the words of the interface, and never books what is not so."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speedtrade.testing.vendors.faults import raw_after
from trading.brokers.base import BrokerError, BrokerOrder, NotSent, OrderRejected, OutcomeUnknown
from trading.brokers.ccxt.errors import Answer, broker_error, rule_of, said
from trading.brokers.ccxt.ids import our_id, venue_id
from trading.brokers.ccxt.parse import exact, order_report
from trading.brokers.ccxt.rules import bound_on_grid
from trading.brokers.ccxt.venues import BINANCE, KRAKEN, VENUES
from trading.domain.orders import OrderState
from trading.tests.ccxt.hand import EPOCH, Hand, order_ref, order_request

GOOD = {
    "error": [],
    "result": {
        "txid": ["OL7LNO-R4SAD-6UINEU"],
        "descr": {"order": "buy 0.10000000 LTCUSDT @ market"},
    },
}
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["EOrder:Insufficient funds", "OL7LNO-R4SAD-6UINEU", "E", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "result", "txid", "descr", "order", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@st.composite
def replies(draw: st.DrawFn) -> tuple[str, int]:
    """The good reply with something else in it, or cut, or with bytes changed, or none of it."""
    body: Any = json.loads(json.dumps(GOOD))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        place: Any = body
        for step in draw(
            st.sampled_from([("error",), ("result",), ("result", "txid"), ("result", "descr")])
        ):
            parent, name, place = place, step, place[step]
        parent[name] = draw(ODD)
    elif kind == 1:
        body = draw(ODD)
    text = json.dumps(body)
    if kind == 2:
        text = text[: draw(st.integers(0, len(text)))]
    elif kind == 3:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + 1 :]
    return text, draw(st.sampled_from([200, 200, 200, 400, 403, 429, 500, 520]))


@settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(replies())
def test_no_mutation_of_a_good_reply_escapes_the_interface(hand: Hand, reply: Any) -> None:
    text, status = reply
    hand.vendor.deposit("USD", "100000")
    request = order_request()
    hand.vendor.faults.clear()
    hand.vendor.faults.add("AddOrder", raw_after(text, status))
    try:
        told = hand.broker.submit_order(request)
    except BrokerError as error:
        # The order is there: only the venue's own words may say that it is not.
        if isinstance(error, (OrderRejected, NotSent)):
            assert rule_of(KRAKEN, said(KRAKEN, text)) is not None
    else:
        assert isinstance(told, BrokerOrder) and told.broker_order_id
        assert told.state == OrderState.NEW and told.filled_qty == 0
    assert hand.accepted(request) == 1


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(["OpenOrders", "ClosedOrders"]), ODD)
def test_no_reply_to_a_look_up_escapes_it_either(hand: Hand, endpoint: str, odd: Any) -> None:
    hand.vendor.faults.clear()
    hand.vendor.faults.add(endpoint, raw_after(json.dumps(odd)))
    ref = order_ref(order_request())
    with pytest.raises(BrokerError):
        hand.broker.find_order(ref)
    hand.vendor.faults.clear()
    hand.vendor.faults.add(endpoint, raw_after(json.dumps({"error": [], "result": odd})))
    try:
        assert hand.broker.find_order(ref) is None
    except BrokerError:
        return
    assert isinstance(odd, dict)  # nothing less is a list of orders


def test_the_recorded_replies_are_read_exactly(hand: Hand) -> None:
    hand.vendor.deposit("USDT", "100000")
    hand.vendor.faults.add("AddOrder", raw_after(json.dumps(GOOD)))
    _, told = hand.place(symbol="LTC/USDT", order_type="market")
    assert told.broker_order_id == "OL7LNO-R4SAD-6UINEU"
    refused = '{"error":["EOrder:Insufficient funds"],"result":{}}'
    hand.vendor.faults.add("AddOrder", raw_after(refused))
    with pytest.raises(OrderRejected) as caught:
        hand.place()
    assert caught.value.raw == refused
    assert caught.value.detail.endswith("EOrder:Insufficient funds.")


@given(st.text(min_size=1, max_size=64), st.sampled_from(sorted(VENUES)))
def test_a_venue_takes_every_id_of_ours_and_tells_them_apart(text: str, name: str) -> None:
    venue = VENUES[name]
    told = venue_id(venue, text)
    assert told == venue_id(venue, text)
    assert len(told) <= 36 and told.isascii() and told.isprintable() and " " not in told
    assert our_id(venue, told) == text or told != text


@given(st.uuids(version=4))
def test_an_id_that_we_made_comes_back_as_it_was(made: Any) -> None:
    for venue in VENUES.values():
        assert our_id(venue, venue_id(venue, made.hex)) == made.hex


def test_numbers_come_from_text_and_never_from_a_float_s_tail() -> None:
    assert exact("0.30000000000000004") == Decimal("0.30000000000000004")
    assert exact(0.1) == Decimal("0.1") and exact(1e-9) == Decimal("1E-9")
    assert exact(7) == 7
    for nothing in (None, True, "", "x", "NaN", float("nan"), "Infinity", [], {}, "1_0x"):
        assert exact(nothing) is None


def test_a_bound_moves_to_the_grid_on_the_side_that_costs_nothing() -> None:
    tick = Decimal("0.01")
    assert bound_on_grid(Decimal("10.017"), tick, "buy") == Decimal("10.01")
    assert bound_on_grid(Decimal("10.017"), tick, "sell") == Decimal("10.02")
    assert bound_on_grid(Decimal("10.01"), tick, "buy") == Decimal("10.01")
    assert bound_on_grid(Decimal("10.017"), None, "buy") == Decimal("10.017")


def test_every_word_of_a_venue_has_a_state_and_others_have_none() -> None:
    for venue in VENUES.values():
        for word, state in (*venue.states.items(), ("NOVEL", None)):
            order = {
                "id": "1",
                "amount": 1.0,
                "info": {venue.info_status: word, venue.info_filled: "0", "vol": "1"},
            }
            told = order_report(venue, order, "c", now=EPOCH)
            if state == OrderState.FILLED:
                state = OrderState.CANCELED  # it says filled, and that nothing is
            assert (told.state, told.raw_status) == (state, word)


def test_an_order_by_amount_of_money_says_so() -> None:
    order = {
        "id": "O1",
        "symbol": "BTC/USD",
        "side": "buy",
        "info": {
            "status": "closed",
            "vol": "100.00",
            "vol_exec": "0.002",
            "oflags": "fciq,viqc",
            "price": "50000.0",
            "descr": {"ordertype": "market", "price": "0"},
        },
    }
    told = order_report(KRAKEN, order, "c", now=EPOCH)
    assert told.state == OrderState.FILLED and told.complete and told.terms is not None
    assert (told.terms.qty, told.terms.notional) == (None, Decimal("100.00"))


def test_what_ccxt_refuses_by_itself_was_never_sent() -> None:
    error = broker_error(KRAKEN, ValueError("x"), Answer(False, None), submit=True, now=EPOCH)
    assert isinstance(error, OrderRejected)
    error = broker_error(BINANCE, ValueError("x"), Answer(True, None), submit=True, now=EPOCH)
    assert isinstance(error, OutcomeUnknown)
