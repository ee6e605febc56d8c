"""Binance and Coinbase: the client id that leaves, the look-up that finds it, and their errors."""

import json
import traceback
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from accounts.keys import BrokerKey
from speedtrade.testing.vendors import binance, coinbase
from speedtrade.testing.vendors.binance import BinanceVendor
from speedtrade.testing.vendors.coinbase import V3, CoinbaseVendor
from speedtrade.testing.vendors.faults import (
    Fault,
    Refusal,
    drop_after,
    empty_after,
    gateway,
    hang_after,
    html_after,
    raw_after,
    refuse,
    refuse_after,
    truncated_after,
)
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
from trading.brokers.ccxt.adapter import CcxtBroker
from trading.domain.orders import OrderState
from trading.tests.ccxt.hand import EPOCH, order_ref, order_request

S = OrderState
ORDER = "POST /api/v3/order"
PLACE = f"POST {V3}/orders"
USDT: dict[str, Any] = {"symbol": "BTC/USDT", "limit_price": Decimal("43210.15")}


@pytest.fixture
def bi(quick: Any) -> Iterator[BinanceVendor]:
    with BinanceVendor() as vendor:
        quick.CCXT_URLS = {"binance": vendor.urls}
        yield vendor


@pytest.fixture
def co(quick: Any) -> Iterator[CoinbaseVendor]:
    with CoinbaseVendor() as vendor:
        quick.CCXT_URLS = {"coinbase": vendor.urls}
        yield vendor


def at_binance(key: str = binance.API_KEY) -> CcxtBroker:
    return CcxtBroker(1, BrokerKey(key, binance.SECRET), "binance", "paper")


def at_coinbase(key: str = coinbase.API_KEY) -> CcxtBroker:
    return CcxtBroker(1, BrokerKey(key, coinbase.SECRET), "coinbase", "paper")


# ── Binance ────────────────────────────────────────────────────────────────


def test_binance_gets_our_id_and_exact_strings_once(bi: BinanceVendor) -> None:
    request = order_request(**USDT)
    told = at_binance().submit_order(request)
    [sent] = [one for one in bi.wire.requests if one.method == "POST"]
    body = dict(parse_qsl(sent.text))
    for name in ("timestamp", "signature", "recvWindow"):
        assert body.pop(name)
    assert (
        body
        == told.sent
        == {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "newClientOrderId": request.client_order_id,
            "newOrderRespType": "FULL",
            "type": "LIMIT",
            "quantity": "0.1",
            "price": "43210.15",
            "timeInForce": "GTC",
        }
    )
    assert (told.state, told.broker_order_id) == (S.NEW, "1")


def test_binance_is_asked_by_our_id_and_fills_add_up(bi: BinanceVendor) -> None:
    request = order_request(**USDT)
    at_binance().submit_order(request)
    ref = order_ref(request)
    bi.fill(1, "0.04000000", "43210.15000000", "0.00004000", "BTC")
    found = at_binance().find_order(ref)
    assert found is not None and found.state == S.PARTIALLY_FILLED
    [fill] = found.fills
    assert (fill.qty, fill.fee, fill.fee_qty) == (Decimal("0.04"), 0, Decimal("0.00004"))
    bi.fill(1, "0.06000000", "43210.10000000", "2.59", "USDT")
    [found] = at_binance().list_orders([ref])
    assert found.complete and [one.fee for one in found.fills] == [0, Decimal("2.59")]
    assert at_binance().find_order(order_ref(order_request(**USDT))) is None
    with pytest.raises(NotCancelable):
        at_binance().cancel_order(ref)


def test_binance_cancels_by_our_id_and_lists_what_is_open(bi: BinanceVendor) -> None:
    requests = [order_request(**USDT) for _ in range(2)]
    for request in requests:
        at_binance().submit_order(request)
    at_binance().cancel_order(order_ref(requests[0]))
    [left] = at_binance().list_since(EPOCH)
    assert left.client_order_id == requests[1].client_order_id
    states = [one.state for one in at_binance().list_orders([order_ref(one) for one in requests])]
    assert sorted(str(one) for one in states) == ["canceled", "new"]
    held = at_binance().holdings()
    assert (held.currency, held.cash) == ("USDT", Decimal(100_000))
    assert [(one.symbol, one.qty) for one in held.positions] == [("BTC/USDT", 1)]
    facts = at_binance().check()
    assert (facts.may_trade, facts.number) == (True, "354937868")
    assert at_binance().cash_events(EPOCH) == ()


BINANCE_SAYS: list[tuple[str, type[BrokerError], str]] = [
    ("-2010 Account has insufficient balance for requested action.", OrderRejected, "too little"),
    ("-2010 Duplicate order sent.", DuplicateClientOrderId, "Duplicate"),
    ("-2010 Market is closed.", OrderRejected, "new orders in this market"),
    ("-1013 Filter failure: LOT_SIZE", OrderRejected, "LOT_SIZE"),
    ("-1013 Filter failure: PRICE_FILTER", OrderRejected, "PRICE_FILTER"),
    ("-1013 Filter failure: NOTIONAL", OrderRejected, "so small"),
    ("-1121 Invalid symbol.", OrderRejected, "Invalid symbol"),
    ("-1021 Timestamp for this request is outside of the recvWindow.", NotSent, "clock"),
    ("-2015 Invalid API-key, IP, or permissions for action.", AuthFailed, "Connect a new one"),
    ("-1022 Signature for this request is not valid.", AuthFailed, "Connect a new one"),
    ("-1003 Too much request weight used.", RateLimited, "no more requests"),
    ("-1006 An unexpected response was received. Execution status unknown.", OutcomeUnknown, ""),
    ("-1007 Timeout waiting for response. Send status unknown.", OutcomeUnknown, ""),
    ("-1000 An unknown error occurred while processing the request.", OutcomeUnknown, ""),
    ("-9999 A code that nobody has seen.", OutcomeUnknown, ""),
]


@pytest.mark.parametrize(("text", "error", "words"), BINANCE_SAYS, ids=lambda v: str(v)[:30])
def test_binance_codes_mean_what_they_say(
    bi: BinanceVendor, text: str, error: type[BrokerError], words: str
) -> None:
    bi.faults.add(ORDER, refuse(text))
    with pytest.raises(error) as caught:
        at_binance().submit_order(order_request(**USDT))
    assert words in str(caught.value)
    assert bi.faults.calls[ORDER] == 1 and not bi.accepted


@pytest.mark.parametrize(
    "fault",
    [
        drop_after(),
        hang_after(),
        truncated_after(),
        empty_after(),
        gateway(504),
        gateway(429),
        gateway(418),
        raw_after("{}"),
        raw_after("[]"),
        raw_after('{"orderId":null}'),
        raw_after('{"orderId":7,"clientOrderId":"of somebody else","status":"NEW"}'),
        refuse_after("-1007 Timeout waiting for response from backend server."),
    ],
    ids=str,
)
def test_binance_s_lost_answers_are_unknown_and_found(bi: BinanceVendor, fault: Fault) -> None:
    request = order_request(**USDT)
    bi.faults.add(ORDER, fault)
    with pytest.raises(OutcomeUnknown):
        at_binance().submit_order(request)
    assert bi.accepted[request.client_order_id] == 1 or isinstance(fault.reply, Refusal)
    found = at_binance().find_order(order_ref(request))
    assert found is not None and found.state == S.NEW


def test_binance_refuses_a_clock_that_is_off_and_is_measured_anew(bi: BinanceVendor) -> None:
    at_binance().submit_order(order_request(**USDT))
    bi.clock_offset = 60
    with pytest.raises(NotSent, match="clock of this machine is off"):
        at_binance().submit_order(order_request(**USDT))
    at_binance().submit_order(order_request(**USDT))  # the difference was measured again
    assert abs(at_binance().check().clock_offset.total_seconds() - 60) < 2


def test_an_adapter_that_lives_long_takes_the_clock_that_was_measured_anew(
    bi: BinanceVendor,
) -> None:
    """Fails where it keeps the difference that it began with: all it asks is refused for good."""
    broker = at_binance()
    broker.submit_order(order_request(**USDT))
    bi.clock_offset = 60
    with pytest.raises(NotSent, match="clock of this machine is off"):
        broker.submit_order(order_request(**USDT))
    broker.submit_order(order_request(**USDT))
    assert broker.holdings().currency == "USDT"


def test_a_failed_read_at_binance_shows_no_signature(bi: BinanceVendor) -> None:
    """There the signature is in the address, and errors of the transport print addresses."""
    for fault in (hang_after(), drop_after(), gateway(502)):
        bi.faults.add("GET /api/v3/order", fault)
        with pytest.raises(OutcomeUnknown) as caught:
            at_binance().find_order(order_ref(order_request(**USDT)))
        printed = "".join(traceback.format_exception(caught.value))
        assert "signature=" not in printed and binance.API_KEY not in printed


def test_a_wrong_key_at_binance_is_told_so(bi: BinanceVendor) -> None:
    with pytest.raises(AuthFailed, match="Connect a new one"):
        at_binance("WRONG").check()


# ── Coinbase ───────────────────────────────────────────────────────────────


def test_coinbase_gets_our_id_and_not_one_that_ccxt_makes(co: CoinbaseVendor) -> None:
    request = order_request(limit_price=Decimal("43210.15"))
    told = at_coinbase().submit_order(request)
    [sent] = [one for one in co.wire.requests if one.method == "POST"]
    assert json.loads(sent.text) == {
        "client_order_id": str(uuid.UUID(request.client_order_id)),
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": {
            "limit_limit_gtc": {"base_size": "0.1", "limit_price": "43210.15", "post_only": False}
        },
    }
    assert told.sent["order_configuration.limit_limit_gtc.base_size"] == "0.1"
    assert told.broker_order_id in co.orders


def test_a_market_order_at_coinbase_is_a_quantity_with_a_bound(co: CoinbaseVendor) -> None:
    for side, bound in (("buy", "45000.12"), ("sell", "45000.13")):
        request = order_request(
            order_type="market", side=side, time_in_force="ioc", price_bound=Decimal("45000.125")
        )
        told = at_coinbase().submit_order(request)
        assert co.orders[told.broker_order_id]["order_configuration"] == {
            "sor_limit_ioc": {"base_size": "0.1", "limit_price": bound}
        }


def test_coinbase_is_searched_page_by_page_for_our_id(co: CoinbaseVendor) -> None:
    requests = [order_request() for _ in range(5)]
    for request in requests:
        at_coinbase().submit_order(request)
    ref = order_ref(requests[0])
    found = at_coinbase().find_order(ref)
    assert found is not None and found.state == S.NEW
    assert found.client_order_id == requests[0].client_order_id
    co.fill(found.broker_order_id, "0.04", "43000.50", "1.25")
    co.fill(found.broker_order_id, "0.06", "43000.40", "1.75")
    done = at_coinbase().find_order(ref)
    assert done is not None and done.complete
    assert [one.fee for one in done.fills] == [Decimal("1.25"), Decimal("1.75")]
    assert at_coinbase().find_order(order_ref(order_request())) is None
    assert len(at_coinbase().list_since(EPOCH)) == 5
    with pytest.raises(NotCancelable):
        at_coinbase().cancel_order(ref)
    at_coinbase().cancel_order(order_ref(requests[1]))
    gone = at_coinbase().find_order(order_ref(requests[1]))
    assert gone is not None and gone.state == S.CANCELED
    with pytest.raises(NotCancelable):
        at_coinbase().cancel_order(order_ref(order_request()))


def test_coinbase_gives_the_same_order_for_the_same_id(co: CoinbaseVendor) -> None:
    request = order_request()
    first = at_coinbase().submit_order(request)
    again = at_coinbase().submit_order(request)
    assert first.broker_order_id == again.broker_order_id and len(co.orders) == 1


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("INSUFFICIENT_FUND", OrderRejected, "too little"),
        ("PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY", OrderRejected, "refused"),
        ("INVALID_SIZE_PRECISION", OrderRejected, "refused"),
        ("UNKNOWN_FAILURE_REASON", OutcomeUnknown, "UNKNOWN_FAILURE_REASON"),
        ("A_NEW_REASON", OutcomeUnknown, "A_NEW_REASON"),
    ],
)
def test_coinbase_words_mean_what_they_say(
    co: CoinbaseVendor, text: str, error: type[BrokerError], words: str
) -> None:
    co.faults.add(PLACE, refuse(text))
    with pytest.raises(error, match=words):
        at_coinbase().submit_order(order_request())
    assert not co.orders


@pytest.mark.parametrize(
    "fault",
    [
        drop_after(),
        hang_after(),
        truncated_after(),
        empty_after(),
        html_after(),
        gateway(502),
        raw_after("{}"),
        raw_after('{"success":true}'),
        raw_after('{"success":true,"success_response":{"order_id":null}}'),
    ],
    ids=str,
)
def test_coinbase_s_lost_answers_are_unknown_and_found(co: CoinbaseVendor, fault: Fault) -> None:
    request = order_request()
    co.faults.add(PLACE, fault)
    with pytest.raises(OutcomeUnknown):
        at_coinbase().submit_order(request)
    assert co.count(str(uuid.UUID(request.client_order_id))) == 1
    assert at_coinbase().find_order(order_ref(request)) is not None


def test_the_account_and_the_key_at_coinbase(co: CoinbaseVendor) -> None:
    held = at_coinbase().holdings()
    assert held.cash == 100_000 and [one.symbol for one in held.positions] == ["BTC/USD"]
    facts = at_coinbase().check()
    assert (facts.may_trade, facts.number) == (True, "8bfc20d7-f7c6-4422-bf07-8243ca4169fe")
    co.may_trade = False
    assert not at_coinbase().check().may_trade
    with pytest.raises(AuthFailed, match="Connect a new one"):
        at_coinbase("WRONG").check()
