"""Orders that were sent and that their broker does not know: who may give them up, and when.

The hold stays until then. Giving up is no proof: whatever turns up later is taken in after all.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib.errors import Conflict, Unavailable
from speedtrade.lib.live import live_publish
from trading.domain.orders import OrderState
from trading.models import Order, Submission
from trading.selectors.facts import blind_words
from trading.selectors.watch import lost_orders
from trading.services.executions import ABSENT
from trading.services.moves import order_lock, order_move

ABSENT_WORDS = "The broker never confirmed it and does not know it. It was not sent again."


def lost_release(
    *, order: Order, actor: User | None, reason: str, source: str, now: datetime
) -> Order:
    """Give a lost order up and free its hold, after a last look by the worker's synchronisation.

    `actor` None is the command line.

    Raises Conflict where it is not lost (any more), or was looked for too long ago to say,
    Unavailable while the account cannot be read, InvalidInput without a reason.
    """
    reason = reason_required(reason)
    if blind_words(order.brokerage_account, now):
        raise Unavailable("The broker cannot be read now, so nobody knows. Try again later.")
    with transaction.atomic():
        locked = order_lock(order)
        if locked.state != OrderState.LOST:
            raise Conflict(f"The order is not lost: it is {locked.status}.")
        _give_up(locked, source=source, reason=reason, actor=actor, now=now)
        audit_record(
            actor=actor,
            action="order.release",
            target=f"order:{locked.pk}",
            reason=reason,
            data={},
            now=now,
        )
    return locked


def lost_give_up(*, now: datetime) -> int:
    """Give up what has been lost for settings.LOST_AFTER, at accounts that can be read."""
    count = 0
    for order in lost_orders().filter(
        updated_at__lte=now - settings.LOST_AFTER,
        brokerage_account__link__orders_at__gte=now - settings.BLIND_AFTER,
    ):
        with transaction.atomic():
            locked = order_lock(order)
            if locked.state == OrderState.LOST:
                _give_up(locked, source="sweep", reason="unknown for a day", actor=None, now=now)
                count += 1
    return count


def lost_proved_unsent(order: Order, *, reason: str, now: datetime) -> None:
    """End a locked order that was lost and, as its worker knows by now, never left."""
    _give_up(order, source="worker", reason=reason, actor=None, now=now)


def _give_up(order: Order, *, source: str, reason: str, actor: User | None, now: datetime) -> None:
    order.reject_code, order.reject_reason = ABSENT, ABSENT_WORDS
    order_move(
        order=order, new=OrderState.REJECTED, source=source, reason=reason, actor=actor, now=now
    )
    order.updated_at = now
    order.save()
    Submission.objects.filter(order=order, done_at__isnull=True).update(done_at=now)
    live_publish(
        user_id=order.brokerage_account.user_id,
        kind="order",
        thing_id=order.pk,
        account_id=order.brokerage_account_id,
    )
