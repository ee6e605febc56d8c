"""Cancel everything that is open: one cancel per order, each on its own."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import BrokerageAccount, User
from speedtrade.lib.errors import Conflict
from trading.models import Order
from trading.selectors import orders_cancelable
from trading.services.orders import order_cancel


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
