"""Sending, asking, fills and cancels, on a line that works."""

from decimal import Decimal

from trading.brokers.base import DuplicateClientOrderId, IdScope, NotCancelable, OrderRejected
from trading.brokers.conformance.harness import (
    TWO,
    WORKING,
    Harness,
    NotHere,
    case,
    expect,
    expect_raises,
    found_by,
)
from trading.domain.orders import OrderState


# ── sending ──────────────────────────────────────────────────────────────────
@case
def a_submit_is_one_order_with_both_ids(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    expect(made.client_order_id == asked.client_order_id, "the answer has another client id")
    expect(made.broker_order_id, "the answer has no id of the broker")
    expect(made.state in WORKING, f"a resting order is {made.state}")
    expect(made.filled_qty == 0 and not made.fills, "a new order is filled")
    expect(harness.count(asked.client_order_id) == 1, "the vendor has not one order")


@case
def a_repeated_id_is_refused_while_the_order_is_open(harness: Harness) -> None:
    if harness.broker.caps.id_scope == IdScope.NONE:
        raise NotHere
    asked = harness.request()
    harness.broker.submit_order(asked)
    expect_raises(DuplicateClientOrderId, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "it became two orders")


@case
def a_repeated_id_is_refused_for_all_time(harness: Harness) -> None:
    if harness.broker.caps.id_scope != IdScope.ALL_TIME:
        raise NotHere
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.cancel(asked.client_order_id)
    expect_raises(DuplicateClientOrderId, lambda: harness.broker.submit_order(asked))
    expect(harness.count(asked.client_order_id) == 1, "it became two orders")


@case
def what_cannot_be_paid_is_refused_in_a_sentence(harness: Harness) -> None:
    asked = harness.too_dear()
    error = expect_raises(OrderRejected, lambda: harness.broker.submit_order(asked))
    code, detail = getattr(error, "code", ""), getattr(error, "detail", "")
    expect(code.startswith("insufficient"), f"the code is {code}")
    expect(detail.endswith("."), "no sentence")
    expect(harness.broker.find_order(harness.ref(asked)) is None, "and yet it is there")


# ── asking ───────────────────────────────────────────────────────────────────
@case
def an_unknown_order_is_none(harness: Harness) -> None:
    asked = harness.request()
    expect(harness.broker.find_order(harness.ref(asked)) is None, "found what never was")
    expect(list(harness.broker.list_orders([harness.ref(asked)])) == [], "listed what never was")


@case
def an_order_is_found_by_its_client_id(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    found = found_by(harness, asked)
    expect(found.broker_order_id == made.broker_order_id, "found another order")
    expect(found.client_order_id == asked.client_order_id, "found under another client id")
    expect(found.state in WORKING, f"a resting order is {found.state}")


@case
def a_list_has_those_asked_for_open_and_ended(harness: Harness) -> None:
    asks = [harness.request() for _ in range(3)]
    made = [harness.broker.submit_order(asked) for asked in asks]
    harness.cancel(asks[0].client_order_id)
    refs = [
        harness.ref(asked, broker_order_id=order.broker_order_id)
        for asked, order in zip(asks[:2], made[:2], strict=True)
    ]
    found = {one.client_order_id: one.state for one in harness.broker.list_orders(refs)}
    expect(found.keys() == {one.client_order_id for one in refs}, f"the list has {len(found)}")
    expect(found[asks[0].client_order_id] == OrderState.CANCELED, "the ended one is not canceled")


@case
def every_order_since_a_time(harness: Harness) -> None:
    asks = [harness.request() for _ in range(2)]
    since = harness.ref(asks[0]).since
    for asked in asks:
        harness.broker.submit_order(asked)
    harness.cancel(asks[0].client_order_id)
    found = [one.client_order_id for one in harness.broker.list_since(since)]
    expect(sorted(found) == sorted(one.client_order_id for one in asks), "the list is another")


@case
def an_order_from_elsewhere_comes_with_its_terms(harness: Harness) -> None:
    since = harness.ref(harness.request()).since
    placed = harness.external()
    found = [one for one in harness.broker.list_since(since) if one.broker_order_id == placed]
    expect(len(found) == 1, f"it is listed {len(found)} times")
    terms = found[0].terms
    expect(terms is not None and terms.qty and terms.side == "buy", f"its terms are {terms}")


# ── fills ────────────────────────────────────────────────────────────────────
@case
def fills_add_up_under_lasting_names(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal("0.5"), Decimal("10.25"))
    first = found_by(harness, asked)
    expect(first.state == OrderState.PARTIALLY_FILLED and not first.complete, "half is all")
    expect([one.qty for one in first.fills] == [Decimal("0.5")], "the first fill is another")
    harness.fill(asked.client_order_id, Decimal("1.5"), Decimal("10.20"))
    both = found_by(harness, asked)
    expect(both.state == OrderState.FILLED and both.complete, f"all of it is {both.state}")
    expect(both.filled_qty == TWO, f"{both.filled_qty} are filled")
    expect([one.price for one in both.fills] == [Decimal("10.25"), Decimal("10.20")], "the prices")
    expect(both.fills[0].trade_id == first.fills[0].trade_id, "a fill changed its name")
    names = [one.trade_id for one in both.fills]
    expect(names == sorted(set(names)), "names do not sort in sequence")
    listed = harness.broker.list_orders([harness.ref(asked)])
    expect([one.trade_id for one in listed[0].fills] == names, "a list has other fills")
    cum = [one.cum_qty for one in both.fills]
    expect(cum in ([None, None], [Decimal("0.5"), TWO]), f"cumulative quantities are {cum}")


@case
def what_is_booked_may_be_left_out_but_not_the_sum(harness: Harness) -> None:
    asked = harness.request()
    harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal(1), Decimal(10))
    refs = [harness.ref(asked, filled_qty=Decimal(1))]
    expect(harness.broker.list_orders(refs)[0].filled_qty == 1, "the sum is another")


# ── canceling ────────────────────────────────────────────────────────────────
@case
def a_cancel_is_told_by_the_next_look(harness: Harness) -> None:
    for known in (True, False):
        asked = harness.request()
        made = harness.broker.submit_order(asked)
        names = {"broker_order_id": made.broker_order_id} if known else {}
        harness.broker.cancel_order(harness.ref(asked, **names))
        expect(found_by(harness, asked).state == OrderState.CANCELED, "it is not canceled")


@case
def what_is_final_cannot_be_canceled(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, TWO, Decimal(10))
    ref = harness.ref(asked, broker_order_id=made.broker_order_id)
    expect_raises(NotCancelable, lambda: harness.broker.cancel_order(ref))


@case
def a_cancel_keeps_the_part_that_is_filled(harness: Harness) -> None:
    asked = harness.request()
    made = harness.broker.submit_order(asked)
    harness.fill(asked.client_order_id, Decimal("0.5"), Decimal(10))
    harness.broker.cancel_order(harness.ref(asked, broker_order_id=made.broker_order_id))
    found = found_by(harness, asked)
    expect(found.state == OrderState.CANCELED and not found.complete, f"it is {found.state}")
    expect(found.filled_qty == Decimal("0.5") and len(found.fills) == 1, "its fill is gone")
