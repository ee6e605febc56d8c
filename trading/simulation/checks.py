"""The promises (I1-I17 of docs/reliability.md), looked at from outside, in plain SQL and fractions.

Nothing here calls the code that it judges: states, holds, balances and profits are worked out anew.
After each step what was written is looked at; `look_at_all` adds the ledger's own check and the
oracle.
"""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from trading.simulation.book_checks import BookChecks
from trading.simulation.order_checks import OrderChecks
from trading.simulation.people import Cast
from trading.simulation.rows import Reader
from trading.simulation.trace import Violation
from trading.simulation.venue_checks import VenueChecks

if TYPE_CHECKING:
    from trading.simulation.world import World

RECENT: Final = 8  # orders that somebody may still think of
_WRITER = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
#: One statement may write to several tables (speedtrade/lib/rows.py).
_WRITES = re.compile(r'\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)', re.IGNORECASE)
_OF_ORDERS = {"trading_order", "trading_orderevent", "trading_fill", "trading_submission"}
_OF_ORDERS |= {"trading_paperorder", "portfolio_hold"}
_OF_POCKETS = {"portfolio_ledgeraccount", "portfolio_transfer", "portfolio_position"}
_OF_POCKETS |= {"portfolio_hold", "portfolio_lot", "trading_fill"}


class Checks:
    """All promises of one world, and what its people can see. Each look may raise Violation."""

    def __init__(self, world: "World", cast: Cast) -> None:
        names = {account.pk: name for name, (_, account) in cast.members.items()}
        self._reader = Reader()
        self.orders = OrderChecks(world, self._reader, names)
        self.books = BookChecks(world, self._reader, self.orders)
        self.venue = VenueChecks(world, self._reader, list(names))
        self._written: set[str] = set()

    # ── what the world asks ──────────────────────────────────────────────────
    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything."""
        return self.orders.idle

    def orders_of(self, account: int, working: bool) -> list[int]:
        mine = [one for one in self.orders.orders.values() if one.account == account]
        return [one.pk for one in mine if one.over != working][-RECENT:]

    def is_over(self, pk: int) -> bool:
        return self.orders.orders[pk].over

    def position_of(self, account: int) -> int | None:
        """The id of some position that is not flat."""
        return next((pk for pk, qty in self.books.positions[account].values() if qty), None)

    def free_cash(self, account: int) -> Decimal:
        _, balance, reserved = self.books.pockets[account, "cash", "USD"]
        return balance - reserved

    def absent(self) -> list[int]:
        """Orders that are lost here and that the venue does not have."""
        rows = self.orders.orders.values()
        return [one.pk for one in rows if one.state == "lost" and not one.paper]

    def waiting(self) -> list[int]:
        """Orders about which somebody must still do something."""
        return [pk for pk, one in self.orders.orders.items() if self.orders.unsettled(one)]

    def never_arrived(self, pk: int) -> bool:
        """Whether the venue has no such order."""
        return self.orders.orders[pk].paper is None

    def unsettled(self) -> str:
        """Which orders wait for something, in words."""
        rows = [one for one in self.orders.orders.values() if self.orders.unsettled(one)]
        return "; ".join(
            f"{self.orders.words(one)}, {one.waiting} of {one.told} submissions wait"
            for one in rows[:3]
        )

    # ── looking ──────────────────────────────────────────────────────────────
    def wrote(self, execute: Any, sql: str, *args: Any) -> Any:
        """Wraps each statement (`connection.execute_wrapper`): what was written is looked at."""
        if _WRITER.match(sql):
            self._written.update(_WRITES.findall(sql))
        return execute(sql, *args)

    def look(self, *, late: bool = False) -> list[str]:
        """Every promise about what was written since the last look; what changed, in words.

        `late`: time alone may have broken one too.
        """
        written, self._written = self._written, set()
        changed: list[str] = []
        if "trading_paperfill" in written:
            self.venue.look_at_matches()
        if late or "trading_paperorder" in written:
            self.venue.look_at_papers()
        if written & _OF_ORDERS:
            changed = self.orders.look_at_orders()
            self.orders.look_at_events()
            self.orders.look_at_fills()
        if written & _OF_POCKETS:
            self.books.look_at_pockets()
            self.books.look_at_positions()
        return changed

    def truth(self) -> None:
        """Once all is quiet: ours is the venue's book, and nothing is reserved without an order."""
        for one in self.orders.orders.values():
            if self.orders.unsettled(one) and one.state != "rejected":
                raise Violation("I9 ours is the venue's truth", self.unsettled())
        if len(self.orders.booked) != self._last_count():
            raise Violation("I9 ours is the venue's truth", "the venue has a fill that we have not")
        working = {one.account for one in self.orders.orders.values() if not one.over}
        for (account, kind, asset), (_, _, reserved) in self.books.pockets.items():
            if reserved and account not in working:
                raise Violation("I12 nothing is reserved without an order", f"{kind} {asset}")
        connection.check_constraints()

    def _last_count(self) -> int:
        """How many fills the venue has made for our people."""
        query = """SELECT count(*) FROM trading_paperfill v JOIN trading_paperorder p
                   ON p.id = v.order_id WHERE p.account_ref = ANY(%s)"""
        [[count]] = self._reader.ask(query, list(self.orders.names))
        return int(count)
