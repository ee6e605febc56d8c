"""When a broker is asked for an order that got no answer, as beat and the workers ask: by tasks."""

from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest

from accounts.models import BrokerageAccount
from portfolio.models import Hold
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import BrokerOrder, BrokerRequest, NotSent, OrderRef, OutcomeUnknown
from trading.models import Order, Submission
from trading.services import reconciliation
from trading.services.executions import ABSENT
from trading.services.reconciliation import (
    look_again_after,
    submission_recover,
    submissions_sweep,
)
from trading.tests.desk import Desk

BEAT = 5


@pytest.fixture
def vendor(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A broker out there whose look-ups prove nothing."""
    made = Vendor(caps=replace(CAPS, lookup_is_proof=False))
    monkeypatch.setitem(registry._ADAPTERS, "alpaca", lambda account: made)
    return made


@pytest.fixture
def order(desk: Desk, vendor: Vendor) -> Order:
    """Sent, and nobody heard what became of it."""
    vendor.script = [OutcomeUnknown("timed out")]
    made = desk.place("buy", "10", limit="90.00", tif="gtc")
    BrokerageAccount.objects.filter(pk=made.brokerage_account_id).update(broker="alpaca")
    return desk.send(made)


def beat(desk: Desk, delay: float) -> None:
    """One sweep, and its look-ups so long after it; then the time until the next one."""
    asked: list[int] = []
    submissions_sweep(now=desk.now, wake=lambda pk: None, recover=asked.append)
    desk.wait(delay)
    for pk in asked:
        submission_recover(submission_id=pk, now=desk.now)
    desk.wait(BEAT - delay)


@pytest.mark.parametrize("phase", [0, 0.1, 4.9])
@pytest.mark.parametrize("delays", [(0.01,), (0.01, 1.5), (2, 0.1, 0.1)])
def test_what_never_arrived_is_lost_with_the_first_sweep_of_its_time(
    desk: Desk, vendor: Vendor, order: Order, phase: float, delays: tuple[float, ...], settings: Any
):
    """Fails where each miss doubles the wait, or a sweep comes a moment before a look is due."""
    claimed, late = desk.now, cycle(delays)
    desk.wait(phase)
    while desk.fresh(order).state == "submitting":
        assert desk.now - claimed <= settings.SUBMIT_LOST_AFTER + timedelta(seconds=2 * BEAT)
        began = desk.now
        beat(desk, next(late))
    assert desk.fresh(order).state == "lost"
    waited = began - claimed
    most = settings.SUBMIT_LOST_AFTER + settings.SWEEP_PERIOD
    assert settings.SUBMIT_LOST_AFTER - timedelta(seconds=max(delays)) <= waited < most
    assert settings.SUBMIT_LOOKUPS <= len(vendor.asked) <= settings.SUBMIT_LOOKUPS + 2


def test_what_is_lost_is_looked_for_ever_more_seldom(desk: Desk, vendor: Vendor, order: Order):
    for _ in range(8):
        beat(desk, 0.01)
    assert desk.fresh(order).state == "lost"
    known = len(vendor.asked)
    for _ in range(600 // BEAT):
        beat(desk, 0.01)
    assert 600 / 30 <= len(vendor.asked) - known <= 600 / 30 + 3


def test_those_that_wait_for_their_next_look_do_not_stand_before_the_new_ones(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """Fails where a sweep takes the eldest: with as many as it takes, nobody else is looked for."""
    monkeypatch.setattr(reconciliation, "SWEEP_BATCH", 1)
    vendor.script = [OutcomeUnknown("timed out")] * 2
    old, new = (desk.place("buy", "1", limit="90.00", tif="gtc") for _ in range(2))
    BrokerageAccount.objects.update(broker="alpaca")
    desk.send(old)
    for _ in range(8):
        beat(desk, 0.01)
    Submission.objects.filter(order=old).update(available_at=desk.now + timedelta(seconds=30))
    desk.send(new)
    vendor.asked.clear()
    desk.wait(BEAT)
    beat(desk, 0.01)
    assert vendor.asked == [new.client_order_id]


def test_a_cancel_is_woken_before_what_is_held_back(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reconciliation, "SWEEP_BATCH", 1)
    resting = desk.send(desk.place("buy", "1", limit="90.00", tif="gtc"))
    for _ in range(2):
        desk.place("buy", "2", limit="90.00", tif="gtc")
    desk.cancel(resting, send=False)
    desk.wait(BEAT)
    woken: list[int] = []
    submissions_sweep(now=desk.now, wake=woken.append)
    actions = dict(Submission.objects.filter(pk__in=woken).values_list("pk", "action"))
    assert [actions[pk] for pk in woken] == ["cancel", "submit"]


def test_what_may_be_called_lost_can_no_longer_leave(settings: Any):
    """An order leaves within CCXT_LEASE_WAIT of its claim, and its answer has come or timed out."""
    answered = settings.CCXT_LEASE_WAIT + timedelta(seconds=sum(settings.BROKER_TIMEOUT))
    assert answered < settings.SUBMIT_LOST_AFTER


def test_a_proof_that_comes_late_ends_what_was_lost_and_frees_its_hold(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    made = desk.place("buy", "10", limit="90.00", tif="gtc")
    BrokerageAccount.objects.filter(pk=made.brokerage_account_id).update(broker="alpaca")

    def slow(request: BrokerRequest) -> BrokerOrder:
        while desk.fresh(made).state == "submitting":
            beat(desk, 0.01)
        assert desk.fresh(made).state == "lost"
        raise NotSent("the line was closed")

    monkeypatch.setattr(vendor, "submit_order", slow)
    order = desk.send(made)
    assert (order.state, order.reject_code) == ("rejected", ABSENT)
    assert not Hold.objects.filter(order_ref=made.pk, amount__gt=0).exists()
    assert not Submission.objects.filter(order=made, done_at=None).exists()


def test_while_a_look_lasts_no_sweep_begins_another(
    desk: Desk, vendor: Vendor, order: Order, monkeypatch: pytest.MonkeyPatch
):
    again: list[int] = []

    def look(ref: OrderRef) -> None:
        vendor.asked.append(ref.client_order_id)
        desk.wait(BEAT)
        submissions_sweep(now=desk.now, wake=lambda pk: None, recover=again.append)

    monkeypatch.setattr(vendor, "find_order", look)
    desk.wait(BEAT)
    beat(desk, 0.01)
    assert (len(vendor.asked), again) == (1, [])
    beat(desk, 0.01)
    assert len(vendor.asked) == 2, "and the next sweep looks again"


def test_looks_come_with_each_sweep_until_there_were_enough_and_cancels_never_do():
    """As seconds in which nobody looks: half a beat less than it takes."""
    looks = [look_again_after("submit", misses).total_seconds() for misses in range(9)]
    assert looks == [2.5] * 5 + [7.5, 17.5, 27.5, 27.5]
    cancels = [look_again_after("cancel", tries).total_seconds() for tries in range(5)]
    assert cancels == [2.5, 7.5, 17.5, 27.5, 27.5]
    assert look_again_after("submit", 10_000).total_seconds() == 27.5
