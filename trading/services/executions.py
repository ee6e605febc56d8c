"""What a broker reports, applied to our books: all that changes an order after it was sent.

Polling, the venue's own reports, look-ups and reconciliation all come through `report_apply`. A
report carries the whole truth of one order (cumulative), so a repeated, late or reordered one
changes nothing.
"""

import logging
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import BigIntegerField

from portfolio.domain.lots import FillFact
from portfolio.services.fills import fill_book
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.crash import crash_point
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import ZERO, money_round, plain, times
from speedtrade.lib.rows import row_save, rows_write
from speedtrade.lib.tally import tally
from trading.brokers.base import BrokerFill, BrokerOrder
from trading.domain.fills import Stretch, gaps
from trading.domain.orders import FINAL_STATES, OrderState, Side, next_state
from trading.models import BrokerLink, Fill, Order, OrderEvent, Submission, SubmissionAction
from trading.services.beginnings import seen_read
from trading.services.externals import left_out_bring
from trading.services.moves import order_hold, order_lock_named, order_move
from trading.services.outbox import submission_wake
from trading.services.replacements import replacement_settle

logger = logging.getLogger(__name__)
PRICE_EXACT = Decimal("0.0000000001")
#: Why an order was given up that its broker did not know: the only refusal that can be taken back.
ABSENT = "absent_at_broker"
#: Why one was ended in our books alone: its broker takes the key no more, and it may work on there.
LEFT = "left_at_broker"
_FILLS = Compiled(lambda: Fill.objects.filter(order=Given("order_id", BigIntegerField())))


def report_apply(
    *, account_id: int, report: BrokerOrder, source: str, now: datetime
) -> Order | None:
    """Bring our order to where the broker says it is; the order, or None where it is not ours.

    One transaction: account lock, order lock, each new fill with its postings, the state, the hold.
    """
    wake: int | None = None
    with transaction.atomic():
        order = order_lock_named(account_id, client_order_id=report.client_order_id)
        if order is None:
            logger.warning(
                "report_of_unknown_order", extra={"client_order_id": report.client_order_id}
            )
            return None
        booked = _book_new_fills(order, report, now)
        moved = _move(order, report, source, now)
        late = _fills_late(order, report, source, now)
        if booked or moved or late:
            wake = replacement_settle(old=order, now=now)
        if booked or moved:
            _told(order, now)
        elif late:
            order.save(update_fields=["fills_missing_since"])
    if wake is not None:
        submission_wake(wake)
    return order


def _told(order: Order, now: datetime) -> None:
    """Save a changed order and tell those who look, once it is committed."""
    order.updated_at = now
    row_save(order)
    account = order.brokerage_account
    crash_point("after_read_before_commit")
    transaction.on_commit(lambda: crash_point("after_apply_before_broadcast"))
    live_publish(user_id=account.user_id, kind="order", thing_id=order.pk, account_id=account.pk)


def _fills_late(order: Order, report: BrokerOrder, source: str, now: datetime) -> bool:
    """Note since when the broker's total runs ahead of our fills; whether the note changed."""
    ahead = report.filled_qty - order.cum_base > order.filled_qty
    if ahead == (order.fills_missing_since is not None):
        return False
    if not ahead and (source == "stream" or report.state is None):
        return False  # it may be an old one, or half of one: only what was asked for ends the wait
    order.fills_missing_since = now if ahead else None
    return True


def _book_new_fills(order: Order, report: BrokerOrder, now: datetime) -> int:
    """Write the fills that we do not know yet; how many."""
    fresh = _fresh(order, report) if report.fills else []
    for fill in fresh:
        fill_write(order=order, fill=fill, now=now)
    if order.qty is not None and order.filled_qty > order.qty:
        # It happened at the broker, so it stands in the books; somebody has to look (I6).
        tally("order_overfilled")
        logger.error("order_overfilled", extra={"order": order.pk, "qty": str(order.filled_qty)})
    return len(fresh)


def _fresh(order: Order, report: BrokerOrder) -> list[BrokerFill]:
    """The fills of a report that are not in our books yet, each once."""
    rows = _FILLS.rows(order_id=order.pk)
    known = {row.trade_id for row in rows}
    covered = [Stretch(row.cum_qty - row.qty, row.cum_qty) for row in rows if row.cum_qty]
    made_up = any(row.synthetic for row in rows)
    booked, fresh = order.filled_qty, []
    for fill in report.fills:
        if fill.trade_id in known:
            continue
        if fill.cum_qty is not None:
            stretch = Stretch(fill.cum_qty - fill.qty, fill.cum_qty)
            if stretch.start < order.cum_base or stretch.overlaps(covered):
                continue
            covered.append(stretch)
        elif order.cum_base and fill.executed_at <= order.created_at:
            continue  # it is in the balance that our books begin with
        elif made_up and booked + fill.qty > report.filled_qty - order.cum_base:
            continue  # a fill that we made up stands for it
        # By id too: an adapter that merges a stream with a poll may tell of one fill twice.
        known.add(fill.trade_id)
        booked += fill.qty
        fresh.append(fill)
    return fresh


def fill_write(*, order: Order, fill: BrokerFill, now: datetime, synthetic: bool = False) -> None:
    """Book one fill of a locked order: its row, the ledger, lots, position and hold."""
    left_out_bring(order=order, fill=fill, now=now)
    # The order's money is rounded as a whole, so that splitting a fill changes no cent.
    before = order.filled_notional
    order.filled_qty += fill.qty
    order.filled_notional = money_round(before + times(fill.qty, fill.price))
    order.fees += fill.fee
    row = Fill(
        brokerage_account=order.brokerage_account,
        order=order,
        trade_id=fill.trade_id,
        qty=fill.qty,
        price=fill.price,
        fee=fill.fee,
        fee_qty=fill.fee_qty,
        cum_qty=fill.cum_qty,
        synthetic=synthetic,
        executed_at=fill.executed_at,
        evidence=dict(fill.evidence),
        created_at=now,
    )
    rows_write(row)
    crash_point("mid_apply")
    fill_book(
        account=order.brokerage_account,
        instrument=order.instrument,
        fact=_fact(order, fill, order.filled_notional - before),
        hold_left=order_hold(order),
        now=now,
    )


def fills_make_up(*, account_id: int, report: BrokerOrder, now: datetime) -> bool:
    """Book what a broker says has filled and gives no fill for; whether anything was missing.

    The money comes from the order's average price, so the books agree with the broker's total; it
    is over the whole order, so what the opening balance has of it comes off at its own average. Ids
    are made of the order and the stretch: the same gap is the same fill whenever it is found.
    """
    wake: int | None = None
    with transaction.atomic():
        order = order_lock_named(account_id, client_order_id=report.client_order_id)
        if order is None or report.avg_price is None:
            return False
        total = report.filled_qty - order.cum_base
        missing = total - order.filled_qty
        before = times(order.cum_base, _price_before(order, report))
        whole = times(report.filled_qty, report.avg_price)
        money_missing = whole - before - order.filled_notional
        if missing <= 0 or money_missing <= 0:
            return False
        price = (money_missing / missing).quantize(PRICE_EXACT)
        rows = Fill.objects.filter(order=order, cum_qty__isnull=False)
        covered = [Stretch(row.cum_qty - row.qty, row.cum_qty) for row in rows if row.cum_qty]
        loose = sum((row.qty for row in Fill.objects.filter(order=order, cum_qty=None)), ZERO)
        if order.cum_base:
            covered.append(Stretch(ZERO, order.cum_base))
        # Fills without a place in the order are taken as its beginning.
        start = order.cum_base + loose
        holes = [Stretch(start, report.filled_qty)] if loose else gaps(covered, report.filled_qty)
        for hole in holes:
            fill_write(
                order=order,
                fill=BrokerFill(
                    trade_id=f"made-up:{order.pk}:{plain(hole.end)}",
                    qty=hole.qty,
                    price=price,
                    fee=ZERO,
                    executed_at=report.at,
                    evidence={"why": "the broker gave no fill for it"},
                    cum_qty=hole.end,
                ),
                now=now,
                synthetic=True,
            )
        logger.error("fill_made_up", extra={"order": order.pk, "qty": str(missing)})
        _move(order, report, "poll", now)
        order.fills_missing_since = None
        wake = replacement_settle(old=order, now=now)
        _told(order, now)
    if wake is not None:
        submission_wake(wake)
    return True


def _price_before(order: Order, report: BrokerOrder) -> Decimal:
    """At what the part of an order filled that was seen when the books began, as far as told."""
    if not order.cum_base:
        return ZERO
    link = BrokerLink.objects.filter(brokerage_account=order.brokerage_account_id).first()
    seen = seen_read(link, report) if link else None
    known = seen is not None and seen.qty == order.cum_base
    return (seen.avg_price if seen and known else None) or report.avg_price or ZERO


def _fact(order: Order, fill: BrokerFill, notional: Decimal) -> FillFact:
    """What the fill did to the holding: a fee in units never arrives, or goes on top of a sale."""
    buying = order.side == Side.BUY
    return FillFact(
        reference=fill.trade_id,
        order_ref=order.pk,
        side="buy" if buying else "sell",
        qty=fill.qty - fill.fee_qty if buying else fill.qty + fill.fee_qty,
        price=fill.price,
        notional=notional,
        fee=fill.fee,
        executed_at=fill.executed_at,
    )


def _move(order: Order, report: BrokerOrder, source: str, now: datetime) -> bool:
    """Let the report move the order's state; True when anything of the order changed."""
    named = bool(report.broker_order_id and not order.broker_order_id)
    if named:
        order.broker_order_id = report.broker_order_id
    if report.state is None:
        _note_unknown_word(order, report, source, now)
    total = report.filled_qty - order.cum_base
    filled = order.qty is not None and order.filled_qty >= order.qty
    filled = filled or (report.complete and order.filled_qty >= total > 0)
    old, absent = OrderState(order.state), order.reject_code in {ABSENT, LEFT}
    new = next_state(old, report.state, filled=filled, some=order.filled_qty > 0, absent=absent)
    if old == OrderState.PENDING_REPLACE and new == OrderState.CANCELED:
        new = OrderState.REPLACED  # the cancel that makes room for the successor
    if new == old:
        return named
    if absent and new not in FINAL_STATES and _cancel_wanted(order):
        new = OrderState.PENDING_CANCEL  # given up since, and not taken back; it is asked for again
    if new == OrderState.REJECTED:
        order.reject_code = report.code or "broker_rejected"
        order.reject_reason = report.reason[:300]
    if absent:
        order.reject_code = order.reject_reason = ""
        order.canceled_at = None
        logger.error("order_resurrected", extra={"order": order.pk})
    order_move(order=order, new=new, source=source, reason=report.reason, now=now, sent=report.sent)
    return True


def _cancel_wanted(order: Order) -> bool:
    return Submission.objects.filter(order=order, action=SubmissionAction.CANCEL).exists()


def _note_unknown_word(order: Order, report: BrokerOrder, source: str, now: datetime) -> None:
    """A status that we have never heard of changes nothing, and somebody is told, once."""
    tally("unknown_status")
    logger.error("unknown_status", extra={"order": order.pk, "status": report.raw_status})
    reason = f"the broker says {report.raw_status[:60]!r}, which is not known here"
    if not OrderEvent.objects.filter(order=order, reason=reason).exists():
        OrderEvent.objects.create(
            order=order,
            at=now,
            old_state=order.state,
            new_state=order.state,
            source=source,
            reason=reason,
        )
