"""The promises (I1-I17 of docs/reliability.md), looked at from outside, in plain SQL and fractions.

Nothing here calls the code that it judges: states, holds, balances and profits are worked out anew.
After each step only what is new is read; `look_at_all` adds the ledger's own check and the oracle.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import connection

from portfolio.services.rebuild import ledger_differences
from speedtrade.lib.money import plain
from trading.simulation import rows
from trading.simulation.oracle import Trade, solve
from trading.simulation.people import Cast
from trading.simulation.rows import FINAL, UNIT, Seen, Shelf, Tally, owed, up
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

D = Decimal
WORKING: Final = {"accepted", "new", "partially_filled"}
GRACE: Final = timedelta(seconds=60)  # by when the venue has ended what is over
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
#: Tables that only ever grow (I13).
APPENDED: Final = (
    "portfolio_transfer",
    "portfolio_journalentry",
    "trading_fill",
    "trading_orderevent",
    "trading_paperfill",
    "accounts_auditevent",
)

_WRITES = re.compile(r'\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
_OF_ORDERS = {"trading_order", "trading_orderevent", "trading_fill", "trading_submission"}
_OF_ORDERS |= {"trading_paperorder", "portfolio_hold"}
_OF_POCKETS = {"portfolio_ledgeraccount", "portfolio_transfer", "portfolio_position"}
_OF_POCKETS |= {"portfolio_hold", "portfolio_lot", "trading_fill"}


class Checks:
    """All promises of one world. `look` reads what is new; each raises Violation."""

    def __init__(self, world: "World", cast: Cast) -> None:
        self.world = world
        self._names = {account.pk: name for name, (_, account) in cast.members.items()}
        self._accounts = list(self._names)
        self._last = dict.fromkeys(("events", "fills", "matches", "transfers"), 0)
        self._last = {what: self._newest(what) for what in self._last}
        self._orders: dict[int, Seen] = {}
        self._order_names: dict[int, str] = {}
        self._states: dict[int, str] = {}  # by the events
        self._tallies: dict[int, Tally] = defaultdict(Tally)
        self._shelves: dict[tuple[int, str], Shelf] = defaultdict(Shelf)
        self._booked: set[int] = set()  # ids of the venue's fills that are in our books
        self._taken: dict[tuple[str, int, str, Decimal], Decimal] = defaultdict(D)
        self._balances: dict[int, Fraction] = defaultdict(Fraction)
        self._pockets: dict[tuple[int, str, str], tuple[int, Decimal, Decimal]] = {}
        self._positions: dict[int, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
        self._marks: dict[str, tuple[int, str]] = {}
        self._written: set[str] = set()
        self._reserved: dict[int, Fraction] = {}
        self._open_cash: dict[int, Fraction] = {}
        self._polls: set[int] = set()
        self.idle = True
        self._begin()

    # ── what the world asks ──────────────────────────────────────────────────
    def name(self, pk: int) -> str:
        return self._order_names.get(pk, "a new one")

    def orders_of(self, account: int, working: bool) -> list[int]:
        mine = [one for one in self._orders.values() if one.account == account]
        return [one.pk for one in mine if one.over != working][-8:]

    def is_over(self, pk: int) -> bool:
        return self._orders[pk].over

    def held(self, account: int, symbol: str) -> Decimal:
        return self._positions[account].get(symbol, (0, D(0)))[1]

    def position_of(self, account: int) -> int | None:
        """The id of some position that is not flat."""
        return next((pk for pk, qty in self._positions[account].values() if qty), None)

    def free_cash(self, account: int) -> Decimal:
        _, balance, reserved = self._pockets[account, "cash", "USD"]
        return balance - reserved

    def absent(self) -> list[int]:
        """Orders that are lost here and that the venue does not have."""
        return [one.pk for one in self._orders.values() if one.state == "lost" and not one.paper]

    def unsettled(self) -> str:
        """Which orders wait for something, in words."""
        waiting = [one for one in self._orders.values() if self._unsettled(one)]
        return "; ".join(
            f"{self.name(one.pk)} is {one.state} {plain(one.filled)}, there {one.status} {plain(one.there or D(0))}, "
            f"{one.waiting} of {one.told} submissions wait"
            for one in waiting[:3]
        )

    def venue_began(self) -> None:
        """A venue that starts does not know how much of the newest quotes is taken."""
        self._taken.clear()

    # ── after each step ──────────────────────────────────────────────────────
    def wrote(self, execute: Any, sql: str, *args: Any) -> Any:
        """Wraps each statement (`connection.execute_wrapper`): what was written is looked at."""
        if found := _WRITES.match(sql):
            self._written.add(found[1])
        return execute(sql, *args)

    def look(self, *, late: bool = False) -> list[str]:
        """Every promise about what was written since the last look; what changed, in words.

        `late`: time alone may have broken one too.
        """
        written, self._written = self._written, set()
        changed: list[str] = []
        if "trading_paperfill" in written:
            self._look_at_matches()
        if late or "trading_paperorder" in written:
            self._look_at_papers()
        if written & _OF_ORDERS:
            changed = self._look_at_orders()
            self._look_at_events()
            self._look_at_fills()
        if written & _OF_POCKETS:
            self._look_at_pockets()
            self._look_at_positions()
        return changed

    def _look_at_orders(self) -> list[str]:
        changed: list[str] = []
        holds: dict[int, Fraction] = defaultdict(Fraction)
        found = self._rows()
        for one in found:
            before = self._orders.get(one.pk)
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
            self._orders[one.pk] = one
        self._reserved = holds
        self.idle = not any(self._unsettled(one) for one in found)
        return changed

    def _rows(self) -> list[Seen]:
        return [Seen(*row) for row in self._ask(rows.ORDERS, [self._accounts])]

    def _first(self, one: Seen) -> None:
        number = sum(seen.account == one.account for seen in self._orders.values()) + 1
        self._order_names[one.pk] = f"{self._names[one.account]}{number}"
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
        where = f"{self.name(one.pk)} is {one.state} {plain(one.filled)}, there {one.status} {plain(one.there or D(0))}"
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

    def _unsettled(self, one: Seen) -> bool:
        """Whether somebody must still do something about it."""
        if one.waiting or one.state == "lost":
            return True
        if one.paper is None:
            return not one.over
        ended = {"replaced": "canceled"}.get(one.state, one.state)
        same = ended == one.status or {ended, one.status} <= {"accepted", "new"}
        return not same or one.filled != one.there

    def _look_at_events(self) -> None:
        """I10: each move is one that there is, it begins where the last one ended, none is hid."""
        for _, order, old, new in self._new("events", rows.EVENTS):
            if old != self._states.get(order, ""):
                raise Violation("I10 no step without its event", self.name(order))
            if new != old and new not in MAY.get(old, set()):
                raise Violation("I10 orders move forward", f"{self.name(order)}: {old} to {new}")
            self._states[order] = new
        for one in self._orders.values():
            if self._states.get(one.pk) != one.state:
                raise Violation("I10 no step without its event", f"{self.name(one.pk)} {one.state}")

    def _look_at_fills(self) -> None:
        """I5, I6: our fills are the venue's, each once; an order is the sum of its fills."""
        touched = set()
        for _, pk, trade, qty, price, fee, at, theirs, *figures in self._new("fills", rows.FILLS):
            if theirs is None or [qty, price, fee, at] != figures:
                raise Violation(
                    "I5 no fill that the venue has not", f"{self.name(pk)}: {plain(qty)}"
                )
            if theirs in self._booked:
                raise Violation("I5 a fill counts once", f"{self.name(pk)}: {plain(qty)}")
            self._booked.add(theirs)
            one, tally = self._orders[pk], self._tallies[pk]
            q, p, f = Fraction(qty), Fraction(price), Fraction(fee)
            tally.qty, tally.fees = tally.qty + q, tally.fees + f
            tally.value, tally.count = tally.value + q * p, tally.count + 1
            shelf = self._shelves[one.account, one.symbol]
            shelf.qty += q if one.side == "buy" else -q
            shelf.fees += f
            micros = (at - self.world.start) // timedelta(microseconds=1)
            shelf.trades.append(Trade(trade, pk, one.side, q, p, f, micros))
            touched.add(pk)
        for one in self._orders.values():
            tally = self._tallies[one.pk]
            off = abs(Fraction(one.value) - tally.value)
            if Fraction(one.filled) != tally.qty or Fraction(one.fees) != tally.fees:
                raise Violation(
                    "I6 an order is its fills", f"{self.name(one.pk)}: {plain(one.filled)}"
                )
            if off > tally.count * UNIT / 2:
                raise Violation("I6 an order is its fills", f"{self.name(one.pk)}: {one.value}")
            if one.pk in touched and tally.fees != up(tally.value * Fraction(one.fee_rate)):
                raise Violation("fees are the rate", f"{self.name(one.pk)}: {one.fees}")

    def _look_at_matches(self) -> None:
        """What the venue matched was on show, fresh, in the session, not halted, within bounds."""
        for _, symbol, kind, side, qty, price, _, at, text, bound, step, _ in self._new(
            "matches", rows.MATCHES
        ):
            evidence = json.loads(text) if isinstance(text, str) else text
            quote = self.world.market.shown.get((symbol, evidence["quote_seq"]))
            if quote is None or at - quote.as_of > settings.QUOTE_STALE_AFTER:
                raise Violation("no match on a stale quote", f"{symbol} {plain(price)}")
            levels = quote.asks if side == "buy" else quote.bids
            shown = {level.price: level.size for level in levels}
            self._taken[symbol, quote.seq, side, price] += qty
            if self._taken[symbol, quote.seq, side, price] > shown.get(price, D(0)):
                raise Violation(
                    "no more than is on show", f"{symbol} {plain(qty)} at {plain(price)}"
                )
            if price > bound if side == "buy" else price < bound:
                raise Violation("never worse than the bound", f"{symbol} {plain(price)}")
            if symbol in self.world.halted or not self.world.hours.is_open(kind, at):
                raise Violation("no match while closed", f"{symbol} {plain(price)}")
            if not price.is_finite() or qty <= 0 or qty % step:
                raise Violation(
                    "I15 numbers on their grid", f"{symbol} {plain(qty)} at {plain(price)}"
                )

    def _look_at_papers(self) -> None:
        """At the venue: no order that is not ours, no ioc or fok that rests, none past its end."""
        for tif, status, filled, expires, _, order in self._ask(rows.PAPERS, [self._accounts]):
            working = status in WORKING
            if order is None:
                raise Violation("I4 one intent, one order", "the venue has one that is not ours")
            if tif in {"ioc", "fok"} and status in {"new", "partially_filled"}:
                raise Violation("ioc and fok do not rest", status)
            if tif == "fok" and filled and status != "filled":
                raise Violation("fok is all or nothing", f"{filled}")
            if working and self.world.venue is not None and expires < self.world.now - GRACE:
                raise Violation("what has expired ends", tif)
            if working and order not in self._polls:
                self._polls.add(order)  # the venue looks once a second; here when it matters
                wait = max((expires - self.world.now).total_seconds(), 0)
                self.world.at(wait + 0.5, "venue_poll")

    def _look_at_pockets(self) -> None:
        """I1-I3, I11: a balance is its history; what is reserved is what orders hold."""
        for _, source, target, amount in self._new("transfers", rows.TRANSFERS):
            if amount <= 0 or source == target:
                raise Violation("I1 a transfer moves something", f"{amount}")
            self._balances[source] -= Fraction(amount)
            self._balances[target] += Fraction(amount)
        for pk, account, kind, asset, balance, reserved in self._ask(
            rows.POCKETS, [self._accounts]
        ):
            where = f"{self._names[account]} {kind} {asset}"
            if Fraction(balance) != self._balances[pk]:
                raise Violation("I2 a balance is its history", f"{where}: {plain(balance)}")
            if Fraction(reserved) != self._reserved.get(pk, 0):
                raise Violation("I3 reserved is what orders hold", f"{where}: {plain(reserved)}")
            if kind in {"cash", "position"} and not 0 <= reserved <= balance:
                raise Violation(
                    "I11 nothing is overdrawn", f"{where}: {plain(reserved)} of {plain(balance)}"
                )
            self._pockets[account, kind, asset] = (pk, balance, reserved)
        for member in self.world.people.members.values():
            self._cash(member.account.pk, Fraction(member.moved))

    def _cash(self, account: int, moved: Fraction) -> None:
        """Cash is what came in and what the fills did, worked out from the fills alone."""
        right, slack = self._open_cash[account] + moved, Fraction(0)
        for one in self._orders.values():
            tally = self._tallies[one.pk]
            if one.account == account and tally.count:
                right += (tally.value if one.side == "sell" else -tally.value) - tally.fees
                slack += tally.count * UNIT / 2
        balance = Fraction(self._pockets[account, "cash", "USD"][1])
        if abs(balance - right) > slack:
            words = f"{self._names[account]}: {float(balance)}, expected {float(right)}"
            raise Violation("cash is what the fills did", words)

    def _look_at_positions(self) -> None:
        """I7: a position is its pocket and its fills."""
        for pk, account, symbol, qty, _, _, fees in self._ask(rows.POSITIONS, [self._accounts]):
            shelf, where = self._shelves[account, symbol], f"{self._names[account]} {symbol}"
            pocket = self._pockets.get((account, "position", symbol), (0, D(0), D(0)))
            if Fraction(qty) != shelf.qty or qty != pocket[1]:
                raise Violation("I7 a position is its fills", f"{where}: {plain(qty)}")
            if Fraction(fees) != shelf.fees:
                raise Violation("I8 fees are those of the fills", f"{where}: {fees}")
            self._positions[account][symbol] = (pk, qty)
        for (account, symbol), shelf in self._shelves.items():
            if shelf.qty and not self.held(account, symbol):
                raise Violation("I7 shares have a position", symbol)

    # ── now and then, and at the end ─────────────────────────────────────────
    def look_at_all(self) -> None:
        """The ledger's own check, the oracle, and that nothing of the past was changed."""
        for difference in ledger_differences():
            words = f"{difference.found}, expected {difference.expected}"
            raise Violation(difference.invariant, f"{difference.where}: {words}")
        for _, account, symbol, qty, cost, realized, _ in self._ask(
            rows.POSITIONS, [self._accounts]
        ):
            trades = self._shelves[account, symbol].trades
            answer, where = solve(trades), f"{self._names[account]} {symbol}"
            slack = UNIT * len(trades)
            if Fraction(qty) != answer.qty:
                raise Violation("I7 a position is its fills", f"{where}: {plain(qty)}")
            if abs(Fraction(cost) - answer.cost) > slack:
                raise Violation("I8 cost is the oracle's", f"{where}: {cost}")
            if abs(Fraction(realized) - answer.realized) > slack:
                raise Violation("I8 realised P&L is the oracle's", f"{where}: {realized}")
        self._look_at_past()

    def _look_at_past(self) -> None:
        """I13: the rows of before read as they did."""
        for table in APPENDED:
            last, mark = self._marks.get(table, (0, self._mark(table, 0)))
            if self._mark(table, last) != mark:
                raise Violation("I13 the past stays", table)
            [[newest]] = self._ask(f"SELECT coalesce(max(id), 0) FROM {table}", [])  # noqa: S608
            self._marks[table] = (newest, self._mark(table, newest))

    def _mark(self, table: str, last: int) -> str:
        query = f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t WHERE id <= %s"  # noqa: S608
        [[mark]] = self._ask(query, [last])
        return str(mark)

    def truth(self) -> None:
        """Once all is quiet: ours is the venue's book, and nothing is reserved without an order."""
        for one in self._orders.values():
            if self._unsettled(one) and one.state != "rejected":
                raise Violation("I9 ours is the venue's truth", self.unsettled())
        if len(self._booked) != self._last_count():
            raise Violation("I9 ours is the venue's truth", "the venue has a fill that we have not")
        working = {one.account for one in self._orders.values() if not one.over}
        for (account, kind, asset), (_, _, reserved) in self._pockets.items():
            if reserved and account not in working:
                raise Violation("I12 nothing is reserved without an order", f"{kind} {asset}")
        connection.check_constraints()

    # ── tools ────────────────────────────────────────────────────────────────
    def _begin(self) -> None:
        """What is there before the first step."""
        for pk, account, kind, asset, balance, reserved in self._ask(
            rows.POCKETS, [self._accounts]
        ):
            self._balances[pk] = Fraction(balance)
            self._pockets[account, kind, asset] = (pk, balance, reserved)
            if kind == "cash":
                self._open_cash[account] = Fraction(balance)

    def _newest(self, what: str) -> int:
        table = {
            "events": "trading_orderevent",
            "fills": "trading_fill",
            "matches": "trading_paperfill",
            "transfers": "portfolio_transfer",
        }[what]
        [[newest]] = self._ask(f"SELECT coalesce(max(id), 0) FROM {table}", [])  # noqa: S608
        return int(newest)

    def _last_count(self) -> int:
        [[count]] = self._ask(
            """SELECT count(*) FROM trading_paperfill v JOIN trading_paperorder p
               ON p.id = v.order_id WHERE p.account_ref = ANY(%s)""",
            [self._accounts],
        )
        return int(count)

    def _new(self, what: str, query: str) -> Iterable[Sequence[Any]]:
        """The rows that came since the last look."""
        found = self._ask(query, [self._last[what]])
        if found:
            self._last[what] = found[-1][0]
        return found

    def _ask(self, query: str, parameters: list[Any]) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()
