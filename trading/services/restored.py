"""After a restore: the books are of the backup's moment, and the brokers went on since."""

from datetime import datetime

from django.db import transaction

from accounts.models import BrokerKind
from trading.domain.orders import OrderState
from trading.models import Submission, SubmissionAction
from trading.services.halts import trading_halt
from trading.services.moves import order_lock, order_move

REASON = (
    "Restored from a backup: orders of after it are not in these books. Compare each account with "
    "its broker, then let trading go on."
)
MAY_BE_SENT = "it waited when the backup was made and may have been sent since"


def restored_settle(*, now: datetime) -> int:
    """Halt trading, and let nothing that waits for a real broker leave again; returns how many.

    An order that had not left when the backup was made may have left and filled since, and not
    every broker refuses the same id twice. So each counts as sent: it is looked up, adopted where
    it is found and told as lost where it is not, and never sent. Harmless twice.
    """
    trading_halt(actor=None, reason=REASON, now=now)
    waiting = Submission.objects.filter(
        action=SubmissionAction.SUBMIT, done_at__isnull=True, sends=0
    ).exclude(order__brokerage_account__broker=BrokerKind.PAPER)
    count = 0
    for submission in waiting.select_related("order"):
        with transaction.atomic():
            order = order_lock(submission.order)
            # As of its making: a look-up goes back to when it was claimed.
            Submission.objects.filter(pk=submission.pk).update(
                sends=1, claimed_at=order.created_at, available_at=now, last_error=MAY_BE_SENT
            )
            if order.state == OrderState.PENDING:
                order_move(
                    order=order,
                    new=OrderState.SUBMITTING,
                    source="restore",
                    reason=MAY_BE_SENT,
                    now=now,
                )
                order.submitted_at, order.updated_at = order.created_at, now
                order.save(update_fields=["state", "submitted_at", "updated_at"])
        count += 1
    return count
