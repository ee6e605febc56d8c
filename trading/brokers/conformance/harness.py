"""What a case works with: an adapter, hands at its vendor, and the ways to say what is wrong."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, Protocol

from trading.brokers.base import (
    Broker,
    BrokerError,
    BrokerOrder,
    BrokerRequest,
    OrderRef,
)
from trading.domain.orders import OrderState

#: What can happen to the next call of a kind; every harness with a network knows all of them.
FaultName = Literal[
    "answer_lost",  # the order is taken, the connection breaks before the answer
    "request_lost",  # the connection breaks, the vendor never had it
    "gateway",  # the order is taken, a gateway answers 504 in HTML
    "garbage",  # the order is taken, the answer is cut in half
    "empty",  # the order is taken, the answer is empty
    "too_many",  # refused by the rate limit, before it counts
    "read_broken",  # the next look-up or list is answered by a gateway
    "hidden",  # the next look-up does not see what is there
]
WORKING = frozenset({OrderState.ACCEPTED, OrderState.NEW, OrderState.PARTIALLY_FILLED})
TWO = Decimal(2)


class Failed(AssertionError):
    """The adapter breaks a promise of the interface."""


class NotHere(Exception):
    """This vendor cannot show the behaviour."""


class Harness(Protocol):
    """One account at one vendor, empty at the beginning, with money for a few orders."""

    broker: Broker

    def request(self, **terms: Any) -> BrokerRequest:
        """An order to buy that rests (two units below the market), with a new client order id."""
        ...

    def ref(self, request: BrokerRequest, **names: Any) -> OrderRef:
        """How our books ask for it; by client order id alone unless `names` say more."""
        ...

    def fill(self, client_order_id: str, qty: Decimal, price: Decimal) -> None:
        """Somebody traded with the order."""
        ...

    def cancel(self, client_order_id: str) -> None:
        """The vendor ends it by itself, or its owner does elsewhere."""
        ...

    def count(self, client_order_id: str) -> int:
        """How many orders the vendor ever took under this id."""
        ...

    def fault(self, name: FaultName) -> None:
        """Let it happen to the next call; raises NotHere."""
        ...

    def down(self) -> None:
        """Nobody listens from now on, for the rest of the case; raises NotHere."""
        ...

    def external(self) -> str:
        """An order that is placed elsewhere: the broker's id of it; raises NotHere."""
        ...

    def too_dear(self) -> BrokerRequest:
        """An order that the account cannot pay; raises NotHere."""
        ...

    def deposit(self, amount: Decimal) -> None:
        """Money comes in; raises NotHere."""
        ...

    def stranger(self) -> Broker:
        """The same adapter with a key that the vendor does not know; raises NotHere."""
        ...


Case = Callable[[Harness], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def expect(holds: object, words: str) -> None:
    if not holds:
        raise Failed(words)


def expect_raises(
    kinds: type[BrokerError] | tuple[type[BrokerError], ...], call: Callable[[], object]
) -> BrokerError:
    """The error of a call that must fail in one of these ways."""
    try:
        got = call()
    except kinds as error:
        return error
    except Exception as error:
        raise Failed(f"raised {type(error).__name__}: {error}") from error
    raise Failed(f"gave {got!r} and raised nothing")


def found_by(harness: Harness, request: BrokerRequest) -> BrokerOrder:
    found = harness.broker.find_order(harness.ref(request))
    if found is None:
        raise Failed("the order is not found by its client order id")
    return found
