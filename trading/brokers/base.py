"""What every broker adapter offers, and the only ways in which one may fail.

An adapter speaks Decimal and UTC, sends exactly one request per submit, and turns anything that is
not a definite answer into OutcomeUnknown: the caller then keeps the hold and asks, never resends.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
    """What a broker can do. `lookup_is_proof`: a miss by client order id proves an absence.

    `fraction_tifs`: with which times in force it takes fractions of a share and amounts of money.
    """

    asset_types: frozenset[str]
    order_types: frozenset[str]
    times_in_force: frozenset[str]
    fractional: bool
    id_scope: IdScope
    lookup_is_proof: bool
    push_updates: bool
    notional: bool = True
    fraction_tifs: frozenset[str] | None = None  # None: the same as for whole units
    cid_max_len: int = 64
    one_writer: bool = False  # its keys carry a nonce: one call at a time per key, anywhere
    events_by_day: bool = False  # deposits and fees are told by date, and may be entered days late
    reserve: int = 10  # requests of its rate limit that are kept for cancels and look-ups


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
    extended_hours: bool = False
    asset_type: str = "stock"


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order of ours that a broker is asked for: all the names that it may know it by.

    `since`: it cannot be older. `filled_qty`: what we have booked, so that a broker whose order
    says no more need not be asked for its fills.
    """

    client_order_id: str
    broker_order_id: str
    symbol: str
    asset_type: str
    since: datetime
    filled_qty: Decimal


@dataclass(frozen=True, slots=True)
class BrokerFill:
    """One execution in the broker's words; `trade_id` is stable and its text sorts in sequence.

    `cum_qty`: how much of the order had filled with it, where the broker says so: then a fill is
    the stretch (cum_qty - qty, cum_qty] of its order, and two channels that name it differently
    are told apart from two fills. `fee` is money of the account, `fee_qty` is taken out of what
    was bought.
    """

    trade_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    executed_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cum_qty: Decimal | None = None
    fee_qty: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class BrokerTerms:
    """What an order asks for, for one that was not placed here."""

    symbol: str
    asset_type: str
    side: str
    order_type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    created_at: datetime
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the broker sees it, with every fill so far that it tells about.

    `filled_qty` is cumulative and may run ahead of `fills`; `avg_price` is over all of it.
    `state` None: a word that we do not know; nothing follows from it, and somebody looks.
    """

    client_order_id: str
    broker_order_id: str
    state: OrderState | None
    filled_qty: Decimal
    fills: tuple[BrokerFill, ...]
    at: datetime
    reason: str = ""
    code: str = ""  # of a refusal, as our catalogue or the broker names it
    complete: bool = False  # the broker says that nothing is left to fill
    avg_price: Decimal | None = None
    terms: BrokerTerms | None = None
    raw_status: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)  # the body of a submit, as it left


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """What the broker says is held: `qty` may be negative (short), which we cannot keep."""

    symbol: str
    asset_type: str
    qty: Decimal
    cost_basis: Decimal  # money of the account; zero where the broker does not know


@dataclass(frozen=True, slots=True)
class Holdings:
    """Cash and positions at one moment. `blocked`: why the broker takes no orders, or nothing."""

    currency: str
    cash: Decimal
    positions: tuple[BrokerPosition, ...]
    blocked: str = ""
    ignored: tuple[str, ...] = ()  # what else lies there and is not ours to keep books of


@dataclass(frozen=True, slots=True)
class CashEvent:
    """Money that moved without an order. `kind`: deposit, withdrawal, fee, dividend.

    `amount` is signed: what it did to cash. `event_id` is stable. `qty` is signed too: what a fee
    took out of the position of `symbol` where it is paid in kind, and `amount` is then zero.
    """

    event_id: str
    kind: str
    amount: Decimal
    at: datetime
    symbol: str = ""
    words: str = ""
    qty: Decimal = Decimal(0)


#: So far off may our own clock be from that of a broker who tells no time.
CLOCK_GUESS = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a key may do: the answer to "test connection".

    `clock_offset`: the broker's clock less ours, at the least; it is at most `clock_doubt` more,
    for the answer took so long. None: the broker did not tell its time.
    """

    may_trade: bool
    words: str  # one sentence for its owner
    clock_offset: timedelta = timedelta(0)
    clock_doubt: timedelta | None = timedelta(0)
    number: str = ""  # the account's own name at the broker, where it tells one


@dataclass(frozen=True, slots=True)
class Budget:
    """What the broker's last reply said of its rate limit: None where it said nothing."""

    remaining: int | None = None
    resets_at: datetime | None = None


class BrokerError(Exception):
    """The root of all that an adapter raises."""


class OrderRejected(BrokerError):
    """A definite refusal: the broker has no such order and will have none."""

    def __init__(self, code: str, detail: str, raw: str = "") -> None:
        self.code, self.detail, self.raw = code, detail, raw
        super().__init__(detail)


class DuplicateClientOrderId(BrokerError):
    """The broker has an order with this id already: look it up and adopt it."""


class NotSent(BrokerError):
    """Proof that nothing reached the broker: it may be sent again."""


class RateLimited(NotSent):
    """The broker counts our requests and took this one for one too many; `retry_at` if it said."""

    def __init__(self, detail: str, retry_at: datetime | None = None) -> None:
        self.retry_at = retry_at
        super().__init__(detail)


class OutcomeUnknown(BrokerError):
    """Nobody knows whether the broker has it. Keep the hold, look it up, never resend.

    For a read: there is no word from the broker, from which nothing follows.
    """


class AuthFailed(BrokerError):
    """The broker does not take the key (wrong, expired, read-only); the words tell its owner."""


class KeyUnreadable(AuthFailed):
    """This installation has no key for the account, or cannot open it: nobody was asked."""


class NotCancelable(BrokerError):
    """The order is final at the broker; its report says how."""


#: Client order ids -> how much of those orders is in our books, as far as they are known there.
Booked = Callable[[Collection[str]], Mapping[str, Decimal]]


def nothing_booked(names: Collection[str]) -> Mapping[str, Decimal]:
    """For who has no books yet, or wants every fill."""
    return {}


class Broker(Protocol):
    """One account at one broker. Methods are synchronous and bounded in time.

    Every method may raise AuthFailed, RateLimited and OutcomeUnknown; reads also NotSent.
    """

    @property
    def caps(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def budget(self) -> Budget:
        """What the last reply said of the rate limit."""
        ...

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        """Send it, once. Raises OrderRejected, DuplicateClientOrderId, NotSent, OutcomeUnknown."""
        ...

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        """The order of this reference; None only on a definite miss, by a successful read."""
        ...

    def cancel_order(self, ref: OrderRef) -> None:
        """Ask to cancel; the report tells the outcome. Raises NotCancelable, OutcomeUnknown."""
        ...

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        """Those of these orders that the broker knows, in as few calls as it can."""
        ...

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        """Every order that was made since then or is open, whoever made it, with its terms.

        Fills may be left out of an order that has no more of them than `booked` says: an old order
        stays open for months, and the trades since it was made are too many to read each time.
        """
        ...

    def holdings(self) -> Holdings:
        """Cash and positions now."""
        ...

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        """Deposits, withdrawals, fees and dividends since then; known ones may come again."""
        ...

    def check(self) -> KeyFacts:
        """What the key may do. Raises AuthFailed with words for its owner."""
        ...


class UpdateStream(Protocol):
    """News of one account's orders as they happen. No replay: what a gap swallowed is polled."""

    async def run(
        self,
        on_update: Callable[[BrokerOrder], Awaitable[None]],
        on_gap: Callable[[str], Awaitable[None]],
    ) -> None:
        """Until cancelled; `on_gap(why)` after the first connect and after every reconnect."""
        ...
