"""Tell the broker, once: claim in one transaction, call outside any, record in another.

A submission that is claimed and has no answer is in nobody's hands. Where the guard has counted no
send, nothing left: it is taken back and sent. Else the sweeper asks the broker for it by client
order id, and it is never sent again while the outcome is unknown.
"""

import logging
import re
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts.models import AccountStatus, BrokerageAccount
from accounts.services.syncs import account_fail
from portfolio.services.books import account_lock
from speedtrade.lib import clock
from speedtrade.lib.compiled import Compiled, given
from speedtrade.lib.crash import crash_point
from speedtrade.lib.live import live_publish
from speedtrade.lib.rows import rows_update
from trading.brokers.base import (
    AuthFailed,
    Broker,
    BrokerError,
    BrokerOrder,
    BrokerRequest,
    DuplicateClientOrderId,
    NotCancelable,
    NotSent,
    OrderRef,
    OrderRejected,
    OutcomeUnknown,
)
from trading.brokers.registry import broker_for
from trading.domain.orders import FINAL_STATES, OrderState
from trading.models import Order, Submission, SubmissionAction
from trading.selectors.facts import halt_open
from trading.selectors.orders import OPEN_VALUES
from trading.services.executions import report_apply
from trading.services.guard import Leave, send_admit
from trading.services.moves import order_lock, order_move
from trading.services.outbox import order_look_soon
from trading.services.replacements import replacement_give_up
from trading.services.unsent import unsent_give_back

logger = logging.getLogger(__name__)
MINTED = re.compile(r"[0-9a-f]{32}")  # what `uuid4().hex` looks like
OLDER_BY = timedelta(hours=1)  # more than clocks differ by
_ONE = given(Submission, "pk")
_ACCOUNT = Compiled(
    lambda: Submission.objects.filter(pk=_ONE).values_list("order__brokerage_account_id")
)
_WAITING = Compiled(
    lambda: (
        Submission.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("order__instrument")
        .filter(pk=_ONE, claimed_at__isnull=True, done_at__isnull=True)
    )
)
TAKEN = "The broker has another order with this client order id. Choose a new one."


def submission_process(*, submission_id: int, now: datetime) -> None:
    """Claim one submission and carry it out; nothing happens when it is claimed or done already."""
    submission = _claim(submission_id, now)
    if submission is None:
        return
    crash_point("after_claim")
    if submission.action == SubmissionAction.SUBMIT:
        order_submit(submission.order, submission)
    else:
        order_tell_cancel(submission.order, submission)


def _claim(submission_id: int, now: datetime) -> Submission | None:
    """Take a waiting submission, as it is under this claim; None where there is nothing to do."""
    found = _ACCOUNT.tuples(pk=submission_id)
    if not found:
        return None
    with transaction.atomic(durable=True):
        account = account_lock(found[0][0])
        submission = _WAITING.first(pk=submission_id)
        if submission is None or _held_back(submission, account):
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
        claim = (submission, ("claimed_at", "attempts"))
        if submission.action == SubmissionAction.SUBMIT and order.state == OrderState.PENDING:
            order.submitted_at = order.updated_at = now
            sent = (order, ("state", "submitted_at", "updated_at"))
            order_move(
                order=order,
                new=OrderState.SUBMITTING,
                source="worker",
                now=now,
                beside=[claim, sent],
            )
        else:
            rows_update([submission], claim[1])
    return submission


def _held_back(submission: Submission, account: BrokerageAccount) -> bool:
    """Nothing leaves while trading is halted, cancels excepted; the sweeper comes again."""
    return submission.action == SubmissionAction.SUBMIT and sending_stopped(account)


def sending_stopped(account: BrokerageAccount) -> bool:
    """Whether no order of this account may leave: for all, by its owner, or by support."""
    frozen = account.status == AccountStatus.FROZEN
    return frozen or account.stopped_at is not None or halt_open() is not None


def order_submit(order: Order, submission: Submission) -> None:
    """Send a claimed order once, outside any transaction, and record the answer if there is one.

    The only place that sends, so that nothing passes the guard.
    """
    request = request_of(order)
    leave = send_admit(order=order, request=request, claim=submission.attempts, now=clock.now())
    if leave == Leave.HELD:
        held = "trading is halted"
        unsent_give_back(order=order, submission=submission, error=held, perishes=False)
    if leave != Leave.GO:
        return
    crash_point("before_call")
    try:
        broker = broker_for(order.brokerage_account)  # behind the guard: a claim may be over
        report = broker.submit_order(request)
    except DuplicateClientOrderId:
        order_adopt(order, submission, broker)
        return
    except OrderRejected as error:
        report = _refused(order, error.code, error.detail)
    except AuthFailed as error:
        # The broker reads the key before the order, and goes no further.
        account_fail(account_id=order.brokerage_account_id, reason=str(error), now=clock.now())
        _record(order, submission, _refused(order, "broker_auth", str(error)), "worker")
        return
    except NotSent as error:
        unsent_give_back(order=order, submission=submission, error=str(error))
        return
    except OutcomeUnknown as error:
        logger.warning("submit_unknown", extra={"order": order.pk})
        error_note(submission, error)
        return
    crash_point("after_accept")
    _record(order, submission, report, "worker")
    if not broker.caps.push_updates:
        order_look_soon(order.pk)


def order_look(*, order_id: int, now: datetime) -> bool:
    """Ask a broker that tells nothing by itself how an order is; whether it is still open."""
    rows = Order.objects.select_related("brokerage_account", "instrument")
    order = rows.filter(pk=order_id).first()
    if order is None or not order.is_open:
        return False
    try:
        report = broker_for(order.brokerage_account).find_order(ref_of(order))
    except BrokerError:
        return True  # the synchronisation of the account asks again
    if report is not None:
        report_apply(account_id=order.brokerage_account_id, report=report, source="poll", now=now)
    return Order.objects.filter(pk=order_id, state__in=OPEN_VALUES).exists()


def _refused(order: Order, code: str, detail: str) -> BrokerOrder:
    """A definite refusal as a report."""
    return BrokerOrder(
        order.client_order_id,
        "",
        OrderState.REJECTED,
        order.filled_qty,
        (),
        clock.now(),
        reason=detail,
        code=code,
    )


def error_note(submission: Submission, error: BrokerError) -> None:
    """Keep what was said last of a submission that goes on waiting."""
    Submission.objects.filter(pk=submission.pk).update(last_error=str(error)[:300])


def _record(order: Order, submission: Submission, report: BrokerOrder, source: str) -> None:
    report_apply(
        account_id=order.brokerage_account_id, report=report, source=source, now=clock.now()
    )
    Submission.objects.filter(pk=submission.pk, done_at__isnull=True).update(done_at=clock.now())
    crash_point("after_commit_before_ack")


def order_tell_cancel(order: Order, submission: Submission) -> None:
    """Ask the broker to cancel, and adopt what became of the order. Harmless twice."""
    refused = False
    try:
        broker = broker_for(order.brokerage_account)
        broker.cancel_order(ref_of(order))
    except NotCancelable:
        refused = True  # it is final there, as a rule: the look-up below says how
    except BrokerError as error:
        error_note(submission, error)
        return
    report = order_adopt(order, submission, broker)
    # A broker that is at it refuses to be asked once more, too.
    if refused and report and report.state != OrderState.PENDING_CANCEL:
        cancel_refused(order, submission)


def cancel_refused(order: Order, submission: Submission) -> None:
    """The broker will not cancel, and the order works on: after some tries it counts as working."""
    waiting = [OrderState.PENDING_CANCEL.value, OrderState.PENDING_REPLACE.value]
    if not Order.objects.filter(pk=order.pk, state__in=waiting).exists():
        return
    tries = Submission.objects.filter(pk=submission.pk)
    tries.update(lookups=F("lookups") + 1, done_at=None)
    if tries.values_list("lookups", flat=True).get() < settings.CANCEL_TRIES:
        return
    now = clock.now()
    with transaction.atomic():
        locked = order_lock(order)
        account = locked.brokerage_account
        tries.update(done_at=now)
        if locked.state not in {OrderState.PENDING_CANCEL, OrderState.PENDING_REPLACE}:
            return
        working = OrderState.PARTIALLY_FILLED if locked.filled_qty else OrderState.NEW
        order_move(
            order=locked,
            new=working,
            source="worker",
            reason="the broker would not cancel it",
            now=now,
        )
        locked.updated_at = now
        locked.save()
        replacement_give_up(old=locked, reason="the old order could not be canceled", now=now)
        live_publish(user_id=account.user_id, kind="order", thing_id=locked.pk)


def order_adopt(
    order: Order, submission: Submission, broker: Broker
) -> BrokerOrder | Literal[False] | None:
    """Ask the broker for the order, adopt what it says and return it.

    False is its word that it has none. None is no word at all, from which nothing follows.
    """
    try:
        report = broker.find_order(ref_of(order))
    except BrokerError as error:
        error_note(submission, error)
        return None
    if report is None:
        return False
    if not is_ours(order, report):
        report = _refused(order, "client_order_id_taken", TAKEN)
    _record(order, submission, report, "sweep")
    crash_point("after_adopt_before_release")
    return report


def is_ours(order: Order, report: BrokerOrder) -> bool:
    """Whether the order that a broker has under our id is the one that we sent.

    An id that a user chose may have served there before, for something else. One that we minted
    cannot have, so no clock, however wrong, makes a stranger of our own order.
    """
    terms = report.terms
    if (
        terms is None
        or order.state != OrderState.SUBMITTING
        or MINTED.fullmatch(order.client_order_id)
    ):
        return True
    older = terms.created_at < order.created_at - OLDER_BY
    return not older and (terms.symbol, terms.side) == (order.instrument.symbol, order.side)


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
        extended_hours=order.extended_hours,
        asset_type=order.instrument.asset_type,
    )


def ref_of(order: Order) -> OrderRef:
    """The names that a broker may know the order by."""
    return OrderRef(
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        symbol=order.instrument.symbol,
        asset_type=order.instrument.asset_type,
        since=order.created_at,
        filled_qty=order.filled_qty,
    )
