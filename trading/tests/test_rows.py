"""Rows of several tables in one statement say what `save` would have said."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from portfolio.models import Hold, LedgerAccount
from speedtrade.lib.rows import rows_update, rows_write
from trading.models import Order, OrderEvent, Submission
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
