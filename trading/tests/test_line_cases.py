"""What once went wrong between an account and its broker, each told alone.

Found by the runs of `test_lines.py`, or on the way to them.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from portfolio.models import Hold, JournalEntry
from speedtrade.lib.crash import Killed
from speedtrade.testing import market
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_book import VendorAccount
from speedtrade.testing.vendors.faults import answer, drop_after, edited, gateway
from trading.brokers.base import BrokerOrder
from trading.brokers.registry import broker_for
from trading.domain.orders import Changes, OrderState
from trading.models import BrokerLink, Difference, Fill, Order, Submission
from trading.services import syncs
from trading.services.replacements import order_replace
from trading.services.streams import stream_report
from trading.services.submissions import ref_of
from trading.tests.test_syncs import KEY, Line, connect, line, vendor  # noqa: F401 (fixtures)

D = Decimal


def unopened(alice: User, vendor: AlpacaVendor) -> Line:  # noqa: F811
    """Alice's account at the vendor, with its key here, and not read yet."""
    market.instrument("AAPL")
    theirs: VendorAccount = vendor.open_account(KEY.api_key, KEY.secret_key, cash="10450")
    theirs.fill(theirs.external("AAPL", "buy", "5"), "5", "90")
    return Line(alice, vendor, theirs, connect(alice))


# ── the first reading ────────────────────────────────────────────────────────
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["list_since", "holdings"])
@pytest.mark.parametrize("nth", [1, 2])
def test_what_moves_while_the_books_begin_counts_once(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    nth: int,
    name: str,
    after: bool,
):
    """Fails where the books begin at another moment than the one that was read."""
    line = unopened(alice, vendor)  # noqa: F811
    inner: Any = broker_for(line.account)._inner  # type: ignore[attr-defined]
    real, calls = getattr(inner, name), 0

    def moving(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        found = real(*args) if after else None
        if calls == nth:
            line.theirs.deposit("500")
            line.theirs.fill(line.theirs.external("AAPL", "buy", "2"), "2", "100")
        return found if after else real(*args)

    monkeypatch.setattr(inner, name, moving)
    assert line.sync()
    line.compare()
    line.agree()
    assert not Difference.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("told", ["first", "last"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clock_that_takes_long_to_tell_its_time_loses_and_doubles_nothing(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    told: str,
    when: str,
):
    """Fails where its clock is taken as of the middle, or what was made before is not listed."""
    with time_machine.travel(market.NOON, tick=False) as clock:
        line = unopened(alice, vendor)
        order = line.theirs.external("AAPL", "buy", "2")
        clock.shift(0.01)
        client: Any = broker_for(line.account)._inner._client  # type: ignore[attr-defined]
        read = client.read

        def slowly(path: str, **query: str) -> Any:
            if path != "/clock":
                clock.shift(0.01)
                return read(path, **query)
            time = read(path) if told == "first" else None
            clock.shift(8)
            if when == "before":
                line.theirs.fill(order, "2", "100")
            return time or read(path)

        monkeypatch.setattr(client, "read", slowly)
        assert line.sync()
        if when == "after":
            line.theirs.fill(line.theirs.external("AAPL", "buy", "1"), "1", "100")
        clock.shift(20)
        line.compare()
        line.agree()
        assert not Difference.objects.filter(ended_at=None).exists()


def test_a_death_in_the_first_reading_leaves_no_open_order_behind(
    alice: User,
    vendor: AlpacaVendor,  # noqa: F811
):
    """Fails where the orders of before come in after the books have begun."""
    line = unopened(alice, vendor)  # noqa: F811
    before = line.theirs.external("AAPL", "buy", "10", limit_price=D(100))
    with mock.patch.object(syncs, "order_import", side_effect=Killed), pytest.raises(Killed):
        line.sync()
    assert line.sync()
    order = Order.objects.get(client_order_id=before.client_order_id)
    assert (order.state, Hold.objects.get(order_ref=order.pk).amount) == ("new", 1000)
    line.theirs.fill(before, "10", "100")
    line.compare()
    line.agree()


# ── fills ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("qty", ["4", "10"])
def test_a_fill_after_the_end_that_no_stream_told_of_is_found(
    line: Line,  # noqa: F811
    settings: Any,
    qty: str,
):
    """Fails without the last look: no list has an order that is neither open nor new."""
    settings.SYNC_OVERLAP = timedelta(0)
    order = line.cancel(line.send(line.place()))
    assert order.state == "canceled"
    line.compare()
    line.sync()
    line.theirs.fill(order.client_order_id, qty, "99.50")
    line.compare()
    order = line.fresh(order)
    assert (order.filled_qty, order.state) == (D(qty), "filled" if qty == "10" else "canceled")
    line.agree()
    assert not Difference.objects.filter(ended_at=None).exists()


def test_an_old_word_does_not_end_the_wait_for_fills(line: Line):  # noqa: F811
    order = line.send(line.place())
    old = broker_for(line.account).find_order(ref_of(order))
    assert old is not None
    line.theirs.fill(order.client_order_id, "4", "99.50")
    line.theirs.cancel(order.client_order_id)
    now = timezone.now()
    ended = BrokerOrder(
        order.client_order_id, order.broker_order_id, OrderState.CANCELED, D(4), (), now
    )
    stream_report(line.account.pk, ended)
    stream_report(line.account.pk, old)
    order = line.fresh(order)
    assert order.state == "canceled" and order.fills_missing_since is not None
    line.sync()
    order = line.fresh(order)
    assert (order.filled_qty, order.fills_missing_since) == (4, None)


def test_an_order_that_is_filled_with_nothing_is_not_believed(line: Line):  # noqa: F811
    order = line.send(line.place())
    line.theirs.fill(order.client_order_id, "10", "99.50")

    def without(rows: Any) -> Any:
        return [{key: row[key] for key in row if key != "filled_qty"} for row in rows]

    line.vendor.faults.add("orders", edited(without), times=3)
    line.sync()
    assert line.fresh(order).state != "filled"
    line.vendor.faults.clear()
    line.compare()
    assert line.fresh(order).filled_qty == 10
    line.agree()


def test_the_name_of_a_made_up_fill_fits_however_long_the_orders_is(
    line: Line,  # noqa: F811
    settings: Any,
):
    elsewhere = line.theirs.external("AAPL", "buy", "2", limit_price=D(80))
    elsewhere.client_order_id = "x" * 128
    line.theirs.fill(elsewhere, "1", "80")
    line.theirs.activities.clear()
    line.sync()
    settings.FILLS_MISSING_AFTER = timedelta(0)
    line.sync()
    assert Fill.objects.get().synthetic
    line.agree()


def test_an_id_that_the_broker_has_already_is_our_own_order(line: Line):  # noqa: F811
    """Fails where that refusal is taken for one of the order."""
    taken = b'{"code": 40010001, "message": "client_order_id must be unique"}'
    line.vendor.faults.add("submit", answer(422, taken, accept=True))
    order = line.send(line.place())
    assert order.state in {"accepted", "new"} and order.broker_order_id in line.theirs.orders
    assert line.vendor.called("submit") == 1
    line.agree()


# ── cancels and replacements ─────────────────────────────────────────────────
def test_a_cancel_that_the_broker_takes_back_is_asked_for_again(
    line: Line,  # noqa: F811
    settings: Any,
):
    """Fails without `cancel_again`: the order would be in pending_cancel for ever."""
    settings.SUBMIT_UNKNOWN_AFTER = timedelta(0)
    line.vendor.cancels_at_once = False
    order = line.cancel(line.send(line.place()))
    line.theirs.set_status(order.client_order_id, "new", "order_cancel_rejected")
    line.vendor.cancels_at_once = True
    line.sync()
    line.look(order, after=6)
    assert line.fresh(order).state == "canceled"
    assert line.vendor.called("cancel") == 2
    assert line.pocket().reserved == 0


def test_a_cancel_that_is_always_taken_back_ends_in_words(line: Line, settings: Any):  # noqa: F811
    settings.SUBMIT_UNKNOWN_AFTER, settings.CANCEL_TRIES = timedelta(0), 3
    line.vendor.cancels_at_once = False
    order = line.cancel(line.send(line.place()))
    for after in (6, 30, 90, 150):
        line.theirs.set_status(order.client_order_id, "new", "order_cancel_rejected")
        line.sync()
        line.look(order, after=after)
    order = line.fresh(order)
    assert order.state == "new"
    assert order.events.order_by("-id")[0].reason == "the broker would not cancel it"
    assert line.vendor.called("cancel") == 3
    assert not Submission.objects.filter(order=order, done_at=None).exists()


def test_each_cancel_has_as_many_tries_as_the_first(line: Line, settings: Any):  # noqa: F811
    settings.CANCEL_TRIES = 2
    refusal = answer(422, b'{"code": 42210000, "message": "order is not cancelable"}')
    line.vendor.faults.add("cancel", refusal, times=3)
    order = line.cancel(line.send(line.place()))
    line.look(order, after=6)
    assert line.fresh(order).state == "new", "it counts as working again"
    assert line.cancel(line.fresh(order)).state == "pending_cancel"
    line.look(order, after=20)
    assert line.fresh(order).state == "canceled"


def test_a_broker_that_is_at_it_may_refuse_to_be_asked_again(line: Line, settings: Any):  # noqa: F811
    """Fails where each refusal counts: its answer was lost, and it had heard the first."""
    settings.CANCEL_TRIES = 1
    line.vendor.cancels_at_once = False
    order = line.send(line.place())
    refusal = answer(422, b'{"code": 42210000, "message": "order is pending cancel"}')
    line.vendor.faults.add("cancel", drop_after())
    line.vendor.faults.add("cancel", refusal, times=3)
    line.cancel(order)
    line.look(order, after=6)
    assert line.vendor.called("cancel") == 2
    assert line.fresh(order).state == "pending_cancel"
    line.theirs.set_status(order.client_order_id, "canceled", "canceled")
    line.sync()
    assert line.fresh(order).state == "canceled"


@pytest.mark.fault("F26")
def test_an_order_may_be_refused_while_it_is_being_replaced(line: Line):  # noqa: F811
    """Fails without that move in the table: both would wait for ever."""
    line.vendor.cancels_at_once = False
    order = line.send(line.place())
    line.price()
    new = order_replace(
        order=order,
        changes=Changes(limit_price=D("99.00")),
        quote=market.quote("AAPL", "99.99", "100.00", now=timezone.now()),
        actor=line.user,
        source="api",
        now=timezone.now(),
    )
    line.send(order)
    line.theirs.set_status(order.client_order_id, "rejected")
    line.sync()
    assert (line.fresh(order).state, line.fresh(new).state) == ("rejected", "canceled")
    assert line.pocket().reserved == 0
    assert not Submission.objects.filter(order=new).exists()


@pytest.mark.fault("F26")
@pytest.mark.parametrize("how", ["listed", "streamed", "never told"])
def test_a_successor_waits_for_the_fills_of_the_order_that_it_replaces(
    line: Line,  # noqa: F811
    settings: Any,
    how: str,
):
    """Fails where what has filled, and is not booked yet, counts as left to do: 14 would come."""
    line.vendor.cancels_at_once = False
    old = line.send(line.place())
    line.price()
    new = order_replace(
        order=old,
        changes=Changes(limit_price=D("99.00")),
        quote=market.quote("AAPL", "99.99", "100.00", now=timezone.now()),
        actor=line.user,
        source="api",
        now=timezone.now(),
    )
    line.send(old)
    line.theirs.fill(old.client_order_id, "4", "99.50")
    line.theirs.cancel(old.client_order_id)
    hidden, line.theirs.activities = line.theirs.activities, []
    line.sync()
    assert line.fresh(old).state == "replaced" and line.fresh(old).filled_qty == 0
    assert not Submission.objects.filter(order=new).exists()
    assert line.pocket().reserved == 990, "nobody else takes what it is for"
    if how == "never told":
        settings.FILLS_MISSING_AFTER = timedelta(0)
    else:
        line.theirs.activities = hidden
    if how == "streamed":
        told = broker_for(line.account).find_order(ref_of(line.fresh(old)))
        assert told is not None and told.fills
        stream_report(line.account.pk, told)
    line.sync()
    assert (line.fresh(old).filled_qty, line.fresh(new).qty) == (4, 6)
    line.theirs.fill(line.send(new).client_order_id, "6", "99.00")
    line.theirs.activities = hidden + line.theirs.activities * (how == "never told")
    line.compare()
    assert line.fresh(new).state == "filled" and line.pocket().reserved == 0
    line.agree()


# ── money ────────────────────────────────────────────────────────────────────
def test_a_deposit_is_found_however_long_the_activities_were_away(
    line: Line,  # noqa: F811
    settings: Any,
):
    """Fails where the last list of orders says since when."""
    settings.SYNC_OVERLAP = settings.EVENTS_LATE = timedelta(0)
    line.theirs.deposit("500")
    line.vendor.faults.add("activities", gateway(502, accept=False), times=9)
    for _ in range(3):
        BrokerLink.objects.update(holdings_at=timezone.now() - timedelta(minutes=2))
        assert not line.sync()
    line.vendor.faults.clear()
    assert line.sync()
    line.agree()


def test_a_fee_of_more_than_is_held_does_not_stop_the_rest(line: Line):  # noqa: F811
    market.instrument("BTC/USD")
    line.theirs.entry("CFEE", "0", symbol="BTC/USD", qty=D("-0.0025"))
    line.theirs.deposit("500")
    line.compare()
    line.agree()
    assert not JournalEntry.objects.filter(reference__startswith="brought:fee").exists()
