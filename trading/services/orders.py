"""Place and cancel orders: the one way in for pages, API, admin and whatever comes later."""

import hashlib
import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, CharField

from accounts.models import BrokerageAccount, BrokerKind, User
from accounts.services.audit import audit_record
from accounts.services.factors import live_check
from marketdata.domain.quotes import Quote
from marketdata.hours import market_hours
from marketdata.models import Instrument
from portfolio.services.books import account_lock, account_locked
from portfolio.services.holds import hold_new
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.crash import crash_point
from speedtrade.lib.errors import Conflict, DomainError
from speedtrade.lib.live import live_publish
from speedtrade.lib.money import plain
from speedtrade.lib.rows import rows_write
from trading.domain.orders import (
    FINAL_STATES,
    IMMEDIATE_TIFS,
    OrderIntent,
    OrderState,
    TimeInForce,
)
from trading.domain.risk import Terms, assess
from trading.models import Order, OrderEvent, Submission, SubmissionAction
from trading.selectors.facts import (
    funds_now,
    halt_reason,
    limits,
    market_now,
    rules_of,
    switches_now,
)
from trading.services.moves import hold_kind, order_lock, order_move
from trading.services.outbox import submission_add, submission_new, submission_wake

logger = logging.getLogger(__name__)
Source = Literal["page", "api", "admin", "command"]
ONE_INTENT = "order_intent_once"  # the constraint behind the key
IMMEDIATE_LIFETIME = timedelta(seconds=30)  # an ioc or fok that met no market by then ends

_LOCKED = Compiled(lambda: account_locked(halted=halt_reason()))
_KNOWN = Compiled(
    lambda: Order.objects.select_related("instrument", "brokerage_account").filter(
        placed_by=Given("user_id", BigIntegerField()), intent_key=Given("key", CharField())
    )
)


class KeyReused(DomainError):
    """The key came before, with another body."""

    code = "idempotency_mismatch"


class ClientOrderIdTaken(DomainError):
    """Another order of this account has the id."""

    code = "client_order_id_taken"


@dataclass(frozen=True, slots=True)
class Placed:
    """The order, and whether this call made it (or found the one that the key made before)."""

    order: Order
    created: bool


def order_place(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    intent: OrderIntent,
    quote: Quote | None,
    key: str | None,
    placed_by: User,
    source: Source,
    now: datetime,
    digest: str = "",
) -> Placed:
    """Take an order in: check it, put its cost on hold, write it with its outbox row.

    `key` (or the intent's client_order_id) makes it happen once: the same again gives the first
    order, with another body it raises KeyReused. `digest` says what the same is, where that is not
    the intent. May raise Denied with any code of the risk checks,
    InsufficientFunds or InsufficientPosition (the race was lost), ClientOrderIdTaken, and
    SecondFactorMissing for real money behind a password alone.
    """
    intent_key = _intent_key(intent, key)
    digest = digest or intent_digest(account.pk, intent)
    try:
        placed, submission = _place(
            account, instrument, intent, quote, key, (intent_key, digest), placed_by, source, now
        )
    except IntegrityError as error:
        # The lock is one account's: the same key came into another one at the same moment.
        if ONE_INTENT not in str(error) or _known(placed_by, intent_key, digest) is None:
            raise
        raise KeyReused() from error
    if submission is not None:
        crash_point("after_commit_before_wakeup")
        submission_wake(submission.pk, account.broker)
        crash_point("after_wakeup_before_response")
    return placed


def _place(
    account: BrokerageAccount,
    instrument: Instrument,
    intent: OrderIntent,
    quote: Quote | None,
    key: str | None,
    once: tuple[str, str],
    placed_by: User,
    source: Source,
    now: datetime,
) -> tuple[Placed, Submission | None]:
    """The one transaction of `order_place`; `once` is the key and what makes two requests one."""
    intent_key, digest = once
    with transaction.atomic(durable=True):
        locked = account_lock(account.pk, _LOCKED)
        known = _known(placed_by, intent_key, digest) or _named(locked, intent, key, digest)
        if known is not None:
            return Placed(known, False), None
        live_check(placed_by, account)  # an order that was taken is told all the same
        crash_point("after_idempotency_row")
        funds, books = funds_now(account=locked, instrument=instrument, now=now)
        terms = assess(
            intent,
            rules_of(instrument),
            market_now(instrument, quote, now),
            funds,
            limits(locked),
            # The switch as it was before the lock came; a worker looks at it again.
            switches_now(locked, now, halted=locked.halted),  # type: ignore[attr-defined]
        )
        order = _new(locked, instrument, intent, terms, intent_key, digest, placed_by, now)
        kind, asset = hold_kind(order.side, locked.currency, instrument.symbol)
        hold = hold_new(books=books, kind=kind, asset=asset, amount=terms.hold, now=now)
        placed = OrderEvent(
            at=now,
            new_state=OrderState.PENDING.value,
            source=source,
            actor=placed_by,
            reason="placed",
        )
        submission = submission_new(now)
        rows_write(
            order,
            followers=((placed, "order"), (hold, "order_ref"), (submission, "order")),
            changed=[(pocket, ("reserved",)) for pocket in books.reserved_rows()],
        )
        crash_point("after_hold")
        live_publish(user_id=locked.user_id, kind="order", thing_id=order.pk, account_id=locked.pk)
        crash_point("before_commit")
    return Placed(order, True), submission


def _intent_key(intent: OrderIntent, key: str | None) -> str:
    if key:
        return f"key:{key}"
    return f"id:{intent.client_order_id}" if intent.client_order_id else f"new:{uuid.uuid4().hex}"


def intent_digest(account_id: int, intent: OrderIntent) -> str:
    """What makes two requests the same: their meaning, not their bytes."""
    parts: list[object] = [account_id]
    for name in intent.__slots__:
        value = getattr(intent, name)
        parts.append(plain(value) if isinstance(value, Decimal) else value)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _known(user: User, intent_key: str, digest: str) -> Order | None:
    order = _KNOWN.first(user_id=user.pk, key=intent_key)
    if order is not None and order.intent_hash != digest:
        raise KeyReused()
    return order


def _named(
    account: BrokerageAccount, intent: OrderIntent, key: str | None, digest: str
) -> Order | None:
    """The order that has the client order id already; raises ClientOrderIdTaken for another one.

    Without a key the id is the key: a retry that lost its Idempotency-Key finds its order.
    """
    if not intent.client_order_id:
        return None
    order = (
        Order.objects.select_related("instrument", "brokerage_account")
        .filter(brokerage_account=account, client_order_id=intent.client_order_id)
        .first()
    )
    if order is not None and (key or order.intent_hash != digest):
        raise ClientOrderIdTaken()
    return order


def _new(
    account: BrokerageAccount,
    instrument: Instrument,
    intent: OrderIntent,
    terms: Terms,
    intent_key: str,
    digest: str,
    placed_by: User,
    now: datetime,
) -> Order:
    return Order(
        brokerage_account=account,
        placed_by=placed_by,
        instrument=instrument,
        client_order_id=intent.client_order_id or uuid.uuid4().hex,
        intent_key=intent_key,
        intent_hash=digest,
        side=intent.side.value,
        order_type=intent.order_type.value,
        time_in_force=intent.time_in_force.value,
        qty=intent.qty,
        notional=intent.notional,
        limit_price=intent.limit_price,
        extended_hours=intent.extended_hours,
        price_bound=terms.price_bound,
        risk_notional=terms.notional.quantize(Decimal("0.00000001")),
        max_qty=terms.max_qty,
        fee_rate=rules_of(instrument).fee_rate,
        state=OrderState.PENDING.value,
        expires_at=expiry(account, instrument, intent.time_in_force, now),
        created_at=now,
        updated_at=now,
    )


def expiry(
    account: BrokerageAccount, instrument: Instrument, tif: TimeInForce, now: datetime
) -> datetime | None:
    """When an order ends by itself: the close, ninety days, or at once.

    None where a broker keeps the order: it knows when, and tells.
    """
    if account.broker != BrokerKind.PAPER:
        return None
    if tif in IMMEDIATE_TIFS:
        return now + IMMEDIATE_LIFETIME
    if tif == TimeInForce.GTC:
        return now + settings.GTC_LIFETIME
    hours = market_hours()
    if hours.is_open(instrument.asset_type, now):
        return hours.next_close(instrument.asset_type, now)
    return hours.next_close(instrument.asset_type, hours.next_open(instrument.asset_type, now))


def order_cancel(
    *, order: Order, actor: User, source: Source, reason: str = "", now: datetime
) -> Order:
    """Cancel an order: at once while nobody has been told, through the broker afterwards.

    Asking again while a cancel is under way is no error. Raises Conflict `order_final`.
    """
    wake = None
    with transaction.atomic(durable=True):
        locked = order_lock(order)
        account = locked.brokerage_account
        state = OrderState(locked.state)
        if state in FINAL_STATES:
            raise Conflict(f"The order is {locked.status} already.", code="order_final")
        if state == OrderState.PENDING_CANCEL:
            return locked
        if state in {OrderState.LOST, OrderState.PENDING_REPLACE}:
            raise Conflict(code="order_busy")
        untold = state == OrderState.PENDING
        new = OrderState.CANCELED if untold else OrderState.PENDING_CANCEL
        order_move(
            order=locked,
            new=new,
            source=source,
            reason=reason or "cancel asked for",
            actor=actor,
            now=now,
        )
        locked.updated_at = now
        locked.save()
        if source == "admin":
            audit_record(
                actor=actor,
                action="order.cancel",
                target=f"order:{locked.pk}",
                reason=reason,
                data={"from": state.value, "to": new.value},
                now=now,
            )
        if untold:
            Submission.objects.filter(order=locked, done_at__isnull=True).update(done_at=now)
        else:
            wake = submission_add(order=locked, action=SubmissionAction.CANCEL, now=now).pk
        live_publish(
            user_id=account.user_id, kind="order", thing_id=locked.pk, account_id=account.pk
        )
    if wake is not None:
        submission_wake(wake)
    return locked
