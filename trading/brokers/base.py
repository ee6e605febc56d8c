"""What every broker adapter offers, and the only ways in which one may fail.

An adapter speaks Decimal and UTC, sends exactly one request per submit, and turns anything that is
not a definite answer into OutcomeUnknown: the caller then keeps the hold and asks, never resends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

from trading.domain.orders import OrderState


class IdScope(Enum):
    """For how long a broker refuses a client order id that it has seen."""

    ALL_TIME = "all"
    OPEN_ONLY = "open"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do. `lookup_is_proof`: a miss by client order id proves an absence."""

    asset_types: frozenset[str]
    order_types: frozenset[str]
    times_in_force: frozenset[str]
    fractional: bool
    id_scope: IdScope
    lookup_is_proof: bool
    push_updates: bool


@dataclass(frozen=True, slots=True)
class BrokerRequest:
    """An order as it is sent. `client_order_id` always; exactly one of qty and notional."""

    account_id: int
    client_order_id: str
    instrument_id: int
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    max_qty: Decimal | None
    limit_price: Decimal | None
    price_bound: Decimal
    fee_rate: Decimal
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class BrokerFill:
    """One execution in the broker's words; `trade_id` is stable and its text sorts in sequence."""

    trade_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    executed_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the broker sees it, with every fill so far."""

    client_order_id: str
    broker_order_id: str
    state: OrderState
    filled_qty: Decimal
    fills: tuple[BrokerFill, ...]
    at: datetime
    reason: str = ""
    complete: bool = False  # the broker says that nothing is left to fill


class BrokerError(Exception):
    """The root of all that an adapter raises."""


class OrderRejected(BrokerError):
    """A definite refusal: the broker has no such order and will have none."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(detail)


class DuplicateClientOrderId(BrokerError):
    """The broker has an order with this id already: look it up and adopt it."""


class NotSent(BrokerError):
    """Proof that nothing reached the broker: it may be sent again."""


class OutcomeUnknown(BrokerError):
    """Nobody knows whether the broker has it. Keep the hold, look it up, never resend."""


class NotCancelable(BrokerError):
    """The order is final at the broker; its report says how."""


class Broker(Protocol):
    """One account at one broker. Methods are synchronous and bounded in time."""

    caps: Capabilities

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        """Send it, once. Raises OrderRejected, DuplicateClientOrderId, NotSent, OutcomeUnknown."""
        ...

    def find_order(self, client_order_id: str) -> BrokerOrder | None:
        """The order with this id; None only on a definite miss. Raises OutcomeUnknown otherwise."""
        ...

    def cancel_order(self, client_order_id: str) -> None:
        """Ask to cancel; the report tells the outcome. Raises NotCancelable, OutcomeUnknown."""
        ...

    def list_orders(self, client_order_ids: Sequence[str]) -> Sequence[BrokerOrder]:
        """Those of these orders that the broker knows, in one call."""
        ...
