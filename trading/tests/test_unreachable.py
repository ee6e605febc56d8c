"""The end of orders whose account cannot be reached: a key that was revoked while they rested."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import AccountStatus, AuditEvent, User
from accounts.services.connections import account_disconnect, account_reconnect
from portfolio.models import Hold
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.testing.cast import make_user
from trading.domain.orders import Changes
from trading.models import BrokerLink, Fill, Order, OrderEvent, Submission
from trading.outcomes import outcome
from trading.services.executions import LEFT
from trading.services.replacements import order_replace
from trading.services.unreachable import unreachable_release
from trading.tests import test_syncs
from trading.tests.test_syncs import KEY, Line

line, vendor = test_syncs.line, test_syncs.vendor  # fixtures
LATER = timedelta(seconds=61)
NEW_KEY = BrokerKey("PKALICE9876543210", KEY.secret_key)


@pytest.fixture
def bob(db: None) -> User:
    return make_user("bob", staff=True)


def key_dies(line: Line) -> None:
    """The broker takes the key no more, and nothing was heard for a minute."""
    line.vendor.accounts[NEW_KEY.api_key] = line.vendor.accounts.pop(KEY.api_key)
    assert not line.sync()
    assert line.account.status == AccountStatus.ERROR
    BrokerLink.objects.update(orders_at=timezone.now() - LATER)


def give_up(order: Order, bob: User, reason: str = "The key is gone.") -> Order:
    return unreachable_release(
        order=order, actor=bob, reason=reason, source="admin", now=timezone.now()
    )


def test_orders_of_a_dead_key_are_given_up_and_the_account_can_go(line: Line, bob: User):
    """Fails without the act: a cancel waits for ever, and the account is never let go."""
    order = line.send(line.place())
    theirs = line.theirs.by_client_id(order.client_order_id)
    assert theirs is not None
    line.theirs.fill(theirs, "4", "100")
    line.sync()
    key_dies(line)
    order = line.cancel(order)
    line.look(order, after=60)
    order = line.fresh(order)
    assert order.state == "pending_cancel"
    with pytest.raises(Conflict, match="ask support to give them up"):
        account_disconnect(account=line.account, actor=line.user, now=timezone.now())
    order = line.fresh(give_up(order, bob))
    assert (order.state, order.filled_qty, order.reject_code) == ("canceled", 4, LEFT)
    assert line.pocket().reserved == 0
    assert not Submission.objects.filter(done_at=None).exists()
    event = OrderEvent.objects.filter(order=order).latest("id")
    assert event.actor == bob and event.reason.startswith("The key is gone. (in our books only")
    audit = AuditEvent.objects.get(action="order.release")
    assert (audit.reason, audit.target) == ("The key is gone.", f"order:{order.pk}")
    assert audit.data == {"from": "pending_cancel", "may_live_at_broker": True}
    told = outcome(order, [], timezone.now())
    assert told is not None and "may still be open there" in told.detail
    gone = account_disconnect(account=line.account, actor=line.user, now=timezone.now())
    assert gone.status == AccountStatus.DISCONNECTED


@pytest.mark.parametrize("state", ["lost", "submitting", "accepted", "new"])
def test_one_of_any_state_that_was_sent_can_be_given_up(line: Line, bob: User, state: str):
    order = line.send(line.place())
    key_dies(line)
    Order.objects.filter(pk=order.pk).update(state=state)
    assert give_up(order, bob).state == "canceled"
    assert line.pocket().reserved == 0


def test_what_was_to_take_its_place_ends_with_it(line: Line, bob: User):
    """Fails where the successor is left: it would wait for ever, and keep its hold."""
    order = line.send(line.place())
    line.price()
    new = order_replace(
        order=order,
        changes=Changes(qty=Decimal(11)),
        quote=None,
        actor=line.user,
        source="api",
        now=timezone.now(),
    )
    key_dies(line)
    give_up(order, bob)
    assert line.fresh(new).state == "canceled" and line.pocket().reserved == 0


def test_nothing_is_given_up_that_can_be_asked_for(line: Line, bob: User):
    """No guard alone is enough: an error that is read, silence that is none of the key's."""
    order, now = line.send(line.place()), timezone.now()
    for status, heard, refused in (
        ("active", LATER, now),
        ("error", timedelta(0), now),
        ("frozen", LATER, now),
        ("error", LATER, None),
    ):
        line.account.status = status
        line.account.save(update_fields=["status"])
        BrokerLink.objects.update(orders_at=now - heard, key_refused_at=refused)
        with pytest.raises(Conflict, match="still answers"):
            give_up(order, bob)
    line.account.status = "active"
    line.account.save(update_fields=["status"])
    key_dies(line)
    with pytest.raises(InvalidInput):
        give_up(order, bob, reason=" ")
    assert line.fresh(order).is_open and Hold.objects.get(order_ref=order.pk).amount == 1000
    Order.objects.filter(pk=order.pk).update(state="pending")
    with pytest.raises(Conflict, match="never told"):
        give_up(order, bob)
    Order.objects.filter(pk=order.pk).update(state="new")
    give_up(order, bob)
    with pytest.raises(Conflict, match="already"):
        give_up(order, bob)


def test_a_refusal_of_the_key_is_over_with_the_next_answer(line: Line):
    key_dies(line)
    assert BrokerLink.objects.get().key_refused_at is not None
    line.vendor.accounts[KEY.api_key] = line.vendor.accounts.pop(NEW_KEY.api_key)
    line.sync()
    assert BrokerLink.objects.get().key_refused_at is None


def test_a_cancel_that_was_asked_for_is_asked_for_again_by_a_key_that_works(
    line: Line, bob: User, settings: Any
):
    """Fails where it works on as if nobody had minded: what was canceled would fill."""
    settings.SUBMIT_UNKNOWN_AFTER = timedelta(0)
    order = line.send(line.place())
    key_dies(line)
    order = give_up(line.cancel(order), bob)
    account_reconnect(account=line.account, key=NEW_KEY, actor=line.user, now=timezone.now())
    assert line.sync()
    assert line.fresh(order).state == "pending_cancel"
    line.look(order, after=60)
    line.sync()
    assert line.fresh(order).state == "canceled" and line.pocket().reserved == 0
    line.agree()


def test_what_filled_while_nobody_could_ask_is_booked_however_long_it_was(
    line: Line, bob: User, settings: Any
):
    """Fails where only what ended lately is asked for: no list tells of an old one."""
    settings.SYNC_OVERLAP = settings.LATE_FILLS_FOR = timedelta(0)
    order = line.send(line.place())
    theirs: Any = line.theirs.by_client_id(order.client_order_id)
    key_dies(line)
    give_up(order, bob)
    line.theirs.fill(theirs, "10", "100")
    theirs.created_at -= timedelta(days=9)
    account_reconnect(account=line.account, key=NEW_KEY, actor=line.user, now=timezone.now())
    BrokerLink.objects.update(holdings_at=None)
    assert line.sync()
    assert (line.fresh(order).state, line.fresh(order).filled_qty) == ("filled", 10)
    line.agree()


def test_a_key_that_works_takes_an_order_in_again_that_lived_on(line: Line, bob: User):
    """Fails where it stays canceled: its owner could not cancel what still fills."""
    order = line.send(line.place())
    theirs: Any = line.theirs.by_client_id(order.client_order_id)
    key_dies(line)
    give_up(order, bob)
    account_reconnect(account=line.account, key=NEW_KEY, actor=line.user, now=timezone.now())
    line.theirs.fill(theirs, "4", "100")
    assert line.sync()
    order = line.fresh(order)
    assert (order.state, order.filled_qty) == ("partially_filled", 4)
    assert (order.reject_code, order.canceled_at, order.closed_at) == ("", None, None)
    assert Hold.objects.get(order_ref=order.pk).amount == 600
    line.agree()


def test_a_key_that_works_books_what_filled_of_an_order_that_was_given_up(line: Line, bob: User):
    order = line.send(line.place())
    theirs: Any = line.theirs.by_client_id(order.client_order_id)
    key_dies(line)
    give_up(order, bob)
    line.theirs.fill(theirs, "10", "100")
    account_reconnect(account=line.account, key=NEW_KEY, actor=line.user, now=timezone.now())
    assert line.sync()
    order = line.fresh(order)
    assert (order.state, order.filled_qty, order.reject_code) == ("filled", 10, "")
    assert Fill.objects.filter(order=order).count() == 1
    line.agree()
