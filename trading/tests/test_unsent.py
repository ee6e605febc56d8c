"""A worker that dies between the claim and the call: what never left is sent, once, by another."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from speedtrade.lib.crash import Killed
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import Capabilities, IdScope
from trading.models import Order, OrderEvent, TradingHalt
from trading.services import reconciliation, submissions
from trading.services.halts import trading_halt, trading_resume
from trading.services.unsent import unsent_take_back
from trading.tests.desk import Desk

UNSURE = replace(CAPS, lookup_is_proof=False)
FORGETFUL = replace(UNSURE, id_scope=IdScope.NONE)
CAPS_OF_ALL = [CAPS, UNSURE, FORGETFUL]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A broker whose look-ups prove nothing, and that takes the same id as often as it is sent."""
    made = Vendor(caps=FORGETFUL)
    monkeypatch.setitem(registry._ADAPTERS, "paper", lambda account: made)
    return made


def at(point: str, do: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have something happen to the next worker that comes to the point."""
    waiting = [do]

    def crash_point(name: str) -> None:
        if name == point and waiting:
            waiting.pop()()

    monkeypatch.setattr(submissions, "crash_point", crash_point)


def die() -> None:
    raise Killed()


@pytest.fixture
def killed_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Order]:
    """An order whose worker died at the point."""

    def killed(point: str) -> Order:
        order = desk.place("buy", "10", limit="90.00", tif="gtc")
        at(point, die, monkeypatch)
        with pytest.raises(Killed):
            desk.send(order)
        assert desk.fresh(order).state == "submitting"
        return order

    return killed


def halted() -> bool:
    return TradingHalt.objects.filter(lifted_at=None).exists()


@pytest.mark.fault("F2")
@pytest.mark.parametrize("caps", CAPS_OF_ALL)
def test_what_was_claimed_and_never_left_is_sent_once_by_another_worker(
    desk: Desk, vendor: Vendor, killed_at: Any, caps: Capabilities, settings: Any
):
    """Fails without the take-back: half a minute later it is lost, and nobody ever sent it."""
    vendor.caps = caps
    order = killed_at("after_claim")
    desk.wait(settings.SUBMIT_UNKNOWN_AFTER.total_seconds() - 0.001)
    assert desk.sweep() == 0
    desk.wait(0.001)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("new", [order.client_order_id])
    assert vendor.asked == [], "there was nothing to look up"
    for _ in range(20):
        desk.wait(5)
        desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("new", [order.client_order_id])
    assert list(OrderEvent.objects.filter(order=order).values_list("new_state", flat=True)) == [
        "pending",
        "submitting",
        "pending",
        "submitting",
        "new",
    ]
    desk.check()


@pytest.mark.parametrize("caps", [UNSURE, FORGETFUL])
def test_what_may_have_left_is_never_sent_again(
    desk: Desk, vendor: Vendor, killed_at: Any, caps: Capabilities
):
    """Fails where the take-back forgets the guard's count: this one was let go."""
    vendor.caps = caps
    order = killed_at("before_call")
    assert desk.submission(order).sends == 1
    for _ in range(20):
        desk.wait(5)
        desk.sweep()
    assert (desk.fresh(order).state, desk.hold(order)) == ("lost", 900)
    assert vendor.sent == [], "whoever died before the call told nobody; no one knows that"


@pytest.mark.parametrize("times", [1, 3])
def test_it_dies_again_and_again_and_is_sent_once(
    desk: Desk, vendor: Vendor, killed_at: Any, monkeypatch: pytest.MonkeyPatch, times: int
):
    order = killed_at("after_claim")
    for _ in range(times):
        at("after_claim", die, monkeypatch)
        desk.wait(5)
        with pytest.raises(Killed):
            desk.sweep()
    desk.wait(5)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("new", [order.client_order_id])
    assert desk.submission(order).attempts == times + 2
    assert not halted()


# ── a worker that was slow, and not dead ─────────────────────────────────────
def test_a_slow_worker_whose_claim_ran_out_sends_nothing_and_halts_nobody(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """Fails without the number of the claim: its send would count as a second one."""
    order = desk.place("buy", "10", limit="90.00")

    def meanwhile() -> None:
        desk.wait(6)
        desk.sweep()
        assert desk.fresh(order).state == "new"

    at("after_claim", meanwhile, monkeypatch)
    desk.send(order)
    assert vendor.sent == [order.client_order_id]
    assert not halted()


def test_a_slow_worker_sends_nothing_while_nobody_has_taken_it_up_again(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """Fails where only the number of the claim is compared: it is still the same."""
    order = desk.place("buy", "10", limit="90.00")

    def meanwhile() -> None:
        assert unsent_take_back(submission=desk.submission(order), now=desk.now)

    at("after_claim", meanwhile, monkeypatch)
    assert (desk.send(order).state, vendor.sent) == ("pending", [])
    assert desk.send(order).state == "new"


def test_a_worker_that_came_to_the_guard_first_keeps_its_order(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """The sweep read the row before the guard counted: it looks again under the lock."""
    order = desk.place("buy", "10", limit="90.00")
    assert submissions._claim(desk.submission(order).pk, desk.now)
    seen = desk.submission(order)
    at("before_call", die, monkeypatch)
    with pytest.raises(Killed):
        submissions.order_submit(desk.fresh(order), seen)
    assert not unsent_take_back(submission=seen, now=desk.now)
    assert desk.fresh(order).state == "submitting"


def test_a_worker_that_has_just_taken_it_up_keeps_it(desk: Desk, vendor: Vendor):
    order = desk.place("buy", "10", limit="90.00")
    assert submissions._claim(desk.submission(order).pk, desk.now)
    seen = desk.submission(order)
    assert unsent_take_back(submission=seen, now=desk.now)
    assert submissions._claim(seen.pk, desk.now)
    assert not unsent_take_back(submission=seen, now=desk.now)
    assert desk.fresh(order).state == "submitting"


# ── the checks of the moment ─────────────────────────────────────────────────
def test_it_is_canceled_and_not_sent_where_its_user_gave_it_up(
    desk: Desk, vendor: Vendor, killed_at: Any
):
    order = killed_at("after_claim")
    desk.cancel(order, send=False)
    desk.wait(5)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("canceled", [])
    assert desk.reserved == 0
    desk.check()


def test_it_waits_for_the_end_of_a_halt(desk: Desk, vendor: Vendor, killed_at: Any):
    order = killed_at("after_claim")
    trading_halt(actor=None, reason="Meanwhile.", now=desk.now)
    desk.wait(5)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("pending", [])
    desk.wait(600)
    desk.sweep()
    trading_resume(actor=None, reason="Go on.", now=desk.now)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("new", [order.client_order_id])


def test_it_is_given_up_where_nobody_swept_for_too_long(
    desk: Desk, vendor: Vendor, killed_at: Any, settings: Any
):
    order = killed_at("after_claim")
    desk.wait((settings.SUBMIT_FRESH + timedelta(seconds=1)).total_seconds())
    desk.sweep()
    order = desk.fresh(order)
    assert (order.state, desk.reserved, vendor.sent) == ("canceled", 0, [])
    assert "could not be sent" in OrderEvent.objects.filter(order=order).latest("id").reason


def test_a_wake_up_that_gets_lost_costs_one_sweep_more(desk: Desk, vendor: Vendor, killed_at: Any):
    order = killed_at("after_claim")
    desk.wait(5)
    reconciliation.submissions_sweep(now=desk.now, wake=lambda pk: None)
    assert (desk.fresh(order).state, vendor.sent) == ("pending", [])
    desk.wait(5)
    desk.sweep()
    assert (desk.fresh(order).state, vendor.sent) == ("new", [order.client_order_id])
