"""The truth of one account at the Alpaca-like vendor, and the hands that move it.

Kept apart from anything of ours: what stands here is what the books must agree with afterwards.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

OPEN = frozenset(
    [
        "new",
        "accepted",
        "pending_new",
        "partially_filled",
        "held",
        "suspended",
        "stopped",
        "calculated",
        "pending_cancel",
        "pending_replace",
        "pending_review",
        "accepted_for_bidding",
    ]
)
ZERO = Decimal(0)


class Refused(Exception):
    """The vendor says no: the status and body of its answer."""

    def __init__(self, status: int, code: int, message: str, **more: str) -> None:
        self.status, self.body = status, {"code": code, "message": message, **more}
        super().__init__(message)


@dataclass
class VendorFill:
    """One execution; `cum` is the order's quantity with it."""

    qty: Decimal
    price: Decimal
    cum: Decimal
    at: datetime
    activity_id: str
    execution_id: str


@dataclass
class VendorOrder:
    """An order as the vendor keeps it."""

    client_order_id: str
    symbol: str
    asset_class: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    created_at: datetime
    status: str = "new"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    fills: list[VendorFill] = field(default_factory=list)
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None

    @property
    def filled(self) -> Decimal:
        return sum((one.qty for one in self.fills), ZERO)

    @property
    def value(self) -> Decimal:
        return sum((one.qty * one.price for one in self.fills), ZERO)


@dataclass
class VendorPosition:
    qty: Decimal = ZERO
    cost: Decimal = ZERO


class VendorAccount:
    """One customer of the vendor. All methods may be called from any thread."""

    def __init__(
        self, key_id: str, secret: str, cash: Decimal, now: Callable[[], datetime]
    ) -> None:
        self.key_id, self.secret, self.cash, self.now = key_id, secret, cash, now
        self.number = f"PA{uuid.uuid4().int % 10**10:010d}"
        self.id = str(uuid.uuid4())
        self.lock = threading.RLock()
        self.orders: dict[str, VendorOrder] = {}
        self.accepted: Counter[str] = Counter()  # how often a client order id became an order
        self.positions: dict[str, VendorPosition] = {}
        self.activities: list[dict[str, Any]] = []
        self.status = "ACTIVE"
        self.trading_blocked = self.account_blocked = self.trade_suspended_by_user = False
        self.listeners: list[Callable[[str, VendorOrder, VendorFill | None], None]] = []

    def by_client_id(self, client_order_id: str) -> VendorOrder | None:
        with self.lock:
            found = [o for o in self.orders.values() if o.client_order_id == client_order_id]
            return found[0] if found else None

    def accept(self, order: VendorOrder) -> VendorOrder:
        """Take an order into the book; its id counts for all time."""
        with self.lock:
            if self.by_client_id(order.client_order_id) is not None:
                raise Refused(422, 40010001, "client_order_id must be unique")
            self.orders[order.id] = order
            self.accepted[order.client_order_id] += 1
            self._tell("new", order)
            return order

    def fill(
        self, order: VendorOrder | str, qty: Decimal | str, price: Decimal | str
    ) -> VendorFill:
        """Somebody traded with it. A late fill of a canceled order counts too."""
        with self.lock:
            order = self._order(order)
            amount, each, now = Decimal(qty), Decimal(price), self.now()
            stamp = (now - timedelta(hours=5)).strftime("%Y%m%d%H%M%S%f")[:17]
            one = VendorFill(
                amount,
                each,
                order.filled + amount,
                now,
                f"{stamp}::{uuid.uuid4()}",
                str(uuid.uuid4()),
            )
            order.fills.append(one)
            done = order.qty is not None and one.cum >= order.qty
            if order.notional is not None:
                done = order.value >= order.notional - Decimal("0.01")
            if done:
                self._end(order, "filled")
            elif order.status in OPEN and order.status != "pending_cancel":
                order.status = "partially_filled"
            order.updated_at = now
            self._move(order, amount, each)
            self._log_fill(order, one)
            self._tell("fill" if done else "partial_fill", order, one)
            return one

    def _move(self, order: VendorOrder, qty: Decimal, price: Decimal) -> None:
        place = self.positions.setdefault(order.symbol, VendorPosition())
        if order.side == "buy":
            place.qty, place.cost = place.qty + qty, place.cost + qty * price
            self.cash -= qty * price
        else:
            place.cost -= place.cost * qty / place.qty if place.qty else ZERO
            place.qty -= qty
            self.cash += qty * price
        if not place.qty:
            del self.positions[order.symbol]

    def _log_fill(self, order: VendorOrder, one: VendorFill) -> None:
        total = order.qty if order.qty is not None else one.cum
        self.activities.append(
            {
                "at": one.at,
                "id": one.activity_id,
                "activity_type": "FILL",
                "order_id": order.id,
                "symbol": order.symbol,
                "side": order.side,
                "type": "fill" if order.status == "filled" else "partial_fill",
                "price": one.price,
                "qty": one.qty,
                "cum_qty": one.cum,
                "leaves_qty": max(total - one.cum, ZERO),
                "order_status": order.status,
            }
        )

    def set_status(self, order: VendorOrder | str, status: str, event: str = "") -> None:
        """Let an order have any of the vendor's words for a status."""
        with self.lock:
            order = self._order(order)
            if status in OPEN:
                order.status, order.updated_at = status, self.now()
            else:
                self._end(order, status)
            self._tell(event or status, order)

    def cancel(self, order: VendorOrder | str) -> None:
        """Carry a cancel out; refused where the order is final."""
        with self.lock:
            order = self._order(order)
            if order.status not in OPEN:
                raise Refused(422, 42210000, f'order is already in "{order.status}" state')
            self.set_status(order, "canceled")

    def reject(self, order: VendorOrder | str) -> None:
        self.set_status(order, "rejected")

    def external(self, symbol: str, side: str, qty: str, **terms: Any) -> VendorOrder:
        """An order that its owner places elsewhere: in the vendor's own app."""
        crypto = "/" in symbol
        return self.accept(
            VendorOrder(
                client_order_id=str(uuid.uuid4()),
                symbol=symbol,
                asset_class="crypto" if crypto else "us_equity",
                side=side,
                type=terms.get("type", "limit" if "limit_price" in terms else "market"),
                time_in_force="gtc",
                qty=Decimal(qty),
                notional=None,
                limit_price=terms.get("limit_price"),
                stop_price=terms.get("stop_price"),
                trail_price=terms.get("trail_price"),
                trail_percent=terms.get("trail_percent"),
                extended_hours=False,
                created_at=self.now(),
            )
        )

    def deposit(self, amount: Decimal | str) -> str:
        value = Decimal(amount)
        return self.entry("CSD" if value >= 0 else "CSW", value)

    def dividend(self, symbol: str, amount: Decimal | str) -> str:
        return self.entry("DIV", Decimal(amount), symbol=symbol)

    def entry(self, kind: str, amount: Decimal | str, **more: Any) -> str:
        """Any movement that is no trade; its id. `qty` moves the position of `symbol`."""
        with self.lock:
            now = self.now()
            value = Decimal(amount)
            self.cash += value
            if "qty" in more and more.get("symbol") in self.positions:
                self.positions[more["symbol"]].qty += Decimal(more["qty"])
            stamp = (now - timedelta(hours=5)).strftime("%Y%m%d") + "000000000"
            row = {
                "at": now,
                "id": f"{stamp}::{uuid.uuid4()}",
                "activity_type": kind,
                "net_amount": value,
                "status": "executed",
                **more,
            }
            self.activities.append(row)
            return str(row["id"])

    def _end(self, order: VendorOrder, status: str) -> None:
        order.status, order.updated_at, order.ended_at = status, self.now(), self.now()

    def _order(self, order: VendorOrder | str) -> VendorOrder:
        if isinstance(order, VendorOrder):
            return order
        found = self.orders.get(order) or self.by_client_id(order)
        if found is None:
            raise Refused(404, 40410000, f"order not found for {order}")
        return found

    def _tell(self, event: str, order: VendorOrder, fill: VendorFill | None = None) -> None:
        for listener in list(self.listeners):
            listener(event, order, fill)


def utc_now() -> datetime:
    return datetime.now(UTC)
