"""Replacing an order: the old one is out of the market before the new one is in it."""

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.testing.cast import ApiClient
from trading.brokers.paper.venue import BrokerReport
from trading.domain.orders import Changes, TimeInForce
from trading.domain.risk import Denied
from trading.models import Order, PaperOrder, Submission
from trading.services.orders import order_cancel
from trading.services.replacements import ReplaceUnsupported, order_replace

D = Decimal
pytestmark = pytest.mark.django_db


def replace(desk: Any, order: Order, **changes: Any) -> Order:
    return order_replace(
        order=order,
        changes=Changes(**changes),
        quote=None,
        actor=desk.user,
        source="api",
        now=desk.now,
    )


def test_a_new_limit_takes_the_old_orders_place(desk: Any) -> None:
    old = desk.trade("buy", "10", limit="95.00", tif="gtc")
    cash = desk.cash

    new = replace(desk, old, limit_price=D("96.00"))

    assert desk.fresh(old).state == "pending_replace"
    assert not Submission.objects.filter(order=new).exists()  # nobody is told of it yet
    assert desk.reserved == D("960")  # one hold for the two of them, at the dearer terms
    desk.send(old)
    desk.work(new)
    assert (desk.fresh(old).state, desk.fresh(new).state) == ("replaced", "new")
    assert desk.fresh(new).limit_price == D("96.00")
    assert (desk.hold(old), desk.hold(new), desk.reserved) == (0, D("960"), D("960"))
    desk.market("95.98", "95.99")
    assert desk.fresh(new).state == "filled"
    assert desk.cash == cash - D("959.90")
    desk.check()


@pytest.mark.fault("F26")
def test_what_fills_while_the_change_is_under_way_counts_against_the_new_total(desk: Any) -> None:
    """Fails without the late-fill correction in replacement_settle: 14 shares would be bought."""
    old = desk.trade("buy", "10", limit="99.00", tif="gtc")

    new = replace(desk, old, qty=D("12"), limit_price=D("98.00"))
    desk.market("98.98", "98.99", "4")  # four of the old order, before its cancel arrives
    desk.send(old)
    desk.work(new)
    desk.market("97.98", "97.99", "50")

    assert desk.fresh(old).state == "replaced"
    assert (desk.fresh(old).filled_qty, desk.fresh(new).filled_qty) == (4, 8)
    assert desk.shares() == 12
    assert desk.reserved == 0
    desk.check()


def test_a_word_that_nobody_knows_takes_nothing_off_a_successor(desk: Any) -> None:
    """Fails where the newest event of that state counts: four of eight would be taken off again."""
    old = desk.trade("buy", "10", limit="99.00", tif="gtc")
    desk.market("98.98", "98.99", "4")
    new = replace(desk, old, qty=D("12"), limit_price=D("98.00"))
    report = dataclasses.replace(desk.reports[-1].order, state=None, raw_status="of tomorrow")
    desk.tell(BrokerReport(old.brokerage_account_id, report))
    desk.send(old)
    desk.work(new)
    desk.market("97.98", "97.99", "50")
    assert (desk.fresh(old).filled_qty, desk.fresh(new).filled_qty) == (4, 8)
    desk.check()


@pytest.mark.fault("F26")
def test_an_order_that_fills_first_leaves_no_successor(desk: Any) -> None:
    old = desk.trade("buy", "10", limit="99.00", tif="gtc")

    new = replace(desk, old, limit_price=D("98.00"))
    desk.market("98.98", "98.99", "10")
    desk.send(old)

    assert (desk.fresh(old).state, desk.fresh(new).state) == ("filled", "canceled")
    assert desk.reserved == 0
    assert PaperOrder.objects.count() == 1
    desk.check()


def test_a_successor_that_the_user_cancels_is_never_sent(desk: Any) -> None:
    old = desk.trade("buy", "10", limit="95.00", tif="gtc")
    new = replace(desk, old, qty=D("20"))

    order_cancel(order=new, actor=desk.user, source="api", now=desk.now)
    desk.send(old)

    assert (desk.fresh(old).state, desk.fresh(new).state) == ("replaced", "canceled")
    assert desk.reserved == 0
    assert PaperOrder.objects.count() == 1
    desk.check()


def test_late_fills_that_leave_too_little_cash_end_the_successor(desk: Any) -> None:
    """The books would break without the check in _why_not: the report could never be applied."""
    old = desk.trade("buy", "500", limit="99.00", tif="gtc")
    new = replace(desk, old, qty=D("1020"), limit_price=D("98.00"))  # all but 40 dollars
    desk.market("98.98", "99.00", "400")

    desk.send(old)

    assert (desk.fresh(old).state, desk.fresh(new).state) == ("replaced", "canceled")
    assert desk.reserved == 0
    desk.check()


def test_a_sale_can_be_changed_too(desk: Any) -> None:
    desk.trade("buy", "10")
    old = desk.trade("sell", "10", limit="120.00", tif="gtc")

    new = replace(desk, old, qty=D("6"), time_in_force=TimeInForce.DAY)
    desk.send(old)
    desk.work(new)

    assert desk.fresh(new).state == "new"
    assert desk.pocket("position", "AAPL").reserved == 6
    desk.check()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, InvalidInput),
        ({"limit_price": D("95.00")}, InvalidInput),
        ({"limit_price": D("95.001")}, Denied),
        ({"qty": D("100000")}, Denied),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    desk: Any, changes: dict[str, Any], error: type[Exception]
) -> None:
    old = desk.trade("buy", "10", limit="95.00", tif="gtc")

    with pytest.raises(error):
        replace(desk, old, **changes)

    assert desk.fresh(old).state == "new"
    assert Order.objects.count() == 1
    assert desk.reserved == D("950")


def test_a_final_order_and_one_in_dollars_cannot_be_changed(desk: Any) -> None:
    done = desk.trade("buy", "1")
    with pytest.raises(Conflict):
        replace(desk, done, qty=D("2"))
    dollars = desk.trade("buy", notional="100", limit="90.00", tif="gtc")
    with pytest.raises(ReplaceUnsupported):
        replace(desk, dollars, limit_price=D("91.00"))


def test_a_wish_for_extended_hours_that_never_meant_anything_is_left_behind(desk: Any) -> None:
    old = desk.trade("buy", "10", limit="95.00", tif="gtc")
    Order.objects.update(extended_hours=True)
    new = replace(desk, desk.fresh(old), limit_price=D("96.00"))
    assert (new.state, new.extended_hours) == ("pending", False)


def test_the_api_answers_with_the_successor(desk: Any, charlie: Any) -> None:
    order = desk.trade("buy", "10", limit="95.00", tif="gtc")
    api = ApiClient(desk.user)

    answer = api("PATCH", f"/api/v1/orders/{order.pk}", {"limit_price": "94.00", "qty": "11"})

    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert body["id"] != order.pk
    assert (body["limit_price"], body["qty"], body["status"]) == ("94.00", "11", "pending_new")
    stranger = ApiClient(charlie)("PATCH", f"/api/v1/orders/{order.pk}", {"qty": "1"})
    assert stranger.status_code == 404
    again = api("PATCH", f"/api/v1/orders/{order.pk}", {"qty": "12"})
    assert (again.status_code, again.json()["code"]) == (409, "order_busy")
