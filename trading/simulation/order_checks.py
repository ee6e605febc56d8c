"""The promises about orders: their states, their fills and what they hold."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from speedtrade.lib.money import plain
from trading.simulation import rows
from trading.simulation.oracle import Trade
from trading.simulation.rows import FINAL, UNIT, Reader, Seen, Shelf, Tally, owed, up
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

D = Decimal
WORKING: Final = {"accepted", "new", "partially_filled"}
#: Which way an order may go, written down apart from the product's own table.
MAY: Final[dict[str, set[str]]] = {
    "": {"pending"},
    "pending": {"submitting", "canceled"},
    "submitting": {"accepted", "new", "partially_filled", "lost", "pending", "pending_cancel"}
    | (FINAL - {"replaced", "rejected"}),
    "lost": WORKING | FINAL,
    "accepted": {"new", "partially_filled", "pending_cancel", "pending_replace"}
    | (FINAL - {"replaced", "rejected"}),
    "new": {"partially_filled", "pending_cancel", "pending_replace"}
    | (FINAL - {"replaced", "rejected"}),
    "partially_filled": {"pending_cancel", "pending_replace"} | (FINAL - {"replaced", "rejected"}),
    "pending_cancel": {"lost"} | WORKING | (FINAL - {"replaced", "rejected"}),
    "pending_replace": WORKING | (FINAL - {"rejected"}),
    "canceled": {"filled"},
    "expired": {"filled"},
    "rejected": WORKING | FINAL,  # given up as absent, and there after all
}


class OrderChecks:
    """Every order as it was seen last, and what its fills come to."""

    def __init__(self, world: "World", reader: Reader, names: dict[int, str]) -> None:
        self.world, self.reader, self.names = world, reader, names
        self.orders: dict[int, Seen] = {}
        self.order_names: dict[int, str] = {}
        self.tallies: dict[int, Tally] = defaultdict(Tally)
        self.shelves: dict[tuple[int, str], Shelf] = defaultdict(Shelf)
        self.booked: set[int] = set()  # ids of the venue's fills that are in our books
        self.reserved: dict[int, Fraction] = {}
        self.idle = True
        self._states: dict[int, str] = {}  # by the events

    def name(self, pk: int) -> str:
        return self.order_names.get(pk, "a new one")

    def words(self, one: Seen) -> str:
        there = f"{one.status} {plain(one.there)}" if one.there is not None else "not"
        return f"{self.name(one.pk)} is {one.state} {plain(one.filled)}, there {there}"

    def look_at_orders(self) -> list[str]:
        changed: list[str] = []
        holds: dict[int, Fraction] = defaultdict(Fraction)
        found = self.rows()
        for one in found:
            before = self.orders.get(one.pk)
            if before is None:
                self._first(one)
            elif one.filled < before.filled:
                raise Violation("I10 filled never falls", self.name(one.pk))
            if before is None or (before.state, before.filled) != (one.state, one.filled):
                changed.append(f"{self.name(one.pk)} {one.state} {plain(one.filled)}")
            self._limits(one)
            self._truthful(one)
            self._holds(one)
            if one.pocket is not None:
                holds[one.pocket] += Fraction(one.hold)
            self.orders[one.pk] = one
        self.reserved = holds
        self.idle = not any(self.unsettled(one) for one in found)
        return changed

    def rows(self) -> list[Seen]:
        return [Seen(*row) for row in self.reader.ask(rows.ORDERS, list(self.names))]

    def _first(self, one: Seen) -> None:
        number = sum(seen.account == one.account for seen in self.orders.values()) + 1
        self.order_names[one.pk] = f"{self.names[one.account]}{number}"
        if one.tif == "day" and one.expires is not None:
            hours, now = self.world.hours, self.world.now
            if one.expires != hours.next_close(one.asset_type, now):
                raise Violation("a day order ends with the day", self.name(one.pk))

    def _limits(self, one: Seen) -> None:
        """I6: never more than was asked for."""
        if one.qty is not None and one.filled > one.qty:
            raise Violation("I6 never more than asked", f"{self.name(one.pk)}: {plain(one.filled)}")
        if one.notional is not None and one.value > one.notional:
            raise Violation("I6 never more than asked", f"{self.name(one.pk)}: {one.value}")

    def _truthful(self, one: Seen) -> None:
        """What we say of an order is nothing that the venue's book speaks against."""
        where = self.words(one)
        if one.over and one.status in WORKING:
            raise Violation("I17 what is over here is over there", where)
        if one.state in {"pending", "rejected"} and one.paper is not None:
            raise Violation("I17 unknown is not refused", where)
        if one.filled > (one.there or D(0)):
            raise Violation("I5 no fill that the venue has not", where)
        if one.over and one.paper is not None and one.filled != one.there:
            raise Violation("I6 what is over has all its fills", where)
        if one.state == "filled" and one.status != "filled":
            raise Violation("I6 filled is filled there", where)

    def _holds(self, one: Seen) -> None:
        """I3, I12: what an order holds is what it may still cost; nothing once it is over."""
        right, name = owed(one), self.name(one.pk)
        if one.hold < 0:
            raise Violation("I3 an order has a hold", name)
        if one.over and one.hold:
            raise Violation("I12 what is over holds nothing", f"{name}: {plain(one.hold)}")
        if one.state == "pending" and one.replaces is not None and not one.told:
            if one.hold > right:  # its predecessor's hold serves both
                raise Violation("I3 a hold is what it may cost", f"{name}: {plain(one.hold)}")
        elif Fraction(one.hold) != right:
            raise Violation(
                "I3 a hold is what it may cost", f"{name}: {plain(one.hold)}, not {float(right)}"
            )

    def unsettled(self, one: Seen) -> bool:
        """Whether somebody must still do something about it."""
        if one.waiting or one.state == "lost":
            return True
        if one.paper is None:
            return not one.over
        ended = {"replaced": "canceled"}.get(one.state, one.state)
        same = ended == one.status or {ended, one.status} <= {"accepted", "new"}
        return not same or one.filled != one.there

    def look_at_events(self) -> None:
        """I10: each move is one that there is, it begins where the last one ended, none is hid."""
        for _, order, old, new in self.reader.new("events", rows.EVENTS):
            if old != self._states.get(order, ""):
                raise Violation("I10 no step without its event", self.name(order))
            if new != old and new not in MAY.get(old, set()):
                raise Violation("I10 orders move forward", f"{self.name(order)}: {old} to {new}")
            self._states[order] = new
        for one in self.orders.values():
            if self._states.get(one.pk) != one.state:
                raise Violation("I10 no step without its event", f"{self.name(one.pk)} {one.state}")

    def _fees(self, one: Seen, tally: Tally) -> None:
        """The rate of the order's money as it stands in the books, rounded up once.

        The venue keeps its running total to 8 decimals, so between two fills half a unit may go.
        """
        rate, slack = Fraction(one.fee_rate), tally.count * UNIT / 2
        if not up((tally.value - slack) * rate) <= tally.fees <= up((tally.value + slack) * rate):
            raise Violation("fees are the rate", f"{self.name(one.pk)}: {one.fees}")

    def look_at_fills(self) -> None:
        """I5, I6: our fills are the venue's, each once; an order is the sum of its fills."""
        touched = set()
        for _, pk, name, qty, price, fee, at, theirs, *figures in self.reader.new(
            "fills", rows.FILLS
        ):
            if theirs is None or [qty, price, fee, at] != figures:
                raise Violation(
                    "I5 no fill that the venue has not", f"{self.name(pk)}: {plain(qty)}"
                )
            if theirs in self.booked:
                raise Violation("I5 a fill counts once", f"{self.name(pk)}: {plain(qty)}")
            self.booked.add(theirs)
            one, tally = self.orders[pk], self.tallies[pk]
            q, p, f = Fraction(qty), Fraction(price), Fraction(fee)
            tally.qty, tally.fees = tally.qty + q, tally.fees + f
            tally.value, tally.count = tally.value + q * p, tally.count + 1
            shelf = self.shelves[one.account, one.symbol]
            shelf.qty += q if one.side == "buy" else -q
            shelf.fees += f
            micros = (at - self.world.start) // timedelta(microseconds=1)
            shelf.trades.append(Trade(name, pk, one.side, q, p, f, micros))
            touched.add(pk)
        for one in self.orders.values():
            tally = self.tallies[one.pk]
            off = abs(Fraction(one.value) - tally.value)
            if Fraction(one.filled) != tally.qty or Fraction(one.fees) != tally.fees:
                raise Violation(
                    "I6 an order is its fills", f"{self.name(one.pk)}: {plain(one.filled)}"
                )
            if off > tally.count * UNIT / 2:
                raise Violation("I6 an order is its fills", f"{self.name(one.pk)}: {one.value}")
            if one.pk in touched:
                self._fees(one, tally)
