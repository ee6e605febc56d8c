"""The guard: more than was placed never leaves, and halts trading by itself; cancels pass."""

import logging
import re
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEvent
from speedtrade.datafolder import PROJECT
from speedtrade.lib.errors import DomainError
from speedtrade.lib.ratelimit import rate_burst, rate_per_day
from speedtrade.testing.cast import account_of
from speedtrade.testing.races import race
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import IdScope, NotSent, OutcomeUnknown
from trading.models import Order, Submission, TradingHalt
from trading.services import submissions
from trading.services.guard import account_sends_per_second, send_proved_absent
from trading.services.halts import trading_halt, trading_resume
from trading.tests.desk import Desk

D = Decimal
FORGETFUL = replace(CAPS, id_scope=IdScope.NONE, lookup_is_proof=False)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A broker that takes the same id as often as it is sent."""
    made = Vendor(caps=FORGETFUL)
    monkeypatch.setitem(registry._ADAPTERS, "paper", lambda account: made)
    return made


@pytest.fixture
def resending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: a claim that hands out what has been claimed before, again and again.

    It forgets the kill switch too, so that what stops it stands behind it.
    """
    honest = submissions._claim

    def claim(submission_id: int, now: Any) -> Submission:
        rows = Submission.objects.select_related("order__instrument", "order__brokerage_account")
        return honest(submission_id, now) or rows.get(pk=submission_id)

    monkeypatch.setattr(submissions, "_claim", claim)
    monkeypatch.setattr(submissions, "_held_back", lambda *args: False)


def send(desk: Desk, order: Order) -> None:
    submissions.submission_process(submission_id=desk.submission(order).pk, now=desk.now)


def halted() -> str:
    """The reason of the halt, or nothing."""
    halt = TradingHalt.objects.filter(lifted_at=None).first()
    return halt.reason if halt else ""


def refusal(desk: Desk) -> str:
    with pytest.raises(DomainError) as refused:
        desk.place("buy", "1")
    return refused.value.code


# ── F34: the runaway sender ──────────────────────────────────────────────────
@pytest.mark.fault("F34")
def test_f34_a_runaway_sender_is_halted_within_a_second_and_ten_orders(
    desk: Desk, vendor: Vendor, resending: None, caplog: pytest.LogCaptureFixture
):
    """Fails without the guard: a hundred orders for one that was placed."""
    resting, mad, waiting = (desk.place("buy", "1", limit="90.00") for _ in range(3))
    for order in (resting, mad):
        send(desk, order)
    assert not halted()
    begun = time.monotonic()
    for _ in range(100):
        send(desk, mad)
        if halted():
            break
    assert time.monotonic() - begun < 1
    for _ in range(100):
        send(desk, mad)
        send(desk, waiting)
    extra = len(vendor.sent) - 2
    assert extra <= 10, "the figure that must be met"
    assert extra == 0, "and what this guard gives: it asks before, not after"
    assert "sent a second time" in halted()
    assert refusal(desk) == "trading_halted"
    # Somebody is told, and the audit says whose order it was.
    [alarm] = [row for row in caplog.records if row.message == "runaway_halted" and row.first]  # type: ignore[attr-defined]
    assert (alarm.levelno, alarm.order) == (logging.ERROR, mad.pk)  # type: ignore[attr-defined]
    event = AuditEvent.objects.get(action="trading.halt")
    assert (event.actor, event.reason) == (None, halted())
    assert event.data == {"order": mad.pk, "account": desk.account.pk}
    # What had been sent is where it was; what had not waits for the end of the halt.
    assert (desk.fresh(mad).state, desk.fresh(waiting).state) == ("new", "pending")
    desk.check()


@pytest.mark.fault("F34")
def test_f34_cancels_and_look_ups_pass_while_the_guard_has_halted_trading(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    vendor.script = [None, (True, OutcomeUnknown("timed out"))]
    resting, unknown = (desk.send(desk.place("buy", "1", limit="90.00")) for _ in range(2))
    broker = registry.broker_for(desk.account)
    submissions.order_submit(resting, desk.submission(resting))  # once more: the bug
    assert halted() and broker is vendor
    assert desk.cancel(resting).state == "canceled"
    desk.wait(5)
    desk.sweep()
    assert desk.fresh(unknown).state == "new", "it was looked up and adopted"
    assert vendor.sent == [resting.client_order_id, unknown.client_order_id]


@pytest.mark.fault("F34")
def test_f34_the_guard_and_the_switch_need_neither_redis_nor_a_broker(
    desk: Desk, vendor: Vendor, resending: None, monkeypatch: pytest.MonkeyPatch
):
    order = desk.place("buy", "1", limit="90.00")
    send(desk, order)

    def away(*args: Any, **options: Any) -> None:
        raise redis.ConnectionError("nobody is there")

    def unreachable(account: Any) -> None:
        raise AssertionError("a broker was asked")

    monkeypatch.setattr(redis.connection.Connection, "connect", away)
    monkeypatch.setattr(redis.Redis, "execute_command", away)
    send(desk, order)
    assert halted()
    monkeypatch.setitem(registry._ADAPTERS, "paper", unreachable)
    call_command("resume_trading")
    assert not halted()
    call_command("halt_trading", "By hand.")
    assert halted() == "By hand."


@pytest.mark.django_db(transaction=True)
@pytest.mark.serial
@pytest.mark.fault("F34")
def test_f34_of_many_workers_with_one_order_one_sends(vendor: Vendor):
    """Fails without the lock of the row: each would read that nobody has sent it."""
    from speedtrade.testing.cast import make_user
    from speedtrade.testing.market import instrument, put_quote, quote
    from trading.domain.orders import OrderIntent, OrderType, Side, TimeInForce
    from trading.services.orders import order_place

    alice = make_user("alice")
    put_quote(quote("AAPL", "99.99", "100.00", now=timezone.now()))
    order = order_place(
        account=account_of(alice),
        instrument=instrument("AAPL"),
        intent=OrderIntent(
            "AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, qty=D(1), limit_price=D(90)
        ),
        quote=None,
        key=None,
        placed_by=alice,
        source="api",
        now=timezone.now(),
    ).order
    submission = submissions._claim(Submission.objects.get(order=order).pk, timezone.now())
    assert submission is not None
    race([lambda: submissions.order_submit(order, submission)] * 8)
    assert vendor.sent == [order.client_order_id]
    assert "a second time" in halted()


def test_what_is_over_before_it_was_sent_does_not_leave(desk: Desk, vendor: Vendor):
    """Fails where a worker goes on that was slow: its order was given up meanwhile."""
    order = desk.place("buy", "1", limit="90.00")
    taken = submissions._claim(desk.submission(order).pk, desk.now)
    assert taken is not None
    Submission.objects.filter(pk=taken.pk).update(done_at=desk.now)
    assert not send_proved_absent(submission=taken, claim_at=desk.now)
    submissions.order_submit(desk.fresh(order), taken)
    assert (vendor.sent, halted()) == ([], "")


# ── what else is more than was placed ────────────────────────────────────────
@pytest.mark.parametrize(
    "wrong",
    [{"qty": D(1000)}, {"qty": None, "notional": D(1)}, {"side": "sell"}, {"account_id": 0}],
)
def test_an_order_for_something_else_than_was_placed_does_not_leave(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
):
    right = submissions.request_of
    monkeypatch.setattr(submissions, "request_of", lambda order: replace(right(order), **wrong))
    order = desk.send(desk.place("buy", "1", limit="90.00"))
    assert (vendor.sent, order.state) == ([], "pending")
    assert "something else than was placed" in halted()


def test_an_order_without_a_submission_does_not_leave(desk: Desk, vendor: Vendor):
    order, other = desk.place("buy", "1"), desk.place("buy", "1")
    Submission.objects.filter(order=order).delete()
    submissions.order_submit(desk.fresh(order), desk.submission(other))
    assert vendor.sent == []
    assert "nobody placed" in halted()


def test_more_fresh_orders_of_one_account_than_anybody_can_place_halt_trading(
    desk: Desk, vendor: Vendor, settings: Any
):
    settings.GUARD_SENDS_PER_SECOND = 3
    orders = [desk.place("buy", "1", limit="90.00") for _ in range(5)]
    states = [desk.send(order).state for order in orders]
    assert states == ["new", "new", "new", "pending", "pending"]
    assert "one account left in one second" in halted()
    # Whoever lets trading go on has looked: what was placed leaves then, however many it is.
    trading_resume(actor=desk.user, reason="They are meant.", now=desk.now)
    desk.wait(15)
    desk.sweep()
    assert [desk.fresh(order).state for order in orders] == ["new"] * 5
    assert len(vendor.sent) == 5
    assert not halted()


def test_a_backlog_may_leave_at_once(desk: Desk, vendor: Vendor, settings: Any):
    """Fails where only the pace counts: the end of an outage would be taken for a runaway."""
    settings.GUARD_SENDS_PER_SECOND = 3
    orders = [desk.place("buy", "1", limit="90.00") for _ in range(20)]
    desk.wait(2)
    assert {desk.send(order).state for order in orders} == {"new"}
    assert not halted()


def test_each_account_has_a_count_of_its_own(
    desk: Desk, vendor: Vendor, settings: Any, charlie: Any
):
    settings.GUARD_SENDS_PER_SECOND = 3
    other = Desk(charlie, account_of(charlie), desk.clock)
    for one in (desk, other):
        for _ in range(3):
            assert one.send(one.place("buy", "1", limit="90.00")).state == "new"
    assert not halted()


def test_the_count_of_everybody_halts_trading(desk: Desk, vendor: Vendor, settings: Any):
    settings.GUARD_SENDS_ALL = 2
    orders = [desk.place("buy", "1", limit="90.00") for _ in range(4)]
    for order in orders[:2]:
        desk.send(order)
    desk.wait(1.001)
    assert desk.send(orders[2]).state == "new", "a second later it counts anew"
    late = desk.place("buy", "1", limit="90.00")
    assert desk.send(late).state == "new"
    assert desk.send(orders[3]).state == "pending"
    assert "too many orders left in one second" in halted()


def test_the_count_of_a_day_halts_trading_and_begins_anew_the_next_day(
    desk: Desk, vendor: Vendor, settings: Any
):
    settings.GUARD_SENDS_PER_DAY = 2
    for _ in range(2):
        desk.send(desk.place("buy", "1", limit="90.00", tif="gtc"))
    desk.wait(24 * 3600)
    desk.quote("99.99", "100.00")
    for _ in range(2):
        assert desk.send(desk.place("buy", "1", limit="90.00", tif="gtc")).state == "new"
    assert not halted()
    third = desk.send(desk.place("buy", "1", limit="90.00", tif="gtc"))
    assert (third.state, "in one day" in halted()) == ("pending", True)
    trading_resume(actor=desk.user, reason="They are meant.", now=desk.now)
    desk.wait(15)
    desk.sweep()
    assert desk.fresh(third).state == "new", "whoever lets trading go on has looked"


# ── what is none ─────────────────────────────────────────────────────────────
def test_an_order_that_was_proved_unsent_may_be_sent_again(desk: Desk, vendor: Vendor):
    vendor.script = [NotSent("no route"), NotSent("no route")]
    order = desk.place("buy", "1", limit="90.00")
    for _ in range(2):
        assert desk.send(order).state == "pending"
        desk.wait(20)
    assert desk.send(order).state == "new"
    assert len(vendor.sent) == 3
    assert not halted()


def test_an_order_that_was_caught_by_a_halt_is_kept_however_long_it_takes(
    desk: Desk, vendor: Vendor, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    """Fails where it counts as one that could not be sent: those are given up after a while."""
    order = desk.place("buy", "1", limit="90.00", tif="gtc")
    desk.wait(settings.SUBMIT_FRESH.total_seconds() + 1)
    monkeypatch.setattr(submissions, "_held_back", lambda *args: False)  # it had been claimed
    trading_halt(actor=None, reason="Between claim and call.", now=desk.now)
    assert desk.send(order).state == "pending"
    assert vendor.sent == []
    trading_resume(actor=None, reason="Go on.", now=desk.now)
    desk.wait(15)
    desk.sweep()
    assert desk.fresh(order).state == "new"


def test_the_guard_lets_through_whatever_the_doors_let_in(settings: Any):
    """A user at the limit of placing must not halt everybody."""
    assert account_sends_per_second() > rate_burst(settings.RATE_ORDERS_PER_USER)
    settings.RATE_ORDERS_PER_USER = "100000/minute;5000/second"
    assert account_sends_per_second() == 10_000


@pytest.mark.parametrize(
    "rate, burst, day",
    [
        ("300/minute;100/second", 100, 432_000),
        ("20/minute;120/hour", 20, 2880),
        ("5/5minute", 5, 1440),
        ("7/2day", 7, 7),
    ],
)
def test_what_a_rate_lets_pass_at_most(rate: str, burst: int, day: int):
    assert (rate_burst(rate), rate_per_day(rate)) == (burst, day)


def test_nothing_sends_past_the_guard():
    """One call in all of the code that runs, and the guard stands before it.

    The line of the simulation passes on what came to it through that one.
    """
    sends = []
    for place in ("accounts", "marketdata", "portfolio", "trading", "speedtrade"):
        for file in sorted(Path(PROJECT, place).rglob("*.py")):
            shown = file.relative_to(PROJECT).as_posix()
            if "/tests/" in shown or "/testing/" in shown or "conformance" in shown:
                continue
            sends += [shown] * len(re.findall(r"\.submit_order\(", file.read_text()))
    assert sends == [
        "trading/brokers/gate.py",
        "trading/services/submissions.py",
        "trading/simulation/line.py",
    ]


def test_a_send_costs_the_same_however_many_there_were(
    desk: Desk, vendor: Vendor, django_assert_max_num_queries: Any
):
    from trading.services.guard import Leave, send_admit

    for _ in range(3):
        order = desk.place("buy", "1", limit="90.00")
        request = submissions.request_of(order)
        assert submissions._claim(desk.submission(order).pk, desk.now) is not None
        with django_assert_max_num_queries(7):  # two of them begin and end the transaction
            leave = send_admit(order=order, request=request, claim=1, now=desk.now)
        assert leave == Leave.GO
