"""Orders that provably never left: back to pending, to be sent as if for the first time.

Proof is what a broker said (`NotSent`), or that the guard has counted no send: it counts before the
first byte leaves.
"""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from speedtrade.lib import clock
from speedtrade.lib.live import live_publish
from trading.domain.orders import OrderState
from trading.models import Order, Submission, SubmissionAction
from trading.services.guard import send_proved_absent
from trading.services.lost import lost_proved_unsent
from trading.services.moves import order_lock, order_move

RESEND_AFTER: Final = timedelta(seconds=1)  # and twice as long with each try
RESEND_AFTER_MAX: Final = timedelta(seconds=15)
DIED: Final = "its worker died before the call"
_IN_HAND: Final = frozenset({OrderState.SUBMITTING, OrderState.PENDING_CANCEL})


def unsent_give_back(
    *, order: Order, submission: Submission, error: str, perishes: bool = True
) -> None:
    """Whoever has claimed an order knows that it did not arrive: to be claimed again soon.

    One that does not perish is kept for the end of a halt, however long it has waited; any other
    is given up where its intent is no longer fresh.
    """
    now = clock.now()
    with transaction.atomic():
        locked = order_lock(order)
        if locked.state != OrderState.LOST and locked.state not in _IN_HAND:
            return
        wait = min(RESEND_AFTER * 2 ** min(submission.attempts - 1, 10), RESEND_AFTER_MAX)
        if not send_proved_absent(submission=submission):
            return
        if locked.state == OrderState.LOST:
            # The proof came late; by now the market is another, so it is over and not sent again.
            lost_proved_unsent(locked, reason=error, now=now)
            return
        Submission.objects.filter(pk=submission.pk).update(
            claimed_at=None, available_at=now + wait, last_error=error[:300]
        )
        _back(locked, source="worker", reason=error, perishes=perishes, now=now)


def unsent_known(submission: Submission) -> bool:
    """Whether it is claimed and nobody can have told the broker, as it was read."""
    return (
        submission.action == SubmissionAction.SUBMIT
        and submission.sends == 0
        and submission.order.state in _IN_HAND
    )


def unsent_take_back(*, submission: Submission, now: datetime) -> bool:
    """Take an order from a worker that claimed it and never came to the guard; whether it was so.

    The claim is over with it: a worker that was slow and not dead is turned away by the guard,
    which waits for the same row.
    """
    with transaction.atomic():
        locked = order_lock(submission.order)
        claim = Submission.objects.select_for_update(of=("self",)).filter(
            pk=submission.pk,
            attempts=submission.attempts,
            sends=0,
            claimed_at__isnull=False,
            done_at__isnull=True,
        )
        row = claim.first()
        if row is None or locked.state not in _IN_HAND:
            return False
        row.claimed_at, row.available_at, row.last_error = None, now, DIED
        row.save(update_fields=["claimed_at", "available_at", "last_error"])
        _back(locked, source="sweep", reason=DIED, perishes=True, now=now)
    return True


def _back(order: Order, *, source: str, reason: str, perishes: bool, now: datetime) -> None:
    """A locked order that is nobody's any more: pending again, or over."""
    new = OrderState.PENDING
    if perishes and now - order.created_at >= settings.SUBMIT_FRESH:
        new, reason = OrderState.CANCELED, f"it could not be sent: {reason}"
    elif order.state == OrderState.PENDING_CANCEL:
        new, reason = OrderState.CANCELED, "canceled before it was sent"
    order_move(order=order, new=new, source=source, reason=reason, now=now)
    if new == OrderState.CANCELED:
        Submission.objects.filter(order=order).update(done_at=now)
    order.updated_at = now
    order.save()
    live_publish(user_id=order.brokerage_account.user_id, kind="order", thing_id=order.pk)
