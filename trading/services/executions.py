"""What a broker reports, applied to our books: all that changes an order after it was sent.

Polling, the venue's own reports, look-ups and reconciliation all come through `report_apply`. A
report carries the whole truth of one order (cumulative), so a repeated, late or reordered one
changes nothing.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from portfolio.domain.lots import FillFact
from portfolio.services.books import account_lock
from portfolio.services.fills import fill_book
from speedtrade.lib.crash import crash_point
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import money_round, times
from trading.brokers.base import BrokerFill, BrokerOrder
from trading.domain.orders import OrderState, Side, next_state
from trading.models import Fill, Order
from trading.services.moves import order_hold, order_move
from trading.services.outbox import submission_wake
from trading.services.replacements import replacement_settle

logger = logging.getLogger(__name__)


def report_apply(
    *, account_id: int, report: BrokerOrder, source: str, now: datetime
) -> Order | None:
    """Bring our order to where the broker says it is; the order, or None where it is not ours.

    One transaction: account lock, order lock, each new fill with its postings, the state, the hold.
    """
    wake: int | None = None
    with transaction.atomic():
        account = account_lock(account_id)
        order = (
            Order.objects.select_for_update(no_key=True, of=("self",))
            .select_related("instrument")
            .filter(brokerage_account=account, client_order_id=report.client_order_id)
            .first()
        )
        if order is None:
            logger.warning(
                "report_of_unknown_order", extra={"client_order_id": report.client_order_id}
            )
            return None
        order.brokerage_account = account
        booked = _book_new_fills(order, report.fills, now)
        moved = _move(order, report, source, now)
        if booked or moved:
            order.updated_at = now
            order.save()
            wake = replacement_settle(old=order, now=now)
            crash_point("after_read_before_commit")
            transaction.on_commit(lambda: crash_point("after_apply_before_broadcast"))
            live_publish(user_id=account.user_id, kind="order", thing_id=order.pk)
            live_publish(user_id=account.user_id, kind="portfolio", thing_id=account.pk)
    if wake is not None:
        submission_wake(wake)
    return order


def _book_new_fills(order: Order, fills: Sequence[BrokerFill], now: datetime) -> int:
    """Write the fills that we do not know yet; how many."""
    if not fills:
        return 0
    known = set(Fill.objects.filter(order=order).values_list("trade_id", flat=True))
    # By id: an adapter that merges a stream with a poll may tell of one fill twice in one report.
    fresh = {fill.trade_id: fill for fill in fills if fill.trade_id not in known}
    for fill in fresh.values():
        # The order's money is rounded as a whole, so that splitting a fill changes no cent.
        before = order.filled_notional
        exact = times(fill.qty, fill.price)
        order.filled_qty += fill.qty
        order.filled_notional = money_round(before + exact)
        order.fees += fill.fee
        Fill.objects.create(
            brokerage_account=order.brokerage_account,
            order=order,
            trade_id=fill.trade_id,
            qty=fill.qty,
            price=fill.price,
            fee=fill.fee,
            executed_at=fill.executed_at,
            evidence=dict(fill.evidence),
            created_at=now,
        )
        crash_point("mid_apply")
        fill_book(
            account=order.brokerage_account,
            instrument=order.instrument,
            fact=_fact(order, fill, order.filled_notional - before),
            hold_left=order_hold(order),
            now=now,
        )
    if order.qty is not None and order.filled_qty > order.qty:
        # It happened at the broker, so it stands in the books; somebody has to look (I6).
        logger.error("order_overfilled", extra={"order": order.pk, "qty": str(order.filled_qty)})
    return len(fresh)


def _fact(order: Order, fill: BrokerFill, notional: Decimal) -> FillFact:
    return FillFact(
        reference=fill.trade_id,
        order_ref=order.pk,
        side="buy" if order.side == Side.BUY else "sell",
        qty=fill.qty,
        price=fill.price,
        notional=notional,
        fee=fill.fee,
        executed_at=fill.executed_at,
    )


def _move(order: Order, report: BrokerOrder, source: str, now: datetime) -> bool:
    """Let the report move the order's state; True when it moved."""
    if report.broker_order_id and not order.broker_order_id:
        order.broker_order_id = report.broker_order_id
    filled = order.qty is not None and order.filled_qty >= order.qty
    filled = filled or (report.complete and order.filled_qty >= report.filled_qty)
    new = next_state(
        OrderState(order.state), report.state, filled=filled, some=order.filled_qty > 0
    )
    old = OrderState(order.state)
    if old == OrderState.PENDING_REPLACE and new == OrderState.CANCELED:
        new = OrderState.REPLACED  # the cancel that makes room for the successor
    if new == old:
        return False
    order_move(order=order, new=new, source=source, reason=report.reason, now=now)
    return True
