"""Orders, cash and prices as a test wants them, with the books as the services would leave them.

Unlike `trading.tests.desk` it needs no clock of its own and no venue: an order is put into its
state by the report that a venue would have sent.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.models import BrokerageAccount
from marketdata import quote_store
from marketdata.models import Instrument
from portfolio.models import Direction
from portfolio.services.books import Books, account_lock
from portfolio.services.holds import hold_open
from portfolio.services.transfers import cash_post
from speedtrade.lib.money import ZERO, money_round, times
from speedtrade.testing.market import quote
from trading.brokers.base import BrokerOrder
from trading.brokers.paper.adapter import broker_order
from trading.domain.orders import OrderState
from trading.models import Order, OrderEvent, PaperFill, PaperOrder, Submission, SubmissionAction
from trading.services.executions import report_apply
from trading.services.moves import hold_kind, order_hold, order_move

D = Decimal


def instrument_make(
    symbol: str, name: str, price: Decimal, tick: str, *, as_of: datetime
) -> Instrument:
    """An instrument whose one quote stands in Redis, dated `as_of`; there already, it is kept."""
    crypto, step = "/" in symbol, D(tick)
    made, _ = Instrument.objects.get_or_create(
        symbol=symbol,
        defaults={
            "name": name,
            "asset_type": "crypto" if crypto else "stock",
            "exchange": "CRYPTO" if crypto else "NYSE",
            "price_tick": step,
            "qty_step": D("0.000000001"),
            "min_qty": D("0.000000001"),
            "min_notional": D(0),
            "fractionable": True,
        },
    )
    before = (price * D("0.99")).quantize(step)
    one = quote(
        symbol,
        f"{price - step:f}",
        f"{price:f}",
        now=as_of,
        sizes=("100", "250", "75"),
        step=tick,
        prev_close=f"{before:f}",
    )
    quote_store.quotes_put([one])
    return made


def price_of(instrument: Instrument) -> Decimal:
    known = quote_store.quote_get(instrument.symbol)
    return known.last if known else D(100)


def cash_move(account: BrokerageAccount, amount: Decimal, now: datetime) -> None:
    """Paper cash in, or with a negative amount out, whatever the limit of one transfer is."""
    with transaction.atomic():
        cash_post(
            account=account_lock(account.pk),
            direction=Direction.DEPOSIT if amount > 0 else Direction.WITHDRAWAL,
            amount=abs(amount),
            reference=f"states:{uuid.uuid4().hex}",
            now=now,
        )


# ── an order in the state that is asked for ──────────────────────────────────
@dataclass(frozen=True, slots=True)
class Life:
    """What is ordered, and how far it came. With a limit it is a limit order."""

    instrument: Instrument
    qty: Decimal
    price: Decimal
    state: OrderState = OrderState.FILLED
    side: str = "buy"
    limit: Decimal | None = None
    filled: Decimal = ZERO
    reason: str = ""


def order_live(account: BrokerageAccount, life: Life, placed: datetime) -> Order:
    """Take an order to its state: the books as `order_place` and the venue's report leave them."""
    with transaction.atomic():
        order = _placed(account_lock(account.pk), life, placed)
    told = placed + timedelta(seconds=2)
    if life.state == OrderState.REJECTED:
        Order.objects.filter(pk=order.pk).update(
            reject_code="broker_rejected", reject_reason=life.reason
        )
        report = BrokerOrder(
            order.client_order_id, "", life.state, ZERO, (), told, reason=life.reason
        )
    else:
        report = _at_the_venue(order, life, told)
    report_apply(account_id=account.pk, report=report, source="venue", now=told)
    return order


def _placed(locked: BrokerageAccount, life: Life, placed: datetime) -> Order:
    """The order with its hold and its done outbox row, as if the worker had just sent it."""
    name = uuid.uuid4().hex
    bound = life.limit or (life.price * (D("1.05") if life.side == "buy" else D("0.95")))
    order = Order.objects.create(
        brokerage_account=locked,
        placed_by_id=locked.user_id,
        instrument=life.instrument,
        client_order_id=name,
        intent_key=f"states:{name}",
        intent_hash=hashlib.sha256(name.encode()).hexdigest(),
        side=life.side,
        order_type="limit" if life.limit else "market",
        time_in_force="gtc",
        qty=life.qty,
        limit_price=life.limit,
        price_bound=bound,
        risk_notional=money_round(times(life.qty, life.price)),
        created_at=placed,
        submitted_at=placed,
        updated_at=placed,
    )
    books = Books(locked)
    kind, asset = hold_kind(life.side, locked.currency, life.instrument.symbol)
    hold_open(
        books=books,
        kind=kind,
        asset=asset,
        order_ref=order.pk,
        amount=order_hold(order),
        now=placed,
    )
    books.save()
    OrderEvent.objects.create(
        order=order, at=placed, new_state=order.state, source="page", actor_id=locked.user_id
    )
    order_move(order=order, new=OrderState.SUBMITTING, source="worker", now=placed)
    order.save(update_fields=["state"])
    Submission.objects.create(
        order=order,
        action=SubmissionAction.SUBMIT,
        created_at=placed,
        available_at=placed,
        claimed_at=placed,
        done_at=placed,
        attempts=1,
    )
    return order


def _at_the_venue(order: Order, life: Life, told: datetime) -> BrokerOrder:
    """The venue's own row and fill of it, and what the venue would report."""
    filled = life.qty if life.state == OrderState.FILLED else life.filled
    paper = PaperOrder.objects.create(
        account_ref=order.brokerage_account_id,
        client_order_id=order.client_order_id,
        instrument=life.instrument,
        side=life.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        qty=life.qty,
        limit_price=life.limit,
        price_bound=order.price_bound,
        fee_rate=D(0),
        status=life.state.value,
        reason=life.reason,
        filled_qty=filled,
        filled_notional=money_round(times(filled, life.price)),
        received_at=told,
        updated_at=told,
    )
    fills = []
    if filled:
        evidence = {"rule": "displayed-depth-1", "price": f"{life.price:f}"}
        fills.append(
            PaperFill.objects.create(
                order=paper,
                sequence=1,
                qty=filled,
                price=life.price,
                fee=D(0),
                evidence=evidence,
                executed_at=told,
            )
        )
    return broker_order(paper, fills)
