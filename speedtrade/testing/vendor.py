"""A broker that does what a test tells it, with a truth of its own to compare with ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from trading.brokers.base import (
    Booked,
    BrokerFill,
    BrokerOrder,
    BrokerRequest,
    Budget,
    Capabilities,
    CashEvent,
    DuplicateClientOrderId,
    Holdings,
    IdScope,
    KeyFacts,
    NotCancelable,
    OrderRef,
    nothing_booked,
)
from trading.domain.orders import FINAL_STATES, OrderState

CAPS = Capabilities(
    asset_types=frozenset({"stock", "crypto"}),
    order_types=frozenset({"market", "limit"}),
    times_in_force=frozenset({"day", "gtc", "ioc", "fok"}),
    fractional=True,
    id_scope=IdScope.ALL_TIME,
    lookup_is_proof=True,
    push_updates=False,
)


@dataclass
class Vendor:
    """One account at a broker. `script` says how the next submits go; then all are accepted.

    A step is None (accept), an exception (raise it; the order never arrives) or "taken" with an
    exception (the order arrives, the answer does not).
    """

    caps: Capabilities = CAPS
    script: list[Any] = field(default_factory=list)
    lookups: list[Exception] = field(default_factory=list)
    blind: int = 0  # so many look-ups do not see yet what is there
    cancels: list[Exception] = field(default_factory=list)
    book: dict[str, BrokerOrder] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    listed: list[list[str]] = field(default_factory=list)
    hands: Holdings = field(default_factory=lambda: Holdings("USD", Decimal(100_000), ()))
    events: list[CashEvent] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        self.sent.append(request.client_order_id)
        step = self.script.pop(0) if self.script else None
        taken, error = step if isinstance(step, tuple) else (step is None, step)
        if taken:
            if request.client_order_id in self.book and self.caps.id_scope == IdScope.ALL_TIME:
                raise DuplicateClientOrderId(request.client_order_id)
            self.book[request.client_order_id] = BrokerOrder(
                request.client_order_id,
                f"V{len(self.book) + 1}",
                OrderState.NEW,
                Decimal(0),
                (),
                timezone.now(),
            )
        if error is not None:
            raise error
        return self.book[request.client_order_id]

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        self.asked.append(ref.client_order_id)
        if self.lookups:
            raise self.lookups.pop(0)
        if self.blind:
            self.blind -= 1
            return None
        return self.book.get(ref.client_order_id)

    def cancel_order(self, ref: OrderRef) -> None:
        if self.cancels:
            raise self.cancels.pop(0)
        order = self.book.get(ref.client_order_id)
        if order is None or order.state in FINAL_STATES:
            raise NotCancelable(ref.client_order_id)
        self.book[ref.client_order_id] = replace(order, state=OrderState.CANCELED)

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        wanted = [ref.client_order_id for ref in refs]
        self.listed.append(wanted)
        if self.lookups:
            raise self.lookups.pop(0)
        return [self.book[one] for one in wanted if one in self.book]

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        if self.lookups:
            raise self.lookups.pop(0)
        if self.blind:
            self.blind -= 1
            return []
        return list(self.book.values())

    def holdings(self) -> Holdings:
        return self.hands

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        return list(self.events)

    def check(self) -> KeyFacts:
        return KeyFacts(may_trade=True, words="It may trade.")

    def fill(self, client_order_id: str, qty: str, price: str, *, done: bool = False) -> None:
        """Somebody traded with the order."""
        order = self.book[client_order_id]
        trade = BrokerFill(
            f"{order.broker_order_id}-{len(order.fills) + 1:06d}",
            Decimal(qty),
            Decimal(price),
            Decimal(0),
            timezone.now(),
        )
        self.book[client_order_id] = replace(
            order,
            fills=(*order.fills, trade),
            filled_qty=order.filled_qty + trade.qty,
            state=OrderState.FILLED if done else OrderState.PARTIALLY_FILLED,
            complete=done,
        )
