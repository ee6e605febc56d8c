"""Open orders of an account whose key is dead: nobody can ask about them or cancel them any more.

A revoked key or a closed account at the broker would else keep its owner from leaving for ever.
They end in our books alone and may live on at the broker; a key that works takes them in again.
"""

from datetime import datetime

from django.db import transaction

from accounts.models import AccountStatus, BrokerageAccount, User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib.errors import Conflict
from speedtrade.lib.live import live_publish
from trading.domain.orders import FINAL_STATES, SENT_STATES, OrderState
from trading.models import BrokerLink, Order, Submission
from trading.selectors.facts import blind_words
from trading.services.executions import LEFT
from trading.services.lost import lost_release
from trading.services.moves import order_lock, order_move
from trading.services.replacements import replacement_give_up

LEFT_WORDS = "The broker does not take the key any more. The order may still be open there."
ANSWERED = "The broker still answers for this account: ask it to cancel the order."


def is_unreachable(account: BrokerageAccount, now: datetime) -> bool:
    """Whether the broker refused the key and has answered nothing since, for as long as counts.

    An account in error may be one that is blocked, or whose line is away: that one works on.
    """
    if account.status != AccountStatus.ERROR or not blind_words(account, now):
        return False
    link = BrokerLink.objects.filter(brokerage_account=account)
    return link.filter(key_refused_at__isnull=False).exists()


def order_give_up(
    *, order: Order, actor: User | None, reason: str, source: str, now: datetime
) -> str:
    """End an order that nobody knows the fate of, in the way that fits it; what came of it.

    Raises what `lost_release` and `unreachable_release` do. No actor: by the command line.
    """
    if is_unreachable(order.brokerage_account, now):
        unreachable_release(order=order, actor=actor, reason=reason, source=source, now=now)
        return "given up here; its hold is free. It may still be open at the broker."
    lost_release(order=order, actor=actor, reason=reason, source=source, now=now)
    return "given up; its hold is free."


def unreachable_release(
    *, order: Order, actor: User | None, reason: str, source: str, now: datetime
) -> Order:
    """End an order in our books and free its hold, where its broker can be told nothing.

    Raises Conflict where the order has ended or was never sent, or where the account can be read
    or is not in error, and InvalidInput without a reason.
    """
    reason = reason_required(reason)
    with transaction.atomic():
        locked = order_lock(order)
        account, before = locked.brokerage_account, OrderState(locked.state)
        if before in FINAL_STATES:
            raise Conflict(f"The order is {locked.status} already.", code="order_final")
        if before not in SENT_STATES:
            raise Conflict("The broker was never told of the order: cancel it.")
        if not is_unreachable(account, now):
            raise Conflict(ANSWERED)
        locked.reject_code, locked.reject_reason = LEFT, LEFT_WORDS
        order_move(
            order=locked,
            new=OrderState.CANCELED,
            source=source,
            reason=f"{reason} (in our books only: {LEFT_WORDS})",
            actor=actor,
            now=now,
        )
        locked.updated_at = now
        locked.save()
        Submission.objects.filter(order=locked, done_at__isnull=True).update(done_at=now)
        replacement_give_up(old=locked, reason="the old order was given up", now=now)
        audit_record(
            actor=actor,
            action="order.release",
            target=f"order:{locked.pk}",
            reason=reason,
            data={"from": before.value, "may_live_at_broker": True},
            now=now,
        )
        live_publish(
            user_id=account.user_id, kind="order", thing_id=locked.pk, account_id=account.pk
        )
    return locked
