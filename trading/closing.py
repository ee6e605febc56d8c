"""What trading adds to the end of an account: its part of the data, and what stands in the way."""

from collections.abc import Iterator
from typing import Any

from accounts.models import AccountStatus, BrokerageAccount, User
from trading.models import Order
from trading.presenters import order_payload
from trading.selectors.orders import orders_of

CHUNK = 500  # orders, with their fills, in memory at a time


def orders_export(user: User) -> Iterator[dict[str, Any]]:
    """Every order of a user with its fills, oldest first."""
    rows = Order.objects.filter(brokerage_account__user=user).select_related("instrument")
    whole = rows.prefetch_related("fills").order_by("id")
    for order in whole.iterator(chunk_size=CHUNK):
        yield order_payload(order)


def open_orders_guard(account: BrokerageAccount) -> str:
    """An account with open orders does not close: the market would go on filling them."""
    count = orders_of(account, status="open").count()
    if not count:
        return ""
    if account.status == AccountStatus.ERROR:
        return (
            "Orders of yours are open, and the broker does not take the key: connect a new one and "
            "cancel them, or cancel them at the broker and ask support to give them up here."
        )
    if count == 1:
        return "One order of yours is open: cancel it first."
    return f"{count} orders of yours are open: cancel them first."
