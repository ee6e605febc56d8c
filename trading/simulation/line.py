"""The line to the paper venue with the faults of a real one, and a witness of what goes over it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trading.brokers.base import (
    Booked,
    BrokerOrder,
    BrokerRequest,
    Budget,
    CashEvent,
    Holdings,
    KeyFacts,
    NotSent,
    OrderRef,
    OutcomeUnknown,
    nothing_booked,
)
from trading.brokers.capabilities import PAPER
from trading.brokers.paper.adapter import PaperBroker
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

HIDES = timedelta(seconds=4)  # so late a venue whose look-ups prove nothing shows an order


class Line:
    """The paper adapter of one account behind a wire; requests take time and may get lost."""

    budget = Budget()

    def __init__(self, account_id: int, world: "World") -> None:
        self._inner, self._world = PaperBroker(account_id), world
        self.caps = replace(PAPER, lookup_is_proof=world.proof)
        self.account_id = account_id

    def submit_order(self, request: BrokerRequest) -> BrokerOrder:
        name, told = request.client_order_id, self._world.told
        if told.get((self.account_id, name)) == "sent":
            raise Violation("I17 never resent while unknown", "sent again without a look-up")
        self._travel("sent", name)
        if self._world.faults.strike("not_sent"):
            told[self.account_id, name] = "unsent"
            raise NotSent("connection refused")
        self._may_get_lost("lost_before")
        answer = self._inner.submit_order(request)
        self._world.arrived[self.account_id, name] = self._world.now
        self._may_get_lost("lost_after")
        return answer

    def find_order(self, ref: OrderRef) -> BrokerOrder | None:
        self._look()
        arrived = self._world.arrived.get((self.account_id, ref.client_order_id))
        hidden = arrived is not None and self._world.now - arrived < HIDES
        if hidden and self._world.faults.on and not self._world.proof:
            return None
        found = self._inner.find_order(ref)
        key = (self.account_id, ref.client_order_id)
        if found is None and self._world.proof and key in self._world.told:
            self._world.told[key] = "missed"
        return found

    def cancel_order(self, ref: OrderRef) -> None:
        self._world.pass_time(0.002)
        self._may_get_lost("lost_before")
        self._inner.cancel_order(ref)
        self._may_get_lost("lost_after")

    def list_orders(self, refs: Sequence[OrderRef]) -> Sequence[BrokerOrder]:
        self._look()
        return self._inner.list_orders(refs)

    def list_since(self, since: datetime, booked: Booked = nothing_booked) -> Sequence[BrokerOrder]:
        self._look()
        return self._inner.list_since(since, booked)

    def holdings(self) -> Holdings:
        return self._inner.holdings()

    def cash_events(self, since: datetime) -> Sequence[CashEvent]:
        return ()

    def check(self) -> KeyFacts:
        return self._inner.check()

    def _travel(self, state: str, name: str) -> None:
        self._world.told[self.account_id, name] = state
        self._world.pass_time(0.002)

    def _look(self) -> None:
        self._world.pass_time(0.001)
        self._may_get_lost("look_fails")

    def _may_get_lost(self, fault: str) -> None:
        if self._world.faults.strike(fault):
            raise OutcomeUnknown("read timed out")
