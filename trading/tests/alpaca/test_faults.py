"""Each fault between us and Alpaca, at the adapter: what is definite, and what nobody knows.

What must hold in every row: at most one order under one client id at the vendor, one request per
submit, and never "refused" or "not sent" for an order that the vendor has.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from speedtrade.testing.vendors.faults import (
    Fault,
    answer,
    drip_after,
    drop_after,
    drop_before,
    edited,
    empty_after,
    gateway,
    hang_after,
    html_after,
    truncated_after,
)
from trading.brokers.base import (
    BrokerError,
    DuplicateClientOrderId,
    NotCancelable,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from trading.domain.orders import OrderState
from trading.tests.alpaca.asks import LONG_AGO, ref, request


def without(name: str) -> Callable[[Any], Any]:
    return lambda body: {key: value for key, value in body.items() if key != name}


def having(**fields: Any) -> Callable[[Any], Any]:
    return lambda body: {**body, **fields}


UNKNOWN_AFTER = {
    "drop": drop_after(),
    "502": gateway(502),
    "503": gateway(503),
    "504": gateway(504),
    "500": answer(500, b'{"code":50010000,"message":"internal server error"}', accept=True),
    "408": answer(408, b"{}", accept=True),
    "empty": empty_after(),
    "truncated": truncated_after(),
    "HTML": html_after(),
    "null": answer(200, b"null", accept=True),
    "a list": answer(200, b"[]", accept=True),
    "NaN": answer(200, b'{"id":NaN}', accept=True),
    "deep": answer(200, b"[" * 100_000, accept=True),
    "no id": edited(without("id")),
    "id is null": edited(having(id=None)),
    "no client id": edited(without("client_order_id")),
    "another client id": edited(having(client_order_id="another")),
    "no status": edited(without("status")),
    "odd quantity": edited(having(filled_qty="NaN")),
    "odd time": edited(having(updated_at="yesterday")),
    "a refusal that is no JSON": gateway(403),
    "a 400 of a gateway": gateway(400),
    "a 404 of a gateway": gateway(404),
    "a 422 without words": answer(422, b"{}", accept=True),
    "redirect": answer(307, b"", accept=True, Location="/elsewhere"),
    "empty redirect": answer(304, b"", accept=True),
    "other success": answer(299, b"", accept=True),
}


@pytest.mark.parametrize("fault", UNKNOWN_AFTER.values(), ids=UNKNOWN_AFTER)
def test_after_it_was_taken_nobody_knows_and_a_look_finds_it(vendor, theirs, broker, fault):
    asked = request()
    vendor.faults.add("submit", fault)
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(asked)
    assert vendor.called("submit") == 1
    assert theirs.accepted[asked.client_order_id] == 1
    assert broker.find_order(ref(asked)).state == OrderState.NEW
    with pytest.raises(DuplicateClientOrderId):
        broker.submit_order(asked)
    assert theirs.accepted[asked.client_order_id] == 1


def test_a_mute_vendor_is_given_up(vendor, theirs, broker, settings):
    settings.BROKER_TIMEOUT = (1.0, 0.3)
    asked = request()
    vendor.faults.add("submit", hang_after())
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(asked)
    assert time.monotonic() - started < 20  # of the thirty for which it says nothing
    assert theirs.accepted[asked.client_order_id] == 1


def test_a_drop_before_it_arrives_looks_the_same_from_here(vendor, theirs, broker):
    asked = request()
    vendor.faults.add("submit", drop_before())
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(asked)
    assert theirs.accepted[asked.client_order_id] == 0
    assert broker.find_order(ref(asked)) is None


def test_a_vendor_that_is_down_proves_that_nothing_was_sent(vendor, theirs, broker):
    vendor.stop()
    with pytest.raises(NotSent):
        broker.submit_order(request())
    with pytest.raises(NotSent):
        broker.find_order(ref(request()))
    vendor.start()
    asked = request()
    broker.submit_order(asked)
    assert theirs.accepted[asked.client_order_id] == 1


def test_a_name_that_nobody_knows(settings, broker):
    from accounts.keys import BrokerKey
    from trading.brokers.alpaca.adapter import AlpacaBroker

    settings.ALPACA_TRADING_URL = "http://nowhere.invalid"
    with pytest.raises(NotSent):
        AlpacaBroker(1, BrokerKey("PK", "secret"), "paper").submit_order(request())


@pytest.mark.parametrize(
    ("headers", "about"),
    [
        ({"Retry_After": "7"}, timedelta(seconds=7)),
        ({"Retry_After": lambda at: format_datetime(at, usegmt=True)}, timedelta(minutes=1)),
        ({"X_RateLimit_Reset": lambda at: str(int(at.timestamp()))}, timedelta(minutes=1)),
        ({"Retry_After": "999999999999999999"}, timedelta(hours=1)),
        ({"Retry_After": "soon", "X_RateLimit_Reset": "later"}, None),
        ({}, None),
    ],
)
def test_too_many_requests(vendor, theirs, broker, headers, about):
    """Refused before it counts, in one request, with the time at which to come again."""
    vendor.tells_limits = False
    at = datetime.now(UTC) + timedelta(minutes=1)
    headers = {name: told(at) if callable(told) else told for name, told in headers.items()}
    asked = request()
    body = b'{"code":42910000,"message":"rate limit exceeded"}'
    vendor.faults.add("submit", answer(429, body, **headers))
    vendor.faults.add("by_client_id", answer(429, body, **headers))
    for ask in (lambda: broker.submit_order(asked), lambda: broker.find_order(ref(asked))):
        with pytest.raises(RateLimited) as limited:
            ask()
        when = limited.value.retry_at
        if about is None:
            assert when is None
        else:
            assert abs(when - datetime.now(UTC) - about) < timedelta(seconds=50)
    assert vendor.called("submit") == 1 and theirs.accepted[asked.client_order_id] == 0


def test_the_vendors_own_limit(vendor, broker):
    vendor.per_minute, vendor.enforces_limit = 1, True
    broker.find_order(ref(request()))
    with pytest.raises(RateLimited) as limited:
        broker.find_order(ref(request()))
    assert limited.value.retry_at is not None and broker.budget.remaining == 0


def test_not_seen_yet_then_visible(vendor, theirs, broker):
    asked = request()
    vendor.faults.add("submit", drop_after())
    not_found = answer(404, b'{"code":40410000,"message":"order not found"}')
    vendor.faults.add("by_client_id", not_found, times=2)
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(asked)
    seen = [broker.find_order(ref(asked)) for _ in range(3)]
    assert seen[:2] == [None, None] and seen[2].client_order_id == asked.client_order_id


def test_not_seen_for_a_while(vendor, broker):
    asked = request()
    broker.submit_order(asked)
    body = b'{"code":40410000,"message":"order not found"}'
    vendor.faults.add("by_client_id", answer(404, body, stays=0.3))
    assert broker.find_order(ref(asked)) is None
    vendor.faults.clear()
    assert broker.find_order(ref(asked)) is not None


@pytest.mark.parametrize("name", ["submit", "by_client_id"])
def test_a_word_that_nobody_knows_is_kept_as_it_is(vendor, theirs, broker, name):
    asked = request()
    vendor.faults.add(name, edited(having(status="pondering")))
    made = broker.submit_order(asked)
    found = broker.find_order(ref(asked))
    odd = made if name == "submit" else found
    assert (odd.state, odd.raw_status) == (None, "pondering")
    assert odd.broker_order_id in theirs.orders


def test_more_and_fewer_fields_than_we_know(vendor, theirs, broker):
    asked = request()

    def change(body: Any) -> Any:
        kept = ("id", "client_order_id", "status")
        return {name: body[name] for name in kept} | {"novelty": {"deep": [1, 2.5]}}

    vendor.faults.add("submit", edited(change))
    made = broker.submit_order(asked)
    assert made.state == OrderState.ACCEPTED and made.filled_qty == 0 and made.terms is None


def test_numbers_that_are_no_texts_stay_exact(vendor, theirs, broker):
    asked = request()
    body = b'{"id":"1","client_order_id":"%s","status":"new","filled_qty":0.30000000000000004}'
    vendor.faults.add("submit", answer(200, body % asked.client_order_id.encode()))
    assert broker.submit_order(asked).filled_qty == Decimal("0.30000000000000004")


def test_a_fill_wins_against_the_cancel(vendor, theirs, broker):
    asked = request()
    made = broker.submit_order(asked)
    vendor.cancels_at_once = False
    broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))
    assert broker.find_order(ref(asked)).state == OrderState.PENDING_CANCEL
    theirs.fill(asked.client_order_id, "2", "100")
    found = broker.find_order(ref(asked))
    assert found.state == OrderState.FILLED and found.fills[0].qty == 2
    with pytest.raises(NotCancelable):
        broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))


@pytest.mark.fault("F7")
def test_a_part_then_the_cancel_then_a_late_fill(theirs, broker):
    asked = request()
    made = broker.submit_order(asked)
    theirs.fill(asked.client_order_id, "0.5", "100")
    broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))
    found = broker.find_order(ref(asked))
    assert (found.state, found.filled_qty, found.complete) == (
        OrderState.CANCELED,
        Decimal("0.5"),
        False,
    )
    theirs.fill(asked.client_order_id, "0.25", "100")
    assert [one.cum_qty for one in broker.find_order(ref(asked)).fills] == [
        Decimal("0.5"),
        Decimal("0.75"),
    ]


def test_the_answer_to_a_cancel_gets_lost(vendor, theirs, broker):
    asked = request()
    made = broker.submit_order(asked)
    vendor.faults.add("cancel", drop_after())
    with pytest.raises(OutcomeUnknown):
        broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))
    assert broker.find_order(ref(asked)).state == OrderState.CANCELED
    assert vendor.called("cancel") == 1


GATEWAYS = [*(gateway(status, accept=False) for status in (302, 404, 422, 500, 504))]


@pytest.mark.parametrize("fault", [*GATEWAYS, answer(302, b""), answer(304, b"")])
def test_a_gateway_answers_a_cancel(vendor, broker, fault):
    asked = request()
    made = broker.submit_order(asked)
    vendor.faults.add("cancel", fault)
    with pytest.raises(OutcomeUnknown):
        broker.cancel_order(ref(asked, broker_order_id=made.broker_order_id))


READS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "find": ("by_client_id", lambda broker: broker.find_order(ref(request()))),
    "list": ("orders", lambda broker: broker.list_orders([ref(request())])),
    "since": ("orders", lambda broker: broker.list_since(LONG_AGO)),
    "holdings": ("positions", lambda broker: broker.holdings()),
    "events": ("activities", lambda broker: broker.cash_events(LONG_AGO)),
    "check": ("clock", lambda broker: broker.check()),
}
BROKEN: dict[str, Fault] = {
    "drop": drop_before(),
    "gateway": gateway(502, accept=False),
    "a 403 of a gateway": gateway(403, accept=False),
    "HTML": answer(200, b"<html>"),
    "empty": answer(200, b""),
    "truncated": answer(200, b'[{"id"'),
    "another shape": answer(200, b'"hello"'),
    "nulls": answer(200, b"[null]"),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_fails_is_no_word_at_all(vendor, theirs, broker, read, fault):
    name, ask = read
    vendor.faults.add(name, fault)
    with pytest.raises(OutcomeUnknown):
        ask(broker)


@pytest.mark.parametrize("name", ["submit", "by_client_id"])
def test_an_answer_that_drips(vendor, broker, settings, name):
    """Each piece comes in time, the whole never does."""
    settings.BROKER_TIMEOUT = (0.5, 0.5)
    vendor.faults.add(name, drip_after())
    asked = request()
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        broker.submit_order(asked) if name == "submit" else broker.find_order(ref(asked))
    assert time.monotonic() - started < 20


def test_nothing_but_the_words_of_the_interface_is_raised(vendor, broker):
    for status in (400, 401, 403, 404, 405, 409, 418, 422, 429, 451, 500, 501, 599):
        vendor.faults.add("submit", answer(status, b'{"message":"no"}'))
        with pytest.raises(BrokerError) as raised:
            broker.submit_order(request())
        definite = isinstance(raised.value, OrderRejected)
        assert definite == (status in {400, 403, 404, 422})
