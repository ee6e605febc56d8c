"""Confirm a review: the step between reading what would be sent and sending it."""

from datetime import datetime

from accounts.models import User
from speedtrade.lib.ratelimit import limit_orders
from trading.desks import Desk
from trading.models import Order
from trading.reviews import Asked, Review, order_by_key, review_make, unanswered
from trading.services.orders import order_place


def review_confirm(
    *, desk: Desk, asked: Asked, agreed: bool, confirmed_by: User, now: datetime
) -> Order | Review:
    """The order that a confirmed token becomes, or the review that must be read again first.

    Again: the token is older than REVIEW_LIFETIME, the price has moved by more than
    REVIEW_PRICE_DRIFT, or a question is open. The same token twice gives the same order. Raises
    Denied and RateLimited, as placing does.
    """
    known = order_by_key(user=confirmed_by, key=asked.key)
    if known is not None:
        return known
    review = review_make(desk=desk, intent=asked.intent, asked=asked)
    if review.again or unanswered(review, asked, agreed=agreed):
        return review
    limit_orders(confirmed_by.pk)
    order = order_place(
        account=desk.account,
        instrument=desk.instrument,
        intent=asked.intent,
        quote=desk.quote,
        key=asked.key,
        placed_by=confirmed_by,
        source="page",
        now=now,
    ).order
    type_remember(user=confirmed_by, order_type=order.order_type)
    return order


def type_remember(*, user: User, order_type: str) -> None:
    """The type of the last order is where the next ticket begins."""
    if user.order_type != order_type:
        user.order_type = order_type
        user.save(update_fields=["order_type"])
