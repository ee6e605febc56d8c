"""Tell the broker, once: claim in one transaction, call outside any, record in another.

A submission that is claimed and has no answer is in nobody's hands: the sweeper asks the broker for
it by client order id. It is never sent again while the outcome is unknown.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portfolio.services.books import account_lock
from speedtrade.lib.crash import crash_point
from speedtrade.lib.live import live_publish
from trading.brokers.base import (
    Broker,
    BrokerOrder,
    BrokerRequest,
    DuplicateClientOrderId,
    IdScope,
    NotCancelable,
    NotSent,
    OrderRejected,
    OutcomeUnknown,
)
from trading.brokers.registry import broker_for
from trading.domain.orders import FINAL_STATES, SENT_STATES, OrderState
from trading.models import Order, Submission, SubmissionAction
from trading.selectors import halt_open
from trading.services.executions import report_apply
from trading.services.moves import order_move

logger = logging.getLogger(__name__)
SWEEP_BATCH = 200
POLL_BATCH = 500  # orders asked for in one call
RESEND_AFTER = timedelta(seconds=1)


def submission_process(*, submission_id: int, now: datetime) -> None:
    """Claim one submission and carry it out; nothing happens when it is claimed or done already."""
    order = _claim(submission_id, now)
    if order is None:
        return
    crash_point("after_claim")
    submission = Submission.objects.get(pk=submission_id)
    if submission.action == SubmissionAction.SUBMIT:
        _submit(order, submission)
    else:
        _cancel(order, submission)


def _claim(submission_id: int, now: datetime) -> Order | None:
    """Take a waiting submission; its order, or None where there is nothing (left) to do."""
    found = (
        Submission.objects.filter(pk=submission_id)
        .values_list("order__brokerage_account_id", flat=True)
        .first()
    )
    if found is None:
        return None
    with transaction.atomic(durable=True):
        account = account_lock(found)
        submission = (
            Submission.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("order__instrument")
            .filter(pk=submission_id, claimed_at__isnull=True, done_at__isnull=True)
            .first()
        )
        if submission is None or _held_back(submission):
            return None
        order = submission.order
        order.brokerage_account = account
        if order.state in {state.value for state in FINAL_STATES}:
            submission.done_at = now
            submission.save(update_fields=["done_at"])
            return None
        if (
            submission.action == SubmissionAction.SUBMIT
            and order.state == OrderState.PENDING_CANCEL
        ):
            # Proved unsent once (it is waiting again), and the user has given it up meanwhile.
            order_move(
                order=order,
                new=OrderState.CANCELED,
                source="worker",
                reason="canceled before it was sent",
                now=now,
            )
            order.updated_at = now
            order.save()
            Submission.objects.filter(order=order).update(done_at=now)
            return None
        submission.claimed_at = now
        submission.attempts += 1
        submission.save(update_fields=["claimed_at", "attempts"])
        if submission.action == SubmissionAction.SUBMIT and order.state == OrderState.PENDING:
            order_move(order=order, new=OrderState.SUBMITTING, source="worker", now=now)
            order.submitted_at = order.updated_at = now
            order.save(update_fields=["state", "submitted_at", "updated_at"])
    return order


def _held_back(submission: Submission) -> bool:
    """Nothing leaves while trading is halted, cancels excepted; the sweeper comes again."""
    return submission.action == SubmissionAction.SUBMIT and halt_open() is not None


def _submit(order: Order, submission: Submission) -> None:
    broker = broker_for(order.brokerage_account)
    crash_point("before_call")
    try:
        report = broker.submit_order(request_of(order))
    except DuplicateClientOrderId:
        _lookup(order, submission, broker)
        return
    except OrderRejected as error:
        report = BrokerOrder(
            order.client_order_id,
            "",
            OrderState.REJECTED,
            order.filled_qty,
            (),
            timezone.now(),
            error.detail,
        )
        Order.objects.filter(pk=order.pk).update(
            reject_code=error.code, reject_reason=error.detail[:300]
        )
    except NotSent as error:
        _give_back(order, submission, str(error))
        return
    except OutcomeUnknown as error:
        logger.warning("submit_unknown", extra={"order": order.pk})
        Submission.objects.filter(pk=submission.pk).update(last_error=str(error)[:300])
        return
    crash_point("after_accept")
    _record(order, submission, report, "worker")


def _record(order: Order, submission: Submission, report: BrokerOrder, source: str) -> None:
    report_apply(
        account_id=order.brokerage_account_id, report=report, source=source, now=timezone.now()
    )
    Submission.objects.filter(pk=submission.pk, done_at__isnull=True).update(done_at=timezone.now())
    crash_point("after_commit_before_ack")


def _give_back(order: Order, submission: Submission, error: str) -> None:
    """Proved unsent: back to pending, to be claimed again soon."""
    now = timezone.now()
    with transaction.atomic():
        account = account_lock(order.brokerage_account_id)
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        locked.brokerage_account = account
        if locked.state == OrderState.SUBMITTING:
            order_move(
                order=locked, new=OrderState.PENDING, source="worker", reason=error[:300], now=now
            )
            locked.save()
        Submission.objects.filter(pk=submission.pk).update(
            claimed_at=None, available_at=now + RESEND_AFTER, last_error=error[:300]
        )


def _cancel(order: Order, submission: Submission) -> None:
    broker = broker_for(order.brokerage_account)
    try:
        broker.cancel_order(order.client_order_id)
    except NotCancelable:
        pass  # it is final there: the look-up below says how
    except OutcomeUnknown as error:
        Submission.objects.filter(pk=submission.pk).update(last_error=str(error)[:300])
        return
    _lookup(order, submission, broker)


def _lookup(order: Order, submission: Submission, broker: Broker) -> bool:
    """Ask the broker for the order and adopt what it says; True when it had it."""
    try:
        report = broker.find_order(order.client_order_id)
    except OutcomeUnknown as error:
        Submission.objects.filter(pk=submission.pk).update(last_error=str(error)[:300])
        return False
    if report is None:
        return False
    _record(order, submission, report, "sweep")
    crash_point("after_adopt_before_release")
    return True


def submissions_sweep(*, now: datetime, wake: Callable[[int], object]) -> int:
    """Find what fell between two stools: wake what nobody took, look up what nobody answered.

    The database alone is asked what there is to do; how many submissions were found.
    """
    waiting = Submission.objects.filter(
        done_at__isnull=True,
        claimed_at__isnull=True,
        available_at__lte=now - settings.SUBMIT_WAKE_AFTER,
    ).order_by("id")
    unknown = (
        Submission.objects.filter(
            done_at__isnull=True, claimed_at__lte=now - settings.SUBMIT_UNKNOWN_AFTER
        )
        .select_related("order__brokerage_account", "order__instrument")
        .order_by("id")
    )
    count = 0
    for pk in waiting.values_list("pk", flat=True)[:SWEEP_BATCH]:
        wake(pk)
        count += 1
    for submission in unknown[:SWEEP_BATCH]:
        _recover(submission, now)
        count += 1
    return count


def _recover(submission: Submission, now: datetime) -> None:
    """One look for a submission without an answer, and what follows from a miss."""
    order = submission.order
    broker = broker_for(order.brokerage_account)
    if submission.action == SubmissionAction.CANCEL:
        _cancel(order, submission)
        return
    if _lookup(order, submission, broker):
        return
    Submission.objects.filter(pk=submission.pk).update(lookups=submission.lookups + 1)
    proved = broker.caps.lookup_is_proof or (
        submission.lookups + 1 >= settings.SUBMIT_LOOKUPS
        and submission.claimed_at is not None
        and now - submission.claimed_at >= settings.SUBMIT_LOST_AFTER
    )
    if not proved:
        return
    if broker.caps.id_scope == IdScope.ALL_TIME:
        # The same id again: a venue that has it after all answers "duplicate", and we adopt.
        _submit(order, submission)
        return
    _mark_lost(order, now)


def _mark_lost(order: Order, now: datetime) -> None:
    with transaction.atomic():
        account = account_lock(order.brokerage_account_id)
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        locked.brokerage_account = account
        if locked.state == OrderState.SUBMITTING:
            reason = "the broker does not know it; it was not sent again"
            order_move(order=locked, new=OrderState.LOST, source="sweep", reason=reason, now=now)
            locked.updated_at = now
            locked.save(update_fields=["state", "updated_at"])
            live_publish(user_id=account.user_id, kind="order", thing_id=locked.pk)


def orders_poll(*, now: datetime) -> int:
    """Ask brokers how our open orders are, in one call per account; how many reports were applied.

    Streams tell sooner; this finds what they lost.
    """
    rows = (
        Order.objects.filter(state__in=[state.value for state in SENT_STATES])
        .filter(updated_at__lte=now - settings.POLL_PERIOD)
        .select_related("brokerage_account")
        .order_by("brokerage_account_id", "id")
    )
    applied = 0
    for account_id, orders in groupby(
        rows.iterator(chunk_size=POLL_BATCH), key=lambda o: o.brokerage_account_id
    ):
        for chunk in batched(orders, POLL_BATCH):
            applied += _poll_account(account_id, chunk)
    return applied


def _poll_account(account_id: int, orders: Sequence[Order]) -> int:
    broker = broker_for(orders[0].brokerage_account)
    ours = {order.client_order_id: order for order in orders}
    applied = 0
    for report in broker.list_orders(list(ours)):
        order = ours[report.client_order_id]
        if report.filled_qty != order.filled_qty or report.state.value != order.state:
            report_apply(account_id=account_id, report=report, source="poll", now=timezone.now())
            applied += 1
    return applied


def batched(items: Iterable[Order], size: int) -> Iterator[list[Order]]:
    """Lists of at most `size` (itertools.batched comes with Python 3.12)."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def request_of(order: Order) -> BrokerRequest:
    """The order as it is sent."""
    return BrokerRequest(
        account_id=order.brokerage_account_id,
        client_order_id=order.client_order_id,
        instrument_id=order.instrument_id,
        symbol=order.instrument.symbol,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        qty=order.qty,
        notional=order.notional,
        max_qty=order.max_qty,
        limit_price=order.limit_price,
        price_bound=order.price_bound,
        fee_rate=order.fee_rate,
        expires_at=order.expires_at,
    )
