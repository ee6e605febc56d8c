"""The outbox: a row in the order's own transaction, and a word to a worker after it."""

from datetime import datetime
from functools import partial
from typing import Final

from django.conf import settings

from accounts.models import BrokerKind
from speedtrade.lib.later import later
from speedtrade.lib.messages import task_tell
from trading.models import Order, Submission, SubmissionAction

#: Seconds after the submit, and after the look before, at which such an order is asked for.
LOOK_AFTER: Final = (1, 3, 6)


def submission_add(*, order: Order, action: SubmissionAction, now: datetime) -> Submission:
    """Write down what the broker must be told; a worker claims it after the commit.

    A second cancel (the broker refused the first) uses the same row again; a submit never does.
    """
    if action == SubmissionAction.SUBMIT:
        row = submission_new(now)
        row.order = order
        row.save()
        return row
    row, _ = Submission.objects.update_or_create(
        order=order,
        action=action,
        defaults={"available_at": now, "claimed_at": None, "done_at": None, "lookups": 0},
        create_defaults={"created_at": now, "available_at": now},
    )
    return row


def submission_new(now: datetime) -> Submission:
    """The submit of an order that is about to be written, for the caller to write with it."""
    return Submission(action=SubmissionAction.SUBMIT, created_at=now, available_at=now, sends=0)


def submission_wake(submission_id: int, broker: str = "") -> None:
    """Hurry a worker, in the background. Lost, it costs one sweep. Call it after the commit."""
    later(submission_hand_over, submission_id, broker)


def submission_hand_over(submission_id: int, broker: str = "") -> None:
    """Give a submission to the workers of its kind: a broker that hangs keeps only its own.

    Who knows the `broker` of its account says it.
    """
    from trading.tasks import submission_send

    broker = broker or (
        Submission.objects.filter(pk=submission_id)
        .values_list("order__brokerage_account__broker", flat=True)
        .first()
        or ""
    )
    queue = settings.CELERY_TASK_DEFAULT_QUEUE
    if broker != BrokerKind.PAPER:
        queue = settings.BROKERS_QUEUE
    task_tell(submission_send, (submission_id,), queue)


def order_look_soon(order_id: int) -> None:
    """Have a worker ask how an order went, a moment after it was sent; lost, a poll asks later."""
    from trading.tasks import order_look

    later(partial(order_look.apply_async, (order_id,), countdown=LOOK_AFTER[0]))
