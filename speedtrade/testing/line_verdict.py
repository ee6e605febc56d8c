"""What must hold of an account at a loopback vendor once all is quiet."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from django.db.models import Sum

from portfolio.models import Hold, LedgerAccount, Position
from portfolio.services.rebuild import ledger_differences
from speedtrade.lib.money import MONEY_STEP, ZERO
from speedtrade.testing.line_vendor import There
from speedtrade.testing.lines import Line
from trading.domain.orders import FINAL_STATES, OrderState
from trading.models import BrokerLink, Difference, Fill, Order
from trading.services.moves import order_hold

#: The vendor's word for an order that is final -> ours.
ENDS = {"filled": "filled", "canceled": "canceled", "expired": "expired", "rejected": "rejected"}
FRESH = timedelta(seconds=20)
WORKING = {"accepted", "new", "partially_filled", "suspended"}


def verdict(line: Line) -> Iterator[str]:
    """Every promise that does not hold, in words; none is what a run must end with."""
    if not line.opened:
        yield "the books have not begun"
        return
    yield from _vendor(line)
    yield from _books(line)
    yield from _orders(line)
    yield from _holds(line)
    yield from (f"ledger: {one}" for one in ledger_differences())


def _vendor(line: Line) -> Iterator[str]:
    for name, count in line.accepted().items():
        if count > 1:
            yield f"{name} became {count} orders at the vendor"
    yield from (f"drift: {one}" for one in line.drift())


def _orders(line: Line) -> Iterator[str]:
    theirs, sent = line.there(), line.sent()
    for order in Order.objects.filter(brokerage_account=line.account).order_by("id"):
        there = theirs.pop(order.client_order_id, None)
        if order.external and order.client_order_id in sent:
            yield f"{order} was sent from here, and nobody here knows of it"
        if there is None:
            if order.state not in {"lost", "canceled", "rejected"} or order.filled_qty:
                yield f"{order} is {order.state} with {order.filled_qty}, and not at the vendor"
            if order.state == OrderState.LOST and not order.submissions.exists():
                yield f"{order} is lost without words"
            continue
        yield from _compared(line, order, there)
    for name, there in theirs.items():
        if name not in line.over:
            yield f"{name} ({there.status}, {there.filled}) is unknown here"


def _compared(line: Line, order: Order, there: There) -> Iterator[str]:
    where = f"{order} {'external ' if order.external else ''}{order.state} ({there.status} there)"
    base = line.before.get(order.client_order_id, ZERO)
    fills = [(qty, price) for qty, price, total in there.fills if total > base]
    qty = sum((one[0] for one in fills), ZERO)
    value = sum((one[0] * one[1] for one in fills), ZERO)
    booked = Fill.objects.filter(order=order).aggregate(qty=Sum("qty"))["qty"] or ZERO
    if not order.filled_qty == booked == qty:
        yield f"{where}: filled {order.filled_qty}, fills of {booked}, {qty} there"
    made_up = order.fills.filter(synthetic=True).exists()
    exact = MONEY_STEP * len(fills)  # the books round money with each fill
    if abs(order.filled_notional - value) > (line.rounded if made_up else exact):
        yield f"{where}: for {order.filled_notional}, there {value}"
    if there.status in ENDS:
        late = there.status in {"canceled", "expired"} and order.state == "filled"
        replaced = there.status in {"canceled", "filled"} and order.state == "replaced"
        if order.state != ENDS[there.status] and not late and not replaced:
            yield f"{where}: another end"
    elif there.status == "replaced":
        if order.state not in {"replaced", "filled"}:
            yield f"{where}: another end"
    elif order.state not in WORKING:
        yield f"{where}: it works there"
    if order.submissions.filter(done_at=None).exists():
        yield f"{where}: a submission is not done"
    if order.fills_missing_since:
        yield f"{where}: fills are missing"


def _books(line: Line) -> Iterator[str]:
    pockets = LedgerAccount.objects.filter(brokerage_account=line.account)
    cash = pockets.get(kind="cash", asset="USD").balance
    link = BrokerLink.objects.get(brokerage_account=line.account)
    cash_there, there = line.money_there()
    if abs(cash - cash_there) > line.rounded * 20:
        yield f"cash is {cash}, there {cash_there}"
    rows = Position.objects.filter(brokerage_account=line.account).exclude(qty=0)
    mine = {row.instrument.symbol: row.qty for row in rows.select_related("instrument")}
    apart = {symbol for symbol in mine | there if mine.get(symbol) != there.get(symbol)}
    if apart - set(link.ignored):  # what our books left out may wait for a price, or an order
        yield f"positions are {mine}, there {there}"
    for row in Difference.objects.filter(brokerage_account=line.account, ended_at=None):
        if row.asset not in link.ignored:
            yield f"an open difference: {row}"
    if link.open_since is not None or link.orders_at is None or link.orders_at < line.now - FRESH:
        yield f"the line is down: {link.last_error}"


def _holds(line: Line) -> Iterator[str]:
    reserved: dict[int, Decimal] = {}
    for order in Order.objects.filter(brokerage_account=line.account):
        hold = Hold.objects.get(order_ref=order.pk)
        right = ZERO if OrderState(order.state) in FINAL_STATES else order_hold(order)
        if hold.amount != right:
            yield f"{order} {order.state} holds {hold.amount}, not {right}"
        reserved[hold.ledger_account_id] = reserved.get(hold.ledger_account_id, ZERO) + hold.amount
    for pocket in LedgerAccount.objects.filter(brokerage_account=line.account):
        if pocket.reserved != reserved.get(pocket.pk, ZERO):
            yield f"{pocket} reserves {pocket.reserved}, its orders {reserved.get(pocket.pk)}"
