"""An account whose key is gone or cannot be opened here: its orders end, or wait for a look-up."""

import pytest

from accounts.models import BrokerageAccount
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import OutcomeUnknown
from trading.models import BrokerLink, Order
from trading.services import submissions
from trading.services.keys import key_check_run
from trading.services.submissions import order_look
from trading.tests.desk import Desk

WORDS = "The stored key cannot be read here. Enter the key again."


@pytest.fixture
def order(desk: Desk) -> Order:
    """Placed, and not yet sent."""
    made = desk.place("buy", "10", limit="90.00", tif="gtc")
    BrokerageAccount.objects.filter(pk=made.brokerage_account_id).update(broker="alpaca")
    return made


@pytest.fixture
def sent(desk: Desk, order: Order, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Sent while there was a key; nobody heard what became of it."""
    vendor = Vendor(caps=CAPS)
    vendor.script = [OutcomeUnknown("timed out")]
    with monkeypatch.context() as patch:
        patch.setitem(registry._ADAPTERS, "alpaca", lambda account: vendor)
        return desk.send(order)


def test_what_was_never_sent_is_refused_and_its_hold_is_free(desk: Desk, order: Order):
    order = desk.send(order)
    assert (order.state, order.reject_code) == ("rejected", "broker_auth")
    assert (order.reject_reason, desk.hold(order)) == (WORDS, 0)
    account = BrokerageAccount.objects.get(pk=order.brokerage_account_id)
    assert (account.status, account.status_reason) == ("error", WORDS)
    desk.check()


def test_a_slow_worker_without_the_key_refuses_no_order_that_another_has_sent(
    desk: Desk, order: Order, monkeypatch: pytest.MonkeyPatch
):
    """Fails where the key is looked for before the guard turns a claim away that is over."""
    slow = submissions._claim(desk.submission(order).pk, desk.now)
    assert slow is not None
    vendor = Vendor(caps=CAPS)
    with monkeypatch.context() as patch:
        patch.setitem(registry._ADAPTERS, "alpaca", lambda account: vendor)
        desk.wait(60)
        desk.sweep()
    assert (desk.fresh(order).state, len(vendor.sent)) == ("new", 1)
    submissions.order_submit(slow.order, slow)
    assert (desk.fresh(order).state, desk.hold(order)) == ("new", 900)
    assert BrokerageAccount.objects.get(pk=order.brokerage_account_id).status == "active"


def test_what_may_have_arrived_waits_with_its_hold_until_there_is_a_key(desk: Desk, sent: Order):
    for _ in range(20):
        desk.wait(5)
        desk.sweep()
    assert (desk.fresh(sent).state, desk.hold(sent)) == ("submitting", 900)
    assert desk.submission(sent).last_error == WORDS
    assert order_look(order_id=sent.pk, now=desk.now), "it is still open"


def test_a_cancel_waits_too(desk: Desk, sent: Order):
    desk.cancel(sent)
    for _ in range(3):
        desk.wait(5)
        desk.sweep()
    assert (desk.fresh(sent).state, desk.hold(sent)) == ("pending_cancel", 900)


def test_who_asks_for_a_test_of_the_key_is_told(desk: Desk, order: Order):
    link = BrokerLink.objects.create(
        brokerage_account_id=order.brokerage_account_id, created_at=desk.now
    )
    key_check_run(account_id=order.brokerage_account_id, now=desk.now)
    link.refresh_from_db()
    assert link.check_words == WORDS
