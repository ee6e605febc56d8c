"""Recorded replies of Alpaca read exactly, every status, and replies bent out of shape."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from alpaca.trading.enums import OrderStatus
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.keys import BrokerKey
from speedtrade.testing.vendors import spec
from speedtrade.testing.vendors.faults import answer
from trading.brokers.alpaca import client, errors, parse, stream
from trading.brokers.alpaca.adapter import AlpacaBroker
from trading.brokers.alpaca.cash import cash_event
from trading.brokers.alpaca.holdings import holdings_of
from trading.brokers.base import (
    AuthFailed,
    BrokerError,
    BrokerOrder,
    DuplicateClientOrderId,
    OrderRejected,
    OutcomeUnknown,
)
from trading.domain.orders import OrderState
from trading.tests.alpaca.asks import request

NOW = datetime(2026, 11, 18, tzinfo=UTC)
ORDER = MappingProxyType(
    json.loads("""
{"id":"ad78ddf9-eadd-49e7-b451-eebfcf25ff04","client_order_id":"rec20261008151015-5",
"status":"pending_new","symbol":"KO","asset_class":"us_equity",
"qty":"1","notional":null,"filled_qty":"0","filled_avg_price":null,"type":"limit",
"order_type":"limit","order_class":"","side":"buy","time_in_force":"day",
"limit_price":"78.19","extended_hours":false,"legs":null,
"created_at":"2026-10-08T15:10:21.371060727Z","submitted_at":"2026-10-08T15:10:21.371060727Z",
"updated_at":"2026-10-08T15:10:21.371751493Z","expires_at":"2026-10-08T20:00:00Z",
"position_intent":"buy_to_open","source":null,"subtag":null}""")
)
FILL = MappingProxyType(
    json.loads("""
{"activity_type":"FILL","id":"20261008111018097::fc1f73e1-0c7f-4d1c-9d0c-6c5d6a6f0d11",
"order_id":"f1a08ee3-9a52-4f2e-8d5e-0c7c6a0fb7b1","price":"86.878","qty":"0.057436865",
"cum_qty":"0.057436865","leaves_qty":"0","side":"buy","type":"fill","order_status":"filled",
"transaction_time":"2026-10-08T15:10:18.097465Z"}""")
)


class TestRecorded:
    def test_a_submit(self):
        made = parse.order(dict(ORDER), now=NOW)
        assert made.client_order_id == "rec20261008151015-5"
        assert made.broker_order_id == "ad78ddf9-eadd-49e7-b451-eebfcf25ff04"
        assert made.state == OrderState.ACCEPTED and not made.complete
        assert made.at == datetime(2026, 10, 8, 15, 10, 21, 371751, UTC)
        assert made.terms.limit_price == Decimal("78.19") and made.terms.qty == 1
        assert made.terms.created_at == datetime(2026, 10, 8, 15, 10, 21, 371060, UTC)
        assert (made.terms.symbol, made.terms.asset_type) == ("KO", "stock")

    def test_an_amount_of_money_after_its_fill(self):
        money = {
            "notional": "5",
            "qty": None,
            "filled_qty": "0.057436865",
            "filled_avg_price": "86.878",
            "status": "filled",
        }
        made = parse.order({**ORDER, **money}, now=NOW)
        assert made.complete and made.filled_qty == Decimal("0.057436865")
        assert made.avg_price == Decimal("86.878")
        assert (made.terms.qty, made.terms.notional) == (None, Decimal(5))

    def test_a_fill(self):
        [(order_id, (made,))] = parse.fills_by_order([FILL]).items()
        assert order_id == "f1a08ee3-9a52-4f2e-8d5e-0c7c6a0fb7b1"
        assert made.trade_id == f"{order_id}:000000000000.057436865"
        assert (made.qty, made.cum_qty) == (Decimal("0.057436865"),) * 2
        assert (made.price, made.fee) == (Decimal("86.878"), 0)
        assert made.executed_at == datetime(2026, 10, 8, 15, 10, 18, 97465, UTC)

    def test_an_account_without_day_trades_and_a_position(self):
        account = {
            "status": "ACTIVE",
            "currency": "USD",
            "cash": "99951.57",
            "multiplier": "4",
            "buying_power": "399806.28",
            "effective_buying_power": "399806.28",
            "non_marginable_buying_power": "99951.57",
            "trading_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
        }
        place = {
            "symbol": "KO",
            "asset_class": "us_equity",
            "qty": "0.557436865",
            "qty_available": "0.557436865",
            "avg_entry_price": "86.879891",
            "cost_basis": "48.430054",
            "side": "long",
        }
        made = holdings_of(account, [place])
        assert made.cash == Decimal("99951.57") and made.blocked == ""
        assert made.positions[0].cost_basis == Decimal("48.430054")

    def test_the_clock(self):
        assert parse.moment("2024-07-18T04:10:33.389152169-04:00") == datetime(
            2024, 7, 18, 8, 10, 33, 389152, UTC
        )

    @pytest.mark.parametrize(
        ("status", "body", "code"),
        [
            (
                403,
                '{"buying_power":"176531.28","code":40310000,"cost_basis":"48640000",'
                '"message":"insufficient buying power"}',
                "insufficient_buying_power",
            ),
            (
                403,
                '{"available":"0.557436865","code":40310000,"existing_qty":"0.557436865",'
                '"held_for_orders":"0","message":"insufficient qty available for order '
                '(requested: 1.057436865, available: 0.557436865)","symbol":"KO"}',
                "insufficient_position",
            ),
            (
                403,
                r'{"code":40310000,"message":"asset \"OCGN\" is not fractionable"}',
                "not_fractionable",
            ),
            (
                403,
                '{"code":40310000,"message":"potential wash trade detected. use complex orders"}',
                "wash_trade",
            ),
            (
                422,
                '{"code":42210000,"message":"potential wash trade detected. use complex orders"}',
                "wash_trade",
            ),
            (
                403,
                '{"balance":"0","code":40310000,"message":"insufficient balance for BTC '
                '(requested: 1, available: 0)","symbol":"BTC"}',
                "insufficient_position",
            ),
            (
                422,
                '{"code":42210000,"message":"invalid limit_price 290.123. sub-penny increment'
                ' does not fulfill minimum pricing criteria"}',
                "price_off_grid",
            ),
            (403, '{"code":40310000,"message":"something new"}', "broker_rejected"),
        ],
    )
    def test_refusals(self, status, body, code):
        made = errors.of_submit(status, body, {})
        assert isinstance(made, OrderRejected)
        assert (made.code, made.raw) == (code, body)
        spec.check_named("Error", json.loads(body))

    def test_an_address_that_is_wrong(self):
        made = errors.of_submit(404, '{"message":"endpoint not found."}', {})
        assert isinstance(made, OrderRejected) and "ALPACA_TRADING_URL" in made.detail

    def test_a_key_that_may_not(self):
        body = '{"code":40310000,"message":"forbidden."}'
        assert isinstance(errors.of_read(403, body, {}), AuthFailed)

    def test_a_duplicate_and_a_key(self):
        body = '{"code":40010001,"message":"client_order_id must be unique"}'
        assert isinstance(errors.of_submit(422, body, {}), DuplicateClientOrderId)
        other = '{"code":40010001,"message":"qty is required"}'
        assert isinstance(errors.of_submit(422, other, {}), OrderRejected)
        assert isinstance(errors.of_submit(401, '{"message":"unauthorized"}', {}), AuthFailed)
        assert isinstance(errors.of_submit(403, '{"message":"forbidden."}', {}), AuthFailed)


STATES = {
    "new": OrderState.NEW,
    "partially_filled": OrderState.PARTIALLY_FILLED,
    "filled": OrderState.FILLED,
    "done_for_day": OrderState.EXPIRED,  # of a day order
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "replaced": OrderState.REPLACED,
    "pending_cancel": OrderState.PENDING_CANCEL,
    "pending_replace": OrderState.PENDING_REPLACE,
    "pending_review": OrderState.ACCEPTED,
    "accepted": OrderState.ACCEPTED,
    "pending_new": OrderState.ACCEPTED,
    "accepted_for_bidding": OrderState.ACCEPTED,
    "stopped": OrderState.ACCEPTED,
    "rejected": OrderState.REJECTED,
    "suspended": OrderState.SUSPENDED,
    "calculated": OrderState.ACCEPTED,
    "held": OrderState.ACCEPTED,
}


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_status(status):
    filled = "1" if status.value in {"filled", "partially_filled"} else "0"
    made = parse.order({**ORDER, "status": status.value, "filled_qty": filled}, now=NOW)
    assert made.state == STATES[status.value] and made.raw_status == status.value


def test_every_status_of_the_document_too():
    document = spec.document()["components"]["schemas"]["OrderStatus"]["enum"]
    assert set(document) <= STATES.keys() and len(STATES) == 18


def test_done_for_the_day_goes_on_where_the_order_lasts():
    made = parse.order({**ORDER, "status": "done_for_day", "time_in_force": "gtc"}, now=NOW)
    assert made.state == OrderState.ACCEPTED


@pytest.mark.parametrize(
    ("name", "kind", "ours"),
    [
        ("BTCUSD", "crypto", "BTC/USD"),
        ("BTC/USD", "crypto", "BTC/USD"),
        ("SHIBUSDT", "crypto", "SHIB/USDT"),
        ("ETHBTC", "crypto", "ETH/BTC"),
        ("USD", "crypto", "USD"),
        ("AUSD", "us_equity", "AUSD"),
    ],
)
def test_symbols(name, kind, ours):
    assert parse.symbol_of(name, kind) == ours


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["NaN", "1e999", "-1", "0", "1_000", "٣", "2026-13-40T25:61:61Z", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@st.composite
def bent(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """A good reply with a few of its fields gone, or changed for anything."""
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(JSON)
    body = dict(good)
    for name in draw(st.lists(st.sampled_from(sorted(good)), max_size=4)):
        if draw(st.booleans()):
            body.pop(name, None)
        else:
            body[name] = draw(JSON)
    return body


@pytest.fixture(scope="module")
def server():
    from speedtrade.testing.vendors.alpaca import AlpacaVendor

    with AlpacaVendor() as made:
        made.open_account("PKALICE", "secret", cash="1000000000000")
        with override_settings(ALPACA_TRADING_URL=made.url):
            yield made


@given(data=st.data())
@hypothesis_settings(max_examples=200)
def test_whatever_the_answer_is_bent_to_no_order_is_lost(server, data):
    """A submit that the vendor took ends in the order or in "unknown", and in nothing else."""
    broker = AlpacaBroker(1, BrokerKey("PKALICE", "secret"), "paper")
    asked = request()
    good = {**ORDER, "client_order_id": asked.client_order_id}
    body = json.dumps(data.draw(bent(good))).encode()
    if data.draw(st.booleans()) and data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body)))]
    server.faults.add("submit", answer(200, body, accept=True))
    try:
        made = broker.submit_order(asked)
    except OutcomeUnknown:
        pass
    else:
        assert isinstance(made, BrokerOrder)
        assert made.client_order_id == asked.client_order_id and made.broker_order_id
        assert made.filled_qty >= 0
    theirs = server.accounts["PKALICE"]
    assert theirs.accepted[asked.client_order_id] == 1
    theirs.orders.clear()


@given(status=st.integers(200, 599), body=st.text() | JSON.map(json.dumps))
@hypothesis_settings(max_examples=300)
def test_any_refusal_is_one_of_the_interface(status, body):
    made = errors.of_submit(status, body, {})
    assert isinstance(made, BrokerError)
    if isinstance(made, OrderRejected):
        assert status in {400, 403, 404, 422}
        assert json.loads(body)["message"]


@given(row=bent(dict(FILL)) | bent({"activity_type": "CSD", "net_amount": "5", "id": "1"}))
@hypothesis_settings(max_examples=300)
def test_activities_that_are_bent(row):
    if not isinstance(row, dict):
        return
    for fills in parse.fills_by_order([row]).values():
        assert all(one.qty > 0 and one.cum_qty >= one.qty for one in fills)
    event = cash_event(row)
    assert event is None or event.amount.is_finite()


FRAME = {
    "event": "fill",
    "execution_id": "2f63ea93-423d-4169-b3f6-3fdafc10c418",
    "order": {**ORDER, "filled_qty": "1", "status": "filled"},
    "position_qty": "1",
    "price": "105.8988475",
    "qty": "1",
    "timestamp": "2022-04-19T17:45:05.024916716Z",
}


@given(data=bent(FRAME), order=bent({**ORDER, "filled_qty": "1"}), whole=st.booleans())
@hypothesis_settings(max_examples=300)
def test_frames_that_are_bent(data, order, whole):
    if whole and isinstance(data, dict):
        data = {**data, "order": order}
    try:
        made = stream.update({"stream": "trade_updates", "data": data}, NOW)
    except parse.Unreadable:
        return
    assert made.client_order_id and made.filled_qty >= 0
    assert all(one.cum_qty == made.filled_qty for one in made.fills)


PLACE = {"symbol": "KO", "asset_class": "us_equity", "qty": "1", "cost_basis": "2", "side": "long"}


@given(account=bent({"cash": "1", "currency": "USD", "status": "ACTIVE"}), place=bent(PLACE))
@hypothesis_settings(max_examples=300)
def test_accounts_that_are_bent(account, place):
    try:
        made = holdings_of(parse.row(account), parse.rows([place]))
    except parse.Unreadable:
        return
    assert made.cash.is_finite() and all(one.qty.is_finite() for one in made.positions)


@given(row=bent(dict(ORDER)))
@hypothesis_settings(max_examples=300)
def test_lists_with_an_order_that_is_bent(row):
    try:
        made = parse.order(row, now=NOW, strict=False)
    except parse.Unreadable:
        known = isinstance(row, dict) and row.get("id") == ORDER["id"]
        assert not (known and row.get("client_order_id") == ORDER["client_order_id"])
        return
    assert made.client_order_id and made.broker_order_id and made.filled_qty >= 0


def test_the_session_is_ours(settings):
    """Timeouts, no retries: set on attributes that are no promise of the package's."""
    made = client.trading_client(BrokerKey("PK", "secret"), "http://127.0.0.1:1")
    assert isinstance(made._session, client.ExactSession) and made._retry == 0


def test_a_package_that_changed_inside_is_not_used(monkeypatch):
    class Changed:
        def __init__(self, *_: object, **__: object) -> None:
            self._session = None

    monkeypatch.setattr(client, "TradingClient", Changed)
    with pytest.raises(RuntimeError, match="_retry"):
        client.trading_client(BrokerKey("PK", "secret"), "http://127.0.0.1:1")
