"""What the database itself refuses of orders and fills: I4, I5, I13."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from trading.models import Fill, Order, PaperFill, PaperOrder, Submission
from trading.tests.desk import Desk

D = Decimal


def copy(row: Any, **changes: Any) -> Any:
    """Insert the same row again, changed; past all services."""
    row = type(row).objects.get(pk=row.pk)
    row.pk = None
    for name, value in changes.items():
        setattr(row, name, value)
    with transaction.atomic():
        row.save(force_insert=True)
    return row


@pytest.mark.parametrize("table", ["fill", "orderevent", "paperfill"])
@pytest.mark.parametrize(
    "verb",
    ["UPDATE trading_{} SET id = id", "DELETE FROM trading_{}", "TRUNCATE trading_{} CASCADE"],
)
def test_what_happened_to_an_order_is_never_rewritten(desk: Desk, table: str, verb: str):
    """I13; fails without the trigger."""
    desk.trade("buy", "10")
    connection.check_constraints()
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(verb.format(table))


def test_an_intent_makes_one_order(desk: Desk):
    """I4: whichever code inserts it, the key of a user counts once."""
    order = desk.place("buy", "10", key="monday")
    with pytest.raises(IntegrityError, match="order_intent_once"):
        copy(order, client_order_id="another")
    copy(order, client_order_id="another", intent_key="tuesday")


def test_a_client_order_id_names_one_order_of_an_account(desk: Desk):
    order = desk.place("buy", "10")
    with pytest.raises(IntegrityError, match="order_client_id_once"):
        copy(order, intent_key="tuesday")


def test_the_venue_takes_a_client_order_id_once(desk: Desk):
    order = desk.trade("buy", "10")
    with pytest.raises(IntegrityError, match="paper_client_id_once"):
        copy(desk.paper(order))
    assert PaperOrder.objects.count() == 1


def test_a_trade_id_counts_once_in_an_account(desk: Desk):
    """I5: not even for another order."""
    fill = desk.trade("buy", "10").fills.get()
    other = desk.place("buy", "1")
    with pytest.raises(IntegrityError, match="fill_once"):
        copy(fill, order=other)
    assert Fill.objects.count() == 1


def test_a_match_of_the_venue_is_written_once(desk: Desk):
    desk.trade("buy", "10")
    with pytest.raises(IntegrityError, match="paper_fill_sequence"):
        copy(PaperFill.objects.get())


@pytest.mark.parametrize(
    "terms",
    [
        {"qty": None, "notional": None},
        {"qty": D(1), "notional": D(1)},
        {"qty": D(0)},
        {"qty": D(-1)},
        {"qty": None, "notional": D(0)},
    ],
)
def test_an_order_asks_for_a_quantity_or_an_amount(desk: Desk, terms: dict[str, Any]):
    order = desk.place("buy", "10")
    with pytest.raises(IntegrityError, match="order_qty_xor_notional"):
        copy(order, client_order_id="another", intent_key="tuesday", **terms)


@pytest.mark.parametrize(
    "terms, constraint",
    [
        ({"limit_price": None}, "order_limit_has_price"),
        ({"limit_price": D(0)}, "order_limit_positive"),
        ({"filled_qty": D(-1)}, "order_filled_positive"),
        ({"filled_notional": D(-1)}, "order_filled_positive"),
    ],
)
def test_the_figures_of_an_order_make_sense(desk: Desk, terms: dict[str, Any], constraint: str):
    desk.place("buy", "10", limit="95.00")
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Order.objects.update(**terms)


@pytest.mark.parametrize("terms", [{"qty": D(0)}, {"price": D(0)}, {"fee": D(-1)}])
def test_the_figures_of_a_fill_make_sense(desk: Desk, terms: dict[str, Any]):
    order = desk.trade("buy", "10")
    with pytest.raises(IntegrityError, match="fill_positive"):
        copy(order.fills.get(), trade_id="another", **terms)
    with pytest.raises(IntegrityError, match="paper_fill_positive"):
        copy(PaperFill.objects.get(), sequence=99, **terms)


def test_the_venue_never_fills_more_than_was_asked_for(desk: Desk):
    order = desk.trade("buy", "10")
    with pytest.raises(IntegrityError, match="paper_no_overfill"), transaction.atomic():
        PaperOrder.objects.filter(pk=desk.paper(order).pk).update(filled_qty=D("10.0000000001"))


def test_an_order_is_sent_through_one_outbox_row(desk: Desk):
    order = desk.place("buy", "10")
    with pytest.raises(IntegrityError, match="submission_once"):
        copy(desk.submission(order))
    assert Submission.objects.count() == 1
