"""The promises about the paper venue: what it may match, and what may rest in its book."""

import json
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings

from speedtrade.lib.money import plain
from trading.simulation import rows
from trading.simulation.order_checks import WORKING
from trading.simulation.rows import Reader
from trading.simulation.trace import Violation

if TYPE_CHECKING:
    from trading.simulation.world import World

D = Decimal
GRACE: Final = timedelta(seconds=60)  # by when the venue has ended what is over


class VenueChecks:
    """Compares the venue's book with what the market has shown."""

    def __init__(self, world: "World", reader: Reader, accounts: list[int]) -> None:
        self.world, self.reader, self._accounts = world, reader, accounts
        self._taken: dict[tuple[str, int, str, Decimal], Decimal] = defaultdict(D)
        self._polls: set[int] = set()

    def look_at_matches(self) -> None:
        """What the venue matched was on show, fresh, in the session, not halted, within bounds."""
        for _, symbol, kind, side, qty, price, _, at, text, bound, step, _ in self.reader.new(
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
            if symbol in self.world.switches.halted or not self.world.hours.is_open(kind, at):
                raise Violation("no match while closed", f"{symbol} {plain(price)}")
            if not price.is_finite() or qty <= 0 or qty % step:
                raise Violation(
                    "I15 numbers on their grid", f"{symbol} {plain(qty)} at {plain(price)}"
                )

    def look_at_papers(self) -> None:
        """At the venue: no order that is not ours, no ioc or fok that rests, none past its end."""
        for tif, status, filled, expires, _, order in self.reader.ask(rows.PAPERS, self._accounts):
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
