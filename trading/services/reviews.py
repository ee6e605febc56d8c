"""From a ticket to an order: its review, or for a small one none, and its confirmation."""

from dataclasses import replace
from datetime import datetime

from accounts.models import User
from speedtrade.lib.ratelimit import limit_orders
from trading.desks import Desk
from trading.domain.orders import OrderIntent
from trading.models import Order
from trading.reviews import (
    Asked,
    Proof,
    Review,
    may_skip,
    order_by_key,
    review_make,
    skips_reviews,
    unanswered,
)
from trading.services.orders import KeyReused, intent_digest, order_place


def review_confirm(
    *, desk: Desk, asked: Asked, agreed: bool, proof: Proof, confirmed_by: User, now: datetime
) -> Order | Review:
    """The order that a confirmed token becomes, or the review that must be read again first.

    Again: the token is older than REVIEW_LIFETIME, the price has moved by more than
    REVIEW_PRICE_DRIFT, the market has opened or closed, a question is open, or the order is large
    and was not confirmed on purpose.
    The same token twice gives the same order. Raises Denied and RateLimited, as placing does.
    """
    known = order_by_key(user=confirmed_by, key=asked.key)
    if known is not None:
        return known
    review = review_make(desk=desk, intent=asked.intent, user=confirmed_by, asked=asked)
    if review.again or unanswered(review, asked, agreed=agreed):
        return review
    if review.large and not proof.holds(asked.intent.symbol):
        return replace(review, mistyped=proof.typed)
    return _place(desk, asked.intent, asked.key, confirmed_by, now)


def review_or_place(
    *,
    desk: Desk,
    intent: OrderIntent,
    key: str,
    user: User,
    now: datetime,
    waits: bool | None = None,
) -> Order | Review:
    """The review of what a ticket asks for; the order itself where its owner wants no review.

    That is for small orders of a paper account about which nothing is to be asked
    (`User.review_below`), and while the market is as the ticket said: `waits`, if it said so.
    The ticket's `key` makes it happen once; with other terms it raises KeyReused. Raises Denied
    and RateLimited, as placing does.
    """
    skips = skips_reviews(desk.account, user)
    known = order_by_key(user=user, key=key) if skips else None
    if known is not None:
        # Before the review: it would ask whether this very order is meant a second time.
        if known.intent_hash != intent_digest(desk.account.pk, intent):
            raise KeyReused()
        return known
    review = review_make(desk=desk, intent=intent, user=user, waits=waits)
    if not skips or review.again or not may_skip(review, user):
        return review
    return _place(desk, intent, key, user, now)


def _place(desk: Desk, intent: OrderIntent, key: str, user: User, now: datetime) -> Order:
    limit_orders(user.pk)
    order = order_place(
        account=desk.account,
        instrument=desk.instrument,
        intent=intent,
        quote=desk.quote,
        key=key,
        placed_by=user,
        source="page",
        now=now,
    ).order
    type_remember(user=user, order_type=order.order_type)
    return order


def type_remember(*, user: User, order_type: str) -> None:
    """The type of the last order is where the next ticket begins."""
    if user.order_type != order_type:
        user.order_type = order_type
        user.save(update_fields=["order_type"])
