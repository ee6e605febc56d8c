"""Replace an order: cancel it, and when the broker confirms that, send its successor.

The successor is a row at once, so that the answer can name it, but nobody is told of it before the
old order is out of the market: the two can never both fill. What fills meanwhile counts against
the new total.
"""

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import BigIntegerField

from accounts.models import User
from accounts.services.factors import live_check
from marketdata.domain.quotes import Quote
from portfolio.selectors import hold_of
from portfolio.services.books import Books
from portfolio.services.holds import hold_open
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import Conflict, DomainError, InvalidInput
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import ZERO
from trading.domain.orders import (
    EXTENDED,
    FINAL_STATES,
    Changes,
    OrderIntent,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from trading.domain.risk import Terms, assess
from trading.models import Order, OrderEvent, Submission, SubmissionAction
from trading.selectors.facts import funds_now, limits, market_now, rules_of, switches_now
from trading.services.moves import hold_kind, hold_renew, order_hold, order_lock, order_move
from trading.services.outbox import submission_add, submission_wake

#: The one that waits for an order to be out of the market: looked for after each report.
_SUCCESSOR = Compiled(
    lambda: (
        Order.objects.select_for_update(no_key=True, of=("self",))
        .select_related("instrument")
        .filter(replaces=Given("old_id", BigIntegerField()), state=OrderState.PENDING.value)
        .order_by("pk")[:1]
    )
)
REPLACEABLE = frozenset({OrderState.ACCEPTED, OrderState.NEW, OrderState.PARTIALLY_FILLED})


class ReplaceUnsupported(DomainError):
    """This order cannot be changed in place."""

    code = "replace_unsupported"


def order_replace(
    *,
    order: Order,
    changes: Changes,
    quote: Quote | None,
    actor: User,
    source: str,
    key: str | None = None,
    now: datetime,
) -> Order:
    """Ask for the change; the successor, which is sent once the old order is out of the market.

    The same `key` again for the same order gives the successor that it made.
    Raises Conflict (`order_final`, `order_busy`), ReplaceUnsupported (orders in dollars),
    InvalidInput (nothing changes, or the total is not above what has filled), and Denied.
    """
    with transaction.atomic(durable=True):
        old = order_lock(order)
        account = old.brokerage_account
        intent_key = f"replace:{old.pk}:{key or uuid.uuid4().hex}"
        known = Order.objects.filter(replaces=old, intent_key=intent_key).first()
        if known is not None:
            return known
        live_check(actor, account)
        intent = _intent(old, changes)
        old_hold = hold_of(old.pk)
        funds, books = funds_now(
            account=account, instrument=old.instrument, now=now, without=old, hold=old_hold
        )
        terms = assess(
            intent,
            rules_of(old.instrument),
            market_now(old.instrument, quote, now),
            funds,
            limits(account),
            switches_now(account, now),
        )
        new = _successor(old, intent, terms, intent_key, actor, source, now)
        kind, asset = hold_kind(old.side, account.currency, old.instrument.symbol)
        # Until the old order is out its hold serves both; only what is needed on top is added.
        extra = max(terms.hold - old_hold, ZERO)
        hold_open(books=books, kind=kind, asset=asset, order_ref=new.pk, amount=extra, now=now)
        books.save()
        order_move(order=old, new=OrderState.PENDING_REPLACE, source=source, actor=actor, now=now)
        old.updated_at = now
        old.save()
        wake = submission_add(order=old, action=SubmissionAction.CANCEL, now=now).pk
        for changed in (old, new):
            live_publish(user_id=account.user_id, kind="order", thing_id=changed.pk)
    submission_wake(wake)
    return new


def _intent(old: Order, changes: Changes) -> OrderIntent:
    """What is left to do under the new terms."""
    state = OrderState(old.state)
    if state in FINAL_STATES:
        raise Conflict(f"The order is {old.status} already.", code="order_final")
    if state not in REPLACEABLE:
        raise Conflict(code="order_busy")
    if old.qty is None:
        raise ReplaceUnsupported(
            "An order in dollars cannot be changed: cancel it and place a new one."
        )
    if changes.limit_price is not None and old.order_type != OrderType.LIMIT:
        raise InvalidInput.field("limit_price", "A market order has no limit price.")
    total = changes.qty if changes.qty is not None else old.qty
    if total <= old.filled_qty:
        raise InvalidInput.field("qty", "The total must be more than what has filled already.")
    limit = changes.limit_price if changes.limit_price is not None else old.limit_price
    tif = changes.time_in_force or TimeInForce(old.time_in_force)
    if (total, limit, tif) == (old.qty, old.limit_price, TimeInForce(old.time_in_force)):
        raise InvalidInput("Nothing would change: give another qty, limit_price or time_in_force.")
    return OrderIntent(
        symbol=old.instrument.symbol,
        side=Side(old.side),
        order_type=OrderType(old.order_type),
        time_in_force=tif,
        qty=total - old.filled_qty,
        limit_price=limit,
        asset_type=old.instrument.asset_type,
        extended_hours=old.extended_hours and _extends(old),
    )


def _extends(old: Order) -> bool:
    """Whether the wish for extended hours meant anything: once any order could have it."""
    return (old.order_type, old.time_in_force, old.instrument.asset_type) == EXTENDED


def _successor(
    old: Order,
    intent: OrderIntent,
    terms: Terms,
    intent_key: str,
    actor: User,
    source: str,
    now: datetime,
) -> Order:
    from trading.services.orders import expiry

    new = Order.objects.create(
        brokerage_account=old.brokerage_account,
        placed_by=old.placed_by,
        instrument=old.instrument,
        client_order_id=uuid.uuid4().hex,
        intent_key=intent_key,
        intent_hash="",
        side=old.side,
        order_type=old.order_type,
        time_in_force=intent.time_in_force.value,
        qty=intent.qty,
        limit_price=intent.limit_price,
        extended_hours=intent.extended_hours,
        price_bound=terms.price_bound,
        risk_notional=terms.notional,
        fee_rate=old.fee_rate,
        state=OrderState.PENDING.value,
        replaces=old,
        expires_at=expiry(old.brokerage_account, old.instrument, intent.time_in_force, now),
        created_at=now,
        updated_at=now,
    )
    OrderEvent.objects.create(
        order=new,
        at=now,
        new_state=new.state,
        source=source,
        actor=actor,
        reason=f"replaces #{old.pk}",
    )
    return new


def replacement_settle(*, old: Order, now: datetime) -> int | None:
    """When an order that is being replaced has become final: send its successor, or give it up.

    Called with the account and `old` locked; the id of a submission to wake, or None.
    """
    if OrderState(old.state) not in FINAL_STATES:
        return None
    new = _SUCCESSOR.first(old_id=old.pk)
    if new is None or new.qty is None or old.qty is None:
        return None
    if Submission.objects.filter(order=new).exists():
        return None
    new.brokerage_account = old.brokerage_account
    if old.fills_missing_since is not None:
        # What has filled, and is not in our books yet, is not left to do. The hold of the old order
        # is free by now: nobody else may take what both of them are worth.
        if OrderState(old.state) == OrderState.REPLACED:
            hold_renew(new, now)
        return None
    # What filled after the change was asked for counts against the new total.
    # That event alone: a word of the broker's that nobody knows is noted in the same state.
    asked = old.events.filter(new_state=OrderState.PENDING_REPLACE.value)
    before = asked.exclude(old_state=OrderState.PENDING_REPLACE.value).latest("id").data
    late = old.filled_qty - Decimal(before.get("filled_qty", "0"))
    new.qty -= late
    new.updated_at = now
    refusal = _why_not(old, new)
    if refusal:
        new.qty = max(new.qty, new.instrument.qty_step)
        order_move(order=new, new=OrderState.CANCELED, source="replace", reason=refusal, now=now)
        new.save()
        return None
    hold_renew(new, now)
    new.save()
    live_publish(user_id=old.brokerage_account.user_id, kind="order", thing_id=new.pk)
    return submission_add(order=new, action=SubmissionAction.SUBMIT, now=now).pk


def replacement_give_up(*, old: Order, reason: str, now: datetime) -> None:
    """The old order works on: its waiting successor ends, and its hold is free again.

    Called with the account and `old` locked.
    """
    waiting = Order.objects.select_for_update(no_key=True, of=("self",)).filter(
        replaces=old, state=OrderState.PENDING.value
    )
    for new in waiting.select_related("instrument"):
        new.brokerage_account = old.brokerage_account
        order_move(order=new, new=OrderState.CANCELED, source="replace", reason=reason, now=now)
        new.updated_at = now
        new.save()
        live_publish(user_id=old.brokerage_account.user_id, kind="order", thing_id=new.pk)


def _why_not(old: Order, new: Order) -> str:
    """Why the successor cannot go, or nothing when it can."""
    if OrderState(old.state) != OrderState.REPLACED:
        return f"#{old.pk} was {old.status} before it could be replaced"
    if new.qty is not None and new.qty <= 0:
        return f"#{old.pk} filled as much as was asked for"
    pocket = Books(old.brokerage_account).pocket(
        *hold_kind(old.side, old.brokerage_account.currency, old.instrument.symbol)
    )
    if order_hold(new) - hold_of(new.pk) > pocket.balance - pocket.reserved:
        return "late fills left too little for it"
    return ""
