"""Rows of several tables in one statement say what `save` would have said."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS

from portfolio.models import Hold, LedgerAccount
from speedtrade.lib.rows import _update, row_save, rows_add, rows_update, rows_write
from trading.models import Order, OrderEvent, PaperFill, PaperOrder, Submission
from trading.services.outbox import submission_new
from trading.tests.desk import Desk

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def parts(desk: Desk, reserved: str = "10") -> tuple[Order, OrderEvent, Hold, LedgerAccount]:
    """A new order that nobody has written, with what belongs to it."""
    cash = LedgerAccount.objects.get(brokerage_account=desk.account, kind="cash")
    order = Order(
        brokerage_account=desk.account,
        placed_by=desk.user,
        instrument=desk.instruments["AAPL"],
        client_order_id="mine",
        intent_key="key:mine",
        side="buy",
        order_type="market",
        time_in_force="day",
        qty=Decimal("0.1"),
        price_bound=Decimal(100),
        risk_notional=Decimal(10),
        fee_rate=Decimal(0),
        state="pending",
        created_at=NOW,
        updated_at=NOW,
    )
    event = OrderEvent(at=NOW, new_state="pending", source="api", data={"it's": ["%s", "ü"]})
    hold = Hold(ledger_account=cash, amount=Decimal(reserved), created_at=NOW, updated_at=NOW)
    return order, event, hold, cash


def test_all_rows_are_there_with_their_keys_and_every_field_comes_back(desk: Desk):
    order, event, hold, cash = parts(desk)
    cash.reserved = Decimal("12.5")
    submission = submission_new(NOW)
    rows_write(
        order,
        followers=((event, "order"), (hold, "order_ref"), (submission, "order")),
        changed=[(cash, ("reserved",))],
    )
    for row in (order, event, hold, submission, cash):
        read = type(row).objects.get(pk=row.pk)
        for field in row._meta.concrete_fields:
            assert getattr(read, field.attname) == getattr(row, field.attname), field
    assert event.order_id == hold.order_ref == submission.order_id == order.pk
    order.reject_reason = "a second save writes the same row"
    order.save()
    assert Order.objects.count() == 1


@pytest.mark.parametrize("wrong", ["twice", "negative"])
def test_what_the_database_refuses_leaves_nothing(desk: Desk, wrong: str):
    order, event, hold, cash = parts(desk, "-1" if wrong == "negative" else "1")
    if wrong == "twice":
        first, other, *_ = parts(desk)
        rows_write(first, [(other, "order")])
    before = (Order.objects.count(), OrderEvent.objects.count(), Hold.objects.count())
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_write(order, [(event, "order"), (hold, "order_ref")], [(cash, ("reserved",))])
    assert before == (Order.objects.count(), OrderEvent.objects.count(), Hold.objects.count())
    assert not Submission.objects.exists()


def test_it_is_one_statement(desk: Desk, django_assert_num_queries):
    order, event, hold, cash = parts(desk)
    with django_assert_num_queries(1):
        rows_write(order, [(event, "order"), (hold, "order_ref")], [(cash, ("reserved",))])


def test_fields_of_many_rows_are_written_and_no_others(desk: Desk):
    pockets = list(LedgerAccount.objects.filter(brokerage_account=desk.account).order_by("pk"))
    before = {pocket.pk: (pocket.kind, pocket.balance) for pocket in pockets}
    assert len(pockets) > 1
    for number, pocket in enumerate(pockets[:-1], start=1):
        pocket.version, pocket.kind = number * 10, "changed, and not to be written"
        pocket.reserved = Decimal(0)
    rows_update(pockets[:-1], ("reserved", "version"))
    rows_update([], ("reserved",))
    for number, pocket in enumerate(pockets[:-1], start=1):
        read = LedgerAccount.objects.get(pk=pocket.pk)
        assert (read.version, read.kind, read.balance) == (number * 10, *before[pocket.pk])
    last = LedgerAccount.objects.get(pk=pockets[-1].pk)
    assert (last.kind, last.balance) == before[last.pk]
    with pytest.raises(IntegrityError), transaction.atomic():
        pockets[0].kind, pockets[0].reserved = before[pockets[0].pk][0], Decimal(-1)
        rows_update(pockets[:1], ("reserved",))


def paper_order(desk: Desk, **terms: object) -> PaperOrder:
    """An order at the venue that nobody has written."""
    return PaperOrder(
        account_ref=desk.account.pk,
        client_order_id="mine",
        instrument=desk.instruments["AAPL"],
        side="buy",
        order_type="market",
        time_in_force="day",
        price_bound=Decimal(100),
        fee_rate=Decimal(0),
        status="new",
        received_at=NOW,
        updated_at=NOW,
        **terms,
    )


def same(row: Model) -> None:
    """The row reads back as it was written, in every field."""
    read = type(row)._default_manager.get(pk=row.pk)
    for field in row._meta.concrete_fields:
        assert getattr(read, field.attname) == getattr(row, field.attname), field


MOST = Decimal(10) ** 18 - Decimal(10) ** -10


def test_a_saved_row_has_every_field_as_save_would_write_it(desk: Desk):
    order, *_ = parts(desk)
    rows_write(order)
    other, *_ = parts(desk)
    other.client_order_id = other.intent_key = "other"
    rows_write(other)
    order.filled_qty, order.filled_notional = MOST, Decimal("0.01")
    order.reject_reason = "it's 100 % \\ ü, " + "x" * 280
    order.replaces, order.accepted_at, order.max_qty = other, NOW, None
    order.external = True
    row_save(order)
    same(order)
    order.replaces = order.accepted_at = None
    row_save(order)
    same(order)
    same(other)


def test_a_saved_row_is_refused_as_save_would_refuse_it(desk: Desk):
    order, *_ = parts(desk)
    rows_write(order)
    for field, value, error in (
        ("broker_order_id", "x" * 65, DataError),  # not cut off: an id in part is no id
        ("reject_reason", "x" * 301, DataError),
        ("filled_qty", MOST * 10, DataError),
        ("filled_qty", Decimal(-1), IntegrityError),
        ("notional", Decimal(1), IntegrityError),
        ("state", None, IntegrityError),
    ):
        changed = Order.objects.get(pk=order.pk)
        setattr(changed, field, value)
        for write in (row_save, Order.save):
            with pytest.raises(error), transaction.atomic():
                write(changed)
    same(order)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_rows_without_their_keys_are_added_as_they_are(desk: Desk, count: int):
    order = paper_order(desk, qty=MOST)
    rows_write(order)
    same(order)
    rows_add([])
    rows_add(
        [
            PaperFill(
                order=order,
                sequence=number,
                qty=MOST,
                price=Decimal("0.0000000001"),
                fee=Decimal(0),
                evidence={"it's": ["%s", None, {"ü": number}]},
                executed_at=NOW,
            )
            for number in range(count)
        ]
    )
    found = list(PaperFill.objects.order_by("sequence"))
    assert [fill.sequence for fill in found] == list(range(count))
    for fill in found:
        assert (fill.order_id, fill.qty, fill.fee) == (order.pk, MOST, Decimal(0))
        assert fill.price == Decimal("0.0000000001")
        assert fill.evidence == {"it's": ["%s", None, {"ü": fill.sequence}]}
        assert fill.executed_at == NOW


def test_of_rows_to_add_all_are_there_or_none(desk: Desk):
    order = paper_order(desk, notional=Decimal(5))
    rows_write(order)
    fills = [
        PaperFill(order=order, sequence=1, qty=1, price=1, fee=fee, evidence={}, executed_at=NOW)
        for fee in (Decimal(0), Decimal(0))
    ]
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_add(fills)
    fills[1].sequence, fills[1].fee = 2, None
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_add(fills)
    fills[1].fee = MOST * 1000
    with pytest.raises(DataError), transaction.atomic():
        rows_add(fills)
    assert not PaperFill.objects.exists()


def test_the_texts_of_an_order_are_short_enough_to_be_kept_by_the_driver():
    names = tuple(field.name for field in Order._meta.concrete_fields if not field.primary_key)
    text = _update(Order, names, 1)
    assert len(text) <= MAX_CACHED_STATEMENT_LENGTH
    assert text.count("%s") <= MAX_CACHED_STATEMENT_PARAMS


def test_a_venue_that_matches_nothing_counts_no_fills(desk: Desk, django_assert_num_queries):
    order = paper_order(desk, qty=Decimal(5), filled_qty=Decimal(1))
    rows_write(order)
    with django_assert_num_queries(0):
        assert desk.venue._fills(order, (), desk.quote("1", "2"), NOW) == []
