"""Orders as values: the vocabulary, and the state machine as data. Plain Python."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from speedtrade.lib.errors import InvariantBroken


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    OPG = "opg"
    CLS = "cls"


OFFERED_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
OFFERED_TIFS = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK})
#: What brokers trade before the opening and after the close.
EXTENDED = (OrderType.LIMIT, TimeInForce.DAY, "stock")
IMMEDIATE_TIFS = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class OrderState(StrEnum):
    """Where an order is. Denied orders never become rows, so `denied` is not here."""

    PENDING = "pending"  # ours alone: the broker has not been told
    SUBMITTING = "submitting"  # told, no answer yet: the outcome is unknown
    LOST = "lost"  # told, and the broker cannot find it: hold kept, a person looks
    ACCEPTED = "accepted"  # the broker has it and waits (market closed)
    NEW = "new"  # working
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"  # asked to cancel; fills may still come
    PENDING_REPLACE = "pending_replace"
    SUSPENDED = "suspended"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"  # the broker refused
    REPLACED = "replaced"


S = OrderState
FINAL_STATES = frozenset({S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED})
OPEN_STATES = frozenset(S) - FINAL_STATES
#: The broker has it, so a cancel must go through the broker.
SENT_STATES = OPEN_STATES - {S.PENDING}

_ANSWERS = frozenset(
    {
        S.ACCEPTED,
        S.NEW,
        S.REJECTED,
        S.FILLED,
        S.PARTIALLY_FILLED,
        S.CANCELED,
        S.EXPIRED,
        S.SUSPENDED,
        S.REPLACED,
    }
)
_WORKING = frozenset(
    {
        S.NEW,
        S.PARTIALLY_FILLED,
        S.FILLED,
        S.PENDING_CANCEL,
        S.PENDING_REPLACE,
        S.CANCELED,
        S.EXPIRED,
        S.REJECTED,
        S.SUSPENDED,
        S.REPLACED,  # somebody replaced it at the broker's own door
    }
)

#: state -> states it may go to. Anything else raises. An unlisted move is a bug or a broker's lie.
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    S.PENDING: frozenset({S.SUBMITTING, S.CANCELED, S.REJECTED}),  # canceled: never sent, ends here
    S.SUBMITTING: _ANSWERS
    | {S.LOST, S.PENDING, S.PENDING_CANCEL},  # pending: proved not sent, may go again
    S.LOST: _ANSWERS,  # found after all; rejected: proved absent
    S.ACCEPTED: _WORKING,
    S.NEW: _WORKING - {S.NEW},
    S.PARTIALLY_FILLED: _WORKING - {S.NEW, S.REJECTED},
    S.PENDING_CANCEL: frozenset(
        # back to working: the broker refused the cancel; filled: the fill won the race
        {
            S.CANCELED,
            S.ACCEPTED,
            S.NEW,
            S.PARTIALLY_FILLED,
            S.FILLED,
            S.EXPIRED,
            S.REJECTED,
            S.REPLACED,
            S.LOST,
        }
    ),
    S.PENDING_REPLACE: frozenset(
        {
            S.REPLACED,
            S.NEW,
            S.ACCEPTED,
            S.PARTIALLY_FILLED,
            S.FILLED,
            S.CANCELED,
            S.EXPIRED,
            S.REJECTED,
        }
    ),
    S.SUSPENDED: _WORKING | {S.ACCEPTED},
    # A fill that was under way when the cancel was confirmed: it happened, so it counts.
    # Working again: it was ended here alone, and only `next_state` with `absent` takes that way.
    S.CANCELED: frozenset(
        {S.FILLED, S.ACCEPTED, S.NEW, S.PARTIALLY_FILLED, S.SUSPENDED, S.PENDING_CANCEL}
    ),
    S.EXPIRED: frozenset({S.FILLED}),
    S.FILLED: frozenset(),
    # Given up as absent, and there after all: only `next_state` with `absent` takes this way, or a
    # cancel that was asked for meanwhile.
    S.REJECTED: (_ANSWERS | {S.PENDING_CANCEL}) - {S.REJECTED},
    S.REPLACED: frozenset(),
}


def check_transition(old: OrderState, new: OrderState) -> None:
    """Raise InvariantBroken when an order may not go from `old` to `new` (staying is no move)."""
    if old != new and new not in TRANSITIONS[old]:
        raise InvariantBroken(f"an order cannot go from {old.value} to {new.value}")


def next_state(
    current: OrderState,
    reported: OrderState | None,
    *,
    filled: bool,
    some: bool,
    absent: bool = False,
) -> OrderState:
    """Where a broker's report moves an order: forward only, whatever order reports arrive in.

    `filled`: our fills now complete it; `some`: there is at least one; `absent`: it was given up
    here, as unknown to the broker (rejected: any other word takes that back) or out of our reach
    (canceled: that it works does). A report that says less than we know (late, repeated,
    reordered) changes nothing; nor does a word that nobody knows (None).
    """
    if absent and _taken_back(current, reported):
        current = S.LOST
    if filled and current not in {S.REJECTED, S.REPLACED}:
        return S.FILLED
    if current in FINAL_STATES:
        return current
    if reported in FINAL_STATES:
        # "filled" without the fills that make it so: they are on their way, or a poll fetches them.
        if reported == S.FILLED:
            return _waiting(current, some)
        # A refusal of the rest after a part has filled: the order has ended, and what filled stays.
        return S.CANCELED if some and reported == S.REJECTED else reported
    if current in {S.PENDING_CANCEL, S.PENDING_REPLACE}:
        return current  # only a final word, or a refusal of the cancel, ends the wait
    if some:
        return S.PARTIALLY_FILLED
    if reported in {S.ACCEPTED, S.NEW, S.SUSPENDED} and current in {
        S.PENDING,
        S.SUBMITTING,
        S.LOST,
        S.ACCEPTED,
        S.SUSPENDED,
    }:
        return reported
    # The broker has it and says no more than that: it works.
    return S.NEW if reported in _ALIVE and current in _UNSURE else current


def _taken_back(given_up: OrderState, reported: OrderState | None) -> bool:
    if given_up == S.REJECTED:
        return reported not in {None, S.REJECTED}
    return given_up == S.CANCELED and reported in _REVIVING


_REVIVING = frozenset(
    {S.ACCEPTED, S.NEW, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.SUSPENDED}
)
_UNSURE = frozenset({S.SUBMITTING, S.LOST})
_ALIVE = frozenset({S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE})


def _waiting(current: OrderState, some: bool) -> OrderState:
    """Where an order stays whose last fills are on their way."""
    if current in _UNSURE:
        return S.PARTIALLY_FILLED if some else S.NEW
    return S.PARTIALLY_FILLED if some and current in {S.ACCEPTED, S.NEW} else current


_PUBLIC = {
    S.PENDING: "pending_new",
    S.SUBMITTING: "pending_new",
    S.LOST: "pending_new",
    S.SUSPENDED: "held",
}


def public_status(state: OrderState) -> str:
    """Alpaca's word for a state of ours: what the API and the pages say."""
    return _PUBLIC.get(state, state.value)


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """What a person or a script asks for, parsed. Exactly one of qty and notional is set."""

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    asset_type: str | None = None
    extended_hours: bool = False
    client_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a replacement changes; None leaves a term as it is. `qty` is the new total."""

    qty: Decimal | None = None
    limit_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
