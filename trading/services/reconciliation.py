"""Find what fell between two stools: nobody took it, nobody answered, the news got lost.

The database says what there is to do, the broker how it is; `report_apply` does the rest.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from itertools import groupby, islice

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from accounts.models import BrokerKind
from speedtrade.lib import clock
from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.live import live_publish
from trading.brokers.base import Broker, BrokerError, IdScope, KeyUnreadable
from trading.brokers.registry import broker_for
from trading.domain.orders import FINAL_STATES, SENT_STATES, OrderState
from trading.models import Order, Submission, SubmissionAction
from trading.services.executions import report_apply
from trading.services.guard import send_proved_absent
from trading.services.moves import order_lock, order_move
from trading.services.submissions import (
    error_note,
    is_ours,
    order_adopt,
    order_submit,
    order_tell_cancel,
    ref_of,
    sending_stopped,
)
from trading.services.unsent import unsent_known, unsent_take_back

logger = logging.getLogger(__name__)
SWEEP_BATCH = 200
LOOK_AGAIN_MAX = timedelta(seconds=30)
LOOK_TAKES = timedelta(seconds=15)  # so long nobody else looks, should a look not end
POLL_BATCH = 500  # orders asked for in one call
LOST_REASON = "the broker does not know it; it was not sent again"


def submissions_sweep(
    *,
    now: datetime,
    wake: Callable[[int], object],
    recover: Callable[[int], object] | None = None,
    started: Callable[[int], AbstractContextManager[bool]] = lambda pk: nullcontext(True),
) -> int:
    """Find what fell between two stools: wake what nobody took, look up what nobody answered.

    What was taken and never sent is not looked up: it is woken as well, for another to take.

    The database alone is asked what there is to do; how many submissions were found. What a broker
    out there must be asked goes through `recover`, so that one that hangs keeps nobody waiting.
    `started` says whether one may be looked up here: it may have ended the sweep time and again.
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
        .order_by("available_at", "id")
    )
    if recover is not None:
        # Those whose next look is not due yet must not stand in the way of those that are new.
        at_home = Q(order__brokerage_account__broker=BrokerKind.PAPER)
        unknown = unknown.filter(at_home | Q(available_at__lte=now))
    count = 0
    # Cancels need not wait behind what a halt holds back, nor orders behind many cancels.
    for action in (SubmissionAction.CANCEL, SubmissionAction.SUBMIT):
        for pk in waiting.filter(action=action).values_list("pk", flat=True)[:SWEEP_BATCH]:
            wake(pk)
            count += 1
    for submission in unknown[:SWEEP_BATCH]:
        abroad = submission.order.brokerage_account.broker != BrokerKind.PAPER
        try:
            if unsent_known(submission):
                if unsent_take_back(submission=submission, now=now):
                    wake(submission.pk)
            elif recover is not None and abroad:
                recover(submission.pk)
            else:
                with started(submission.pk) as may:
                    if may:
                        _recover(submission, now)
        except Exception:
            # One order that cannot be mended must not keep the others from it.
            logger.exception("recover_failed", extra={"submission": submission.pk})
        count += 1
    return count


def submission_recover(*, submission_id: int, now: datetime) -> None:
    """One look for one submission; the row is taken for a while, so that no two look at once."""
    row = Submission.objects.filter(
        pk=submission_id, done_at__isnull=True, claimed_at__isnull=False, available_at__lte=now
    )
    known = row.values_list("action", "lookups").first()
    if known is None or not row.update(available_at=now + LOOK_TAKES):
        return
    rows = Submission.objects.select_related("order__brokerage_account", "order__instrument")
    try:
        _recover(rows.get(pk=submission_id), now)
    finally:
        unanswered = Submission.objects.filter(
            pk=submission_id, done_at__isnull=True, claimed_at__isnull=False
        )
        unanswered.update(available_at=now + look_again_after(*known))


def look_again_after(action: str, misses: int) -> timedelta:
    """How long nobody looks again, with so many misses before this one.

    An order is looked for with each sweep until it may be called lost, then ever more seldom; a
    cancel is asked for ever more seldom from the start. Half a period less than that: a look comes
    a moment after its sweep, and must not be so fresh that the next sweep passes it by.
    """
    free = settings.SUBMIT_LOOKUPS - 1 if action == SubmissionAction.SUBMIT else 0
    doubled = min(max(misses - free, 0), 10)
    wait: timedelta = min(settings.SWEEP_PERIOD * 2**doubled, LOOK_AGAIN_MAX)
    return wait - timedelta(seconds=settings.SWEEP_PERIOD.total_seconds() / 2)


def _recover(submission: Submission, now: datetime) -> None:
    """One look for a submission without an answer, and what follows from a miss."""
    order = submission.order
    if submission.action == SubmissionAction.CANCEL:
        order_tell_cancel(order, submission)
        return
    try:
        broker = broker_for(order.brokerage_account)
    except KeyUnreadable as error:
        error_note(submission, error)
        return
    if order_adopt(order, submission, broker) is not False:
        return
    Submission.objects.filter(pk=submission.pk).update(lookups=F("lookups") + 1)
    waited = (
        submission.claimed_at is not None
        and now - submission.claimed_at >= settings.SUBMIT_LOST_AFTER
    )
    often = submission.lookups + 1 >= settings.SUBMIT_LOOKUPS
    if order.state == OrderState.PENDING_CANCEL:
        # Given up by its user: what never arrived is not sent after all, only to be canceled.
        if waited and broker.caps.lookup_is_proof:
            _move_unsent(order, OrderState.CANCELED, "it never reached the broker", now)
        elif waited and often and _listed_nowhere(broker, order, submission):
            _move_unsent(order, OrderState.LOST, LOST_REASON, now)
        return
    if broker.caps.lookup_is_proof and broker.caps.id_scope == IdScope.ALL_TIME:
        # It is not there, and the same id cannot be taken twice: it may go, as it was meant to.
        if sending_stopped(order.brokerage_account):
            return
        if send_proved_absent(submission=submission, claim_at=clock.now()):
            order_submit(order, submission)
        return
    if waited and often and _listed_nowhere(broker, order, submission):
        # By now the market is another: a person decides, and the hold stays until then.
        _move_unsent(order, OrderState.LOST, LOST_REASON, now)


def _listed_nowhere(broker: Broker, order: Order, submission: Submission) -> bool:
    """A last look, at all that the broker has since then; what is there is adopted."""
    since = (submission.claimed_at or order.created_at) - settings.SYNC_OVERLAP
    try:
        found = broker.list_since(since)
    except BrokerError:
        return False
    for report in found:
        if report.client_order_id == order.client_order_id and is_ours(order, report):
            report_apply(
                account_id=order.brokerage_account_id,
                report=report,
                source="sweep",
                now=clock.now(),
            )
            Submission.objects.filter(pk=submission.pk).update(done_at=clock.now())
            return False
    return True


def _move_unsent(order: Order, new: OrderState, reason: str, now: datetime) -> None:
    """Move an order that the broker does not know, unless news of it came in meanwhile."""
    with transaction.atomic():
        locked = order_lock(order)
        account = locked.brokerage_account
        if locked.state not in {OrderState.SUBMITTING, OrderState.PENDING_CANCEL}:
            return
        order_move(order=locked, new=new, source="sweep", reason=reason, now=now)
        locked.updated_at = now
        locked.save()
        if new in FINAL_STATES:
            Submission.objects.filter(order=locked).update(done_at=now)
        live_publish(
            user_id=account.user_id, kind="order", thing_id=locked.pk, account_id=account.pk
        )


def orders_poll(*, now: datetime) -> int:
    """Ask brokers how our open orders are, in one call per account; how many reports were applied.

    Our own venue tells sooner; this finds what got lost. Accounts at brokers have `account_sync`.
    """
    rows = (
        Order.objects.filter(state__in=[state.value for state in SENT_STATES])
        .filter(brokerage_account__broker=BrokerKind.PAPER)
        .filter(updated_at__lte=now - settings.POLL_PERIOD)
        .select_related("brokerage_account", "instrument")
        .order_by("brokerage_account_id", "id")
    )
    applied = 0
    for account_id, orders in groupby(
        rows.iterator(chunk_size=POLL_BATCH), key=lambda o: o.brokerage_account_id
    ):
        for chunk in batched(orders, POLL_BATCH):
            try:
                applied += _poll_account(account_id, chunk)
            except Exception:
                # One account whose broker is away must not keep the others from their news.
                logger.exception("poll_failed", extra={"account": account_id})
    return applied


def _poll_account(account_id: int, orders: Sequence[Order]) -> int:
    broker = broker_for(orders[0].brokerage_account)
    ours = {order.client_order_id: order for order in orders}
    applied = 0
    for report in broker.list_orders([ref_of(order) for order in orders]):
        order = ours[report.client_order_id]
        if report.filled_qty == order.filled_qty and report.state == order.state:
            continue
        try:
            report_apply(account_id=account_id, report=report, source="poll", now=clock.now())
        except InvariantBroken:
            # A report that cannot be: support must look at this order, the others go on.
            logger.exception("report_refused", extra={"order": order.pk})
        else:
            applied += 1
    return applied


def batched(items: Iterable[Order], size: int) -> Iterator[list[Order]]:
    """Lists of at most `size` (itertools.batched comes with Python 3.12)."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
