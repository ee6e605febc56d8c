"""Cancels of many orders, each on its own, and those that a broker thought better of."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from accounts.models import BrokerageAccount, User
from speedtrade.lib.errors import Conflict
from trading.domain.orders import OrderState
from trading.models import Order, Submission, SubmissionAction
from trading.selectors.orders import orders_cancelable
from trading.services.orders import order_cancel
from trading.services.submissions import cancel_refused

WORKING = frozenset(
    {OrderState.ACCEPTED, OrderState.NEW, OrderState.PARTIALLY_FILLED, OrderState.SUSPENDED}
)


@dataclass(frozen=True, slots=True)
class CanceledAll:
    """How many orders were asked to end, and which could not be, with the reason."""

    asked: int
    refused: tuple[tuple[Order, str], ...]


def orders_cancel_all(*, account: BrokerageAccount, actor: User, now: datetime) -> CanceledAll:
    """Ask to cancel each open order of the account; one that cannot be does not stop the others.

    An order that filled meanwhile, or that is being replaced, is told among the refusals.
    """
    asked = 0
    refused: list[tuple[Order, str]] = []
    for order in list(orders_cancelable(account)):
        try:
            order_cancel(order=order, actor=actor, source="page", reason="cancel all", now=now)
            asked += 1
        except Conflict as error:
            refused.append((order, error.detail))
    return CanceledAll(asked, tuple(refused))


def cancel_again(*, order: Order, reported: OrderState | None, now: datetime) -> None:
    """Ask again where a broker took a cancel and the order works on all the same.

    Its word for "heard" is no promise: it counts as a refusal, of which there are only so many.
    """
    waiting = order.state in {OrderState.PENDING_CANCEL, OrderState.PENDING_REPLACE}
    if not waiting or reported not in WORKING:
        return
    heard = Submission.objects.filter(
        order=order,
        action=SubmissionAction.CANCEL,
        done_at__lte=now - settings.SUBMIT_UNKNOWN_AFTER,
    ).first()
    if heard is not None:
        cancel_refused(order, heard)
