"""Telling a broker: once, whatever it answers, whoever dies in between."""

from dataclasses import replace
from typing import Any

import pytest

from portfolio.services.books import account_lock
from speedtrade.lib.crash import Killed
from speedtrade.lib.errors import Conflict
from speedtrade.testing.vendor import CAPS, Vendor
from trading.brokers import registry
from trading.brokers.base import IdScope, NotSent, OrderRef, OrderRejected, OutcomeUnknown
from trading.domain.orders import OrderState
from trading.models import Order, OrderEvent, PaperOrder, TradingHalt
from trading.selectors.facts import halt_open
from trading.services.orders import order_cancel
from trading.tests.desk import Desk

UNKNOWN = OutcomeUnknown("timed out")
FORGETFUL = replace(CAPS, id_scope=IdScope.NONE, lookup_is_proof=False)
UNSURE = replace(CAPS, lookup_is_proof=False)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """A broker of the test's own in the place of the paper venue."""
    made = Vendor()
    monkeypatch.setitem(registry._ADAPTERS, "paper", lambda account: made)
    return made


def killed(desk: Desk, order: Order) -> Order:
    """Send an order with a worker that dies on the way."""
    with pytest.raises(Killed):
        desk.send(order)
    return desk.fresh(order)


# ── the sweeper ──────────────────────────────────────────────────────────────
def test_a_submission_that_nobody_took_is_woken_in_time(desk: Desk, settings):
    """Fails without the sweeper: the wake-up message of this order was lost."""
    order = desk.place("buy", "10")
    desk.wait(settings.SUBMIT_WAKE_AFTER.total_seconds() - 0.001)
    assert desk.sweep() == 0
    desk.wait(0.001)
    assert desk.sweep() == 1
    assert desk.fresh(order).state == "accepted"
    assert desk.sweep() == 0


def test_a_worker_that_died_before_the_call_costs_one_sweep(desk: Desk, vendor: Vendor, settings):
    vendor.script = [Killed()]
    order = killed(desk, desk.place("buy", "10"))
    assert (order.state, order.status) == ("submitting", "pending_new")
    desk.wait(settings.SUBMIT_UNKNOWN_AFTER.total_seconds() - 0.001)
    assert desk.sweep() == 0
    desk.wait(0.001)
    desk.sweep()
    assert desk.fresh(order).state == "new"
    assert vendor.sent == [order.client_order_id] * 2, "the same id, never another"
    assert list(vendor.book) == [order.client_order_id]
    desk.sweep()
    assert len(vendor.sent) == 2
    desk.check()


def test_two_sweeps_that_find_the_same_absence_send_once(
    desk: Desk, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """Fails where the proof of one counts for the other: the guard would halt the house."""
    vendor.script = [Killed()]
    order = killed(desk, desk.place("buy", "10"))
    desk.wait(5)
    find, inside = vendor.find_order, []

    def found_twice(ref: OrderRef) -> Any:
        answer = find(ref)
        if not inside:
            inside.append(1)
            desk.sweep()  # the other one looks, and sends
        return answer

    monkeypatch.setattr(vendor, "find_order", found_twice)
    desk.sweep()
    assert vendor.sent == [order.client_order_id] * 2, "once by the dead worker, once anew"
    assert (desk.submission(order).sends, halt_open()) == (1, None)
    assert desk.fresh(order).state == "new"
    desk.check()


def test_a_worker_that_died_after_the_call_leaves_an_order_to_adopt(desk: Desk, vendor: Vendor):
    """Fails without the look-up before the resend: the broker would be asked to buy twice."""
    vendor.script = [(True, Killed())]
    order = killed(desk, desk.place("buy", "10"))
    vendor.fill(order.client_order_id, "4", "100.00")
    desk.wait(5)
    desk.sweep()
    order = desk.fresh(order)
    assert (order.state, order.filled_qty, order.broker_order_id) == ("partially_filled", 4, "V1")
    assert vendor.sent == [order.client_order_id]
    assert desk.submission(order).done_at is not None
    desk.check()


def test_at_the_paper_venue_a_killed_worker_makes_one_order(desk: Desk, monkeypatch):
    from trading.brokers.paper.adapter import PaperBroker

    submit = PaperBroker.submit_order

    def die_after(self: PaperBroker, request: Any) -> Any:
        submit(self, request)
        raise Killed()

    monkeypatch.setattr(PaperBroker, "submit_order", die_after)
    order = killed(desk, desk.place("buy", "10"))
    monkeypatch.undo()
    desk.wait(5)
    desk.sweep()
    assert desk.fresh(order).state == "accepted"
    assert PaperOrder.objects.count() == 1


# ── what a broker may answer ─────────────────────────────────────────────────
@pytest.mark.fault("F4")
def test_an_unknown_outcome_keeps_the_hold_and_is_not_called_rejected(desk: Desk, vendor: Vendor):
    vendor.script = [UNKNOWN]
    order = desk.send(desk.place("buy", "10", limit="100.00"))
    assert (order.state, order.status) == ("submitting", "pending_new")
    assert desk.hold(order) == desk.reserved == 1000
    assert desk.submission(order).last_error == "timed out"
    desk.send(order)  # woken again: it is claimed, so nothing is sent
    assert len(vendor.sent) == 1


def test_an_answer_that_got_lost_is_fetched(desk: Desk, vendor: Vendor):
    vendor.script = [(True, UNKNOWN)]
    order = desk.send(desk.place("buy", "10"))
    assert order.state == "submitting"
    desk.wait(5)
    desk.sweep()
    assert desk.fresh(order).state == "new"
    assert len(vendor.sent) == 1


def test_a_refusal_releases_the_hold_and_says_why(desk: Desk, vendor: Vendor):
    vendor.script = [OrderRejected("40310000", "insufficient buying power")]
    order = desk.send(desk.place("buy", "10"))
    assert (order.state, order.status) == ("rejected", "rejected")
    assert (order.reject_code, order.reject_reason) == ("40310000", "insufficient buying power")
    assert (desk.hold(order), desk.reserved) == (0, 0)
    assert order.closed_at is not None
    desk.check()


def test_a_refusal_of_many_words_is_a_refusal_all_the_same(desk: Desk, vendor: Vendor):
    """Fails where the words are not cut: no row holds them, and the order would wait for ever."""
    vendor.script = [OrderRejected("wordy", "no " * 200)]
    order = desk.send(desk.place("buy", "10"))
    assert (order.state, order.reject_code, desk.reserved) == ("rejected", "wordy", 0)


def test_what_was_proved_unsent_goes_again(desk: Desk, vendor: Vendor):
    vendor.script = [NotSent("connection refused")]
    order = desk.send(desk.place("buy", "10"))
    assert (order.state, desk.reserved) == ("pending", 1050)
    desk.wait(3)
    desk.sweep()
    order = desk.fresh(order)
    assert order.state == "new"
    assert desk.submission(order).attempts == 2
    assert vendor.sent == [order.client_order_id] * 2


def test_what_was_proved_unsent_and_then_given_up_is_never_sent(desk: Desk, vendor: Vendor):
    """The cancel comes while the worker hears that nothing was sent."""
    order = desk.place("buy", "10")

    class Cancels(NotSent):
        def __str__(self) -> str:
            desk.cancel(order, send=False)
            return "connection refused"

    vendor.script = [Cancels()]
    assert desk.send(order).state == "canceled", "proved unsent, so it ends here"
    desk.wait(3)
    desk.sweep()
    assert len(vendor.sent) == 1 and not vendor.book
    desk.check()


@pytest.mark.fault("F5")
def test_a_duplicate_id_is_an_order_to_adopt(desk: Desk, vendor: Vendor):
    order = desk.place("buy", "10")
    vendor.script = [(True, UNKNOWN), None]
    desk.send(order)
    vendor.fill(order.client_order_id, "10", "100.00", done=True)
    vendor.lookups = [OutcomeUnknown("busy")]
    desk.wait(5)
    desk.sweep()  # no word from the broker: nothing follows from that
    assert len(vendor.sent) == 1
    desk.sweep()
    assert desk.fresh(order).state == "filled"
    desk.check()


def test_a_look_up_without_an_answer_is_no_miss(desk: Desk, vendor: Vendor, settings):
    """Fails when silence counts as 'not found': the order would be lost, or sent again."""
    vendor.caps = FORGETFUL
    vendor.script = [UNKNOWN]
    vendor.lookups = [OutcomeUnknown("down")] * 20
    order = desk.send(desk.place("buy", "10"))
    for _ in range(20):
        desk.wait(5)
        desk.sweep()
    assert desk.fresh(order).state == "submitting"
    assert desk.submission(order).lookups == 0
    assert len(vendor.sent) == 1


def test_a_proof_is_asked_for_before_anything_is_sent_again(desk: Desk, vendor: Vendor):
    vendor.script = [UNKNOWN]
    vendor.lookups = [OutcomeUnknown("down")]
    order = desk.send(desk.place("buy", "10"))
    desk.wait(5)
    desk.sweep()
    assert vendor.sent == [order.client_order_id]
    desk.sweep()
    assert vendor.sent == [order.client_order_id] * 2


# ── brokers that forget ids ──────────────────────────────────────────────────
def test_an_order_that_a_forgetful_broker_cannot_find_is_lost_not_sent_again(
    desk: Desk, vendor: Vendor, settings: Any
):
    vendor.caps = FORGETFUL
    vendor.script = [UNKNOWN]
    order = desk.send(desk.place("buy", "10"))
    for _ in range(5):
        desk.wait(5)
        desk.sweep()
        assert desk.fresh(order).state == "submitting"  # five misses, but in 25 seconds only
    assert desk.submission(order).lookups == settings.SUBMIT_LOOKUPS
    desk.wait(5)
    desk.sweep()
    order = desk.fresh(order)
    assert (order.state, order.status) == ("lost", "pending_new")
    assert desk.hold(order) == 1050, "a hold is a user's money: it stays until somebody knows"
    assert len(vendor.sent) == 1
    with pytest.raises(Conflict) as refusal:
        desk.cancel(order)
    assert refusal.value.code == "order_busy"


def test_a_few_misses_over_a_long_time_are_not_enough(desk: Desk, vendor: Vendor):
    vendor.caps = FORGETFUL
    vendor.script = [UNKNOWN]
    order = desk.send(desk.place("buy", "10"))
    for _ in range(4):
        desk.wait(60)
        desk.sweep()
    assert desk.fresh(order).state == "submitting"
    desk.wait(60)
    desk.sweep()
    assert desk.fresh(order).state == "lost"


@pytest.mark.parametrize("finder", ["sweep", "poll"])
def test_a_lost_order_that_turns_up_is_adopted(desk: Desk, vendor: Vendor, finder: str):
    vendor.caps = FORGETFUL
    vendor.script = [(True, UNKNOWN)]
    order = desk.place("buy", "10")
    desk.send(order)
    hidden = vendor.book.pop(order.client_order_id)
    for _ in range(6):
        desk.wait(5)
        desk.sweep()
    assert desk.fresh(order).state == "lost"
    vendor.book[order.client_order_id] = hidden
    vendor.fill(order.client_order_id, "10", "100.00", done=True)
    desk.wait(5)
    getattr(desk, finder)()
    order = desk.fresh(order)
    assert (order.state, order.filled_qty) == ("filled", 10)
    desk.check()


def test_a_broker_that_knows_its_ids_is_not_sent_an_old_order_either(desk: Desk, vendor: Vendor):
    """It would take no second one, but the market it was for is gone: a person decides."""
    vendor.caps = UNSURE
    vendor.script = [UNKNOWN]
    order = desk.send(desk.place("buy", "10"))
    for _ in range(6):
        desk.wait(5)
        desk.sweep()
    assert vendor.sent == [order.client_order_id]
    assert (desk.fresh(order).state, desk.hold(order)) == ("lost", 1050)


def test_a_list_that_has_it_outweighs_look_ups_that_miss(desk: Desk, vendor: Vendor):
    """Fails without the last look at the whole list: six look-ups by id do not see it."""
    vendor.caps = UNSURE
    vendor.script = [(True, UNKNOWN)]
    vendor.blind = 6
    order = desk.send(desk.place("buy", "10"))
    vendor.fill(order.client_order_id, "10", "100.00", done=True)
    for _ in range(6):
        desk.wait(5)
        desk.sweep()
    assert vendor.sent == [order.client_order_id]
    assert desk.fresh(order).state == "filled"
    assert not OrderEvent.objects.filter(order=order, new_state="lost").exists()
    desk.check()


def test_the_paper_venue_refuses_an_id_that_it_has_seen(desk: Desk):
    from trading.brokers.base import DuplicateClientOrderId
    from trading.brokers.paper.adapter import PaperBroker
    from trading.services.submissions import ref_of, request_of

    order = desk.trade("buy", "10")
    with pytest.raises(DuplicateClientOrderId):
        PaperBroker(desk.account.pk).submit_order(request_of(order))
    assert PaperOrder.objects.count() == 1
    unknown = replace(ref_of(order), client_order_id="nobody's")
    assert PaperBroker(desk.account.pk).find_order(unknown) is None


def test_an_order_reaches_the_venues_table_while_redis_is_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    from redis.exceptions import ConnectionError as RedisAway

    from trading.brokers.paper import adapter

    def away() -> None:
        raise RedisAway("no redis")

    monkeypatch.setattr(adapter, "redis_client", away)
    assert desk.send(desk.place("buy", "10")).state == "accepted"


# ── canceling what may or may not be there ───────────────────────────────────
def test_a_cancel_without_an_answer_is_asked_again(desk: Desk, vendor: Vendor):
    order = desk.send(desk.place("buy", "10", limit="90.00"))
    vendor.cancels = [OutcomeUnknown("timed out")]
    assert desk.cancel(order).state == "pending_cancel"
    desk.wait(5)
    desk.sweep()
    assert desk.fresh(order).state == "canceled"
    desk.check()


def test_a_cancel_that_comes_too_late_learns_what_became_of_the_order(desk: Desk, vendor: Vendor):
    order = desk.send(desk.place("buy", "10", limit="100.00"))
    vendor.fill(order.client_order_id, "10", "100.00", done=True)
    order = desk.cancel(order)
    assert (order.state, order.filled_qty) == ("filled", 10)
    desk.check()


def test_what_was_canceled_and_never_arrived_is_not_sent_after_all(desk: Desk, vendor: Vendor):
    """Fails when the sweeper resends an order that its user has given up: it would buy."""
    vendor.script = [Killed()]
    order = killed(desk, desk.place("buy", "10"))
    desk.cancel(order)
    assert desk.fresh(order).state == "pending_cancel"
    for _ in range(5):
        desk.wait(5)
        desk.sweep()
        assert desk.fresh(order).state == "pending_cancel"
    desk.wait(5)
    desk.sweep()
    order = desk.fresh(order)
    assert (order.state, desk.reserved) == ("canceled", 0)
    assert vendor.sent == [order.client_order_id] and not vendor.book
    assert desk.sweep() == 0
    desk.check()


def test_what_was_canceled_and_did_arrive_is_canceled_there(desk: Desk, vendor: Vendor):
    vendor.script = [(True, Killed())]
    order = killed(desk, desk.place("buy", "10"))
    order = desk.cancel(order)
    assert order.state == "canceled"
    assert vendor.book[order.client_order_id].state == OrderState.CANCELED
    desk.check()


def test_a_canceled_order_that_a_forgetful_broker_cannot_find_waits_for_a_person(
    desk: Desk, vendor: Vendor
):
    vendor.caps = FORGETFUL
    vendor.script = [Killed()]
    order = killed(desk, desk.place("buy", "10"))
    desk.cancel(order)
    for _ in range(5):
        desk.wait(5)
        desk.sweep()
        assert desk.fresh(order).state == "pending_cancel"
    desk.wait(5)
    desk.sweep()
    order = desk.fresh(order)
    assert (order.state, desk.hold(order)) == ("lost", 1050)


# ── one does not spoil it for the others ─────────────────────────────────────
def test_one_order_that_cannot_be_mended_does_not_keep_the_others_from_it(
    desk: Desk, vendor: Vendor
):
    """Fails without the guard in the sweep: the first one's error would end it for all."""
    vendor.script = [(True, UNKNOWN), (True, UNKNOWN)]
    first, second = desk.send(desk.place("buy", "1")), desk.send(desk.place("buy", "1"))
    vendor.lookups = [RuntimeError("an adapter's bug")]
    desk.wait(5)
    assert desk.sweep() == 2
    assert (desk.fresh(first).state, desk.fresh(second).state) == ("submitting", "new")


def test_a_report_that_cannot_be_is_refused_and_the_poll_goes_on(
    desk: Desk, vendor: Vendor, caplog
):
    """A broker that sells more than there is: refused loudly, and the next is polled."""
    bought = desk.send(desk.place("buy", "1"))
    vendor.fill(bought.client_order_id, "1", "100.00", done=True)
    desk.wait(5)
    assert desk.poll() == 1
    liar, honest = desk.send(desk.place("sell", "1")), desk.send(desk.place("buy", "2"))
    vendor.fill(liar.client_order_id, "3", "100.00", done=True)
    vendor.fill(honest.client_order_id, "2", "100.00", done=True)
    desk.wait(5)
    assert desk.poll() == 1
    assert desk.fresh(honest).state == "filled"
    assert (desk.fresh(liar).state, desk.fresh(liar).filled_qty) == ("new", 0)
    assert "report_refused" in caplog.messages
    desk.check()


def test_a_rest_that_the_broker_refuses_ends_the_order(desk: Desk, vendor: Vendor):
    """Fails where a refusal after a fill cannot be: the order would keep its hold for ever."""
    order = desk.send(desk.place("buy", "2"))
    vendor.fill(order.client_order_id, "1", "100.00")
    vendor.book[order.client_order_id] = replace(
        vendor.book[order.client_order_id], state=OrderState.REJECTED
    )
    desk.wait(5)
    assert desk.poll() == 1
    assert (desk.fresh(order).state, desk.fresh(order).filled_qty) == ("canceled", 1)
    desk.check()


def test_an_account_whose_broker_is_away_does_not_keep_others_from_their_news(
    desk: Desk, vendor: Vendor, charlie
):
    from speedtrade.testing.cast import account_of

    other = Desk(charlie, account_of(charlie), desk.clock)
    desk.send(desk.place("buy", "1"))
    theirs = other.send(other.place("buy", "1"))
    vendor.fill(theirs.client_order_id, "1", "100.00", done=True)
    vendor.lookups = [OutcomeUnknown("away")]
    desk.wait(5)
    assert desk.poll() == 1
    assert other.fresh(theirs).state == "filled"


# ── the poll ─────────────────────────────────────────────────────────────────
def test_the_poll_asks_once_per_account_and_finds_what_the_stream_lost(desk: Desk, vendor: Vendor):
    orders = [desk.send(desk.place("buy", "5")) for _ in range(3)]
    vendor.fill(orders[0].client_order_id, "2", "100.00")
    vendor.fill(orders[0].client_order_id, "3", "101.00", done=True)
    assert desk.poll() == 0 and vendor.listed == []  # too fresh to be worth a call
    desk.wait(5)
    assert desk.poll() == 1
    assert [sorted(batch) for batch in vendor.listed] == [sorted(o.client_order_id for o in orders)]
    order = desk.fresh(orders[0])
    assert (order.state, order.filled_notional) == ("filled", 503)
    event = OrderEvent.objects.filter(order=order).latest("id")
    assert event.source == "poll"
    desk.check()


def test_the_poll_leaves_alone_what_is_pending_or_final(desk: Desk, vendor: Vendor):
    desk.place("buy", "5")
    desk.cancel(desk.send(desk.place("buy", "5")))
    desk.wait(5)
    assert desk.poll() == 0
    assert vendor.listed == []


# ── the kill switch ──────────────────────────────────────────────────────────
def test_nothing_leaves_while_trading_is_halted(desk: Desk, vendor: Vendor):
    waiting = desk.place("buy", "1")
    vendor.script = [UNKNOWN]
    unknown = desk.send(desk.place("buy", "1"))
    halt = TradingHalt.objects.create(reason="a storm", set_at=desk.now)
    desk.wait(5)
    desk.sweep()
    assert vendor.sent == [unknown.client_order_id]
    assert (desk.fresh(waiting).state, desk.fresh(unknown).state) == ("pending", "submitting")
    halt.lifted_at = desk.now
    halt.save()
    desk.wait(5)
    desk.sweep()
    assert (desk.fresh(waiting).state, desk.fresh(unknown).state) == ("new", "new")


def test_a_cancel_passes_while_trading_is_halted(desk: Desk, vendor: Vendor):
    order = desk.send(desk.place("buy", "1"))
    TradingHalt.objects.create(reason="a storm", set_at=desk.now)
    assert desk.cancel(order).state == "canceled"


# ── claims ───────────────────────────────────────────────────────────────────
def test_a_submission_is_sent_once_however_often_it_is_woken(desk: Desk, vendor: Vendor):
    from trading.services.submissions import submission_process

    order = desk.place("buy", "1")
    pk = desk.submission(order).pk
    for _ in range(3):
        submission_process(submission_id=pk, now=desk.now)
    submission_process(submission_id=pk + 1000, now=desk.now)  # one that is gone
    assert vendor.sent == [order.client_order_id]


def test_a_worker_that_comes_after_the_cancel_sends_nothing(desk: Desk, vendor: Vendor):
    order = desk.place("buy", "1")
    pk = desk.submission(order).pk
    order_cancel(order=order, actor=desk.user, source="api", now=desk.now)
    from trading.services.submissions import submission_process

    submission_process(submission_id=pk, now=desk.now)
    assert vendor.sent == []


def test_the_lock_of_an_account_that_is_gone_says_so(db):
    from django.db import transaction

    from speedtrade.lib.errors import NotFound

    with transaction.atomic(), pytest.raises(NotFound):
        account_lock(0)
