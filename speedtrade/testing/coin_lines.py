"""An account's life at the Kraken-like vendor, by dice: the same steps, by another venue's rules.

A look-up by our id proves nothing there, an id is refused only while its order is open, one call at
a time goes with a key, nothing is told unless it is asked for, and coins come without their cost.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import time_machine

from accounts.keys import BrokerKey
from accounts.models import User
from accounts.services.connections import account_connect
from speedtrade.testing import market
from speedtrade.testing.line_faults import line_fault
from speedtrade.testing.line_vendor import There
from speedtrade.testing.line_wire import Wire, folded_kraken
from speedtrade.testing.lines import Line
from speedtrade.testing.vendors import faults as f
from speedtrade.testing.vendors.faults import Fault
from speedtrade.testing.vendors.kraken import SECRET, KrakenVendor
from speedtrade.testing.vendors.kraken_book import OPEN, Book, VendorOrder
from speedtrade.testing.vendors.kraken_market import VendorError
from speedtrade.testing.vendors.kraken_pairs import pair_of
from speedtrade.testing.vendors.kraken_private import PrivateEndpoints, VendorKey
from trading.brokers.ccxt.ids import our_id
from trading.brokers.ccxt.venues import KRAKEN
from trading.brokers.registry import broker_for
from trading.services.syncs import link_touch

D = Decimal
COINS = ("SOL/USD", "ETH/USD")
BID, ASK = D("99.99"), D("100.00")
READS = ["OpenOrders", "OpenOrders", "ClosedOrders", "QueryOrders", "QueryTrades"]
READS += ["TradesHistory", "BalanceEx", "Ledgers"]
#: Refused for certain, and in words that say nothing for certain.
SURE = ("EOrder:Insufficient funds", "EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded")
UNSURE = ("EService:Timeout", "EService:Deadline elapsed", "EGeneral:Internal error", "EWhat:New")
WORDS = {"open": "new", "pending": "accepted", "closed": "filled"}
FIELDS = ("status", "vol", "vol_exec", "opentm", "cl_ord_id", "descr", "cost", "fee", "trades")


class CoinLine(Line):
    """One account at Kraken, its vendor and its processes."""

    symbols = COINS
    rounded = D("0.01")  # the vendor cuts the cost of each trade to four places

    def __init__(
        self,
        user: User,
        vendor: KrakenVendor,
        clock: time_machine.Traveller,
        dice: random.Random,
        *,
        folded: bool,
    ) -> None:
        self.user, self.clock, self.dice, self.folded = user, clock, dice, folded
        self.kraken = vendor
        self.story: list[str] = []
        self.harm, self.depth = False, 0
        vendor.clock_offset = dice.choice([-10.0, 0.0, 0.0, 10.0])
        for symbol in COINS:
            vendor.price(symbol, BID, ASK)
        self.book = vendor.truth = Book(vendor.markets, vendor.now)
        self.book.instant = False  # the dice fill
        vendor.private = PrivateEndpoints(self.book)
        key = BrokerKey(f"KRAKEN{dice.getrandbits(60):020d}", SECRET)
        vendor.keys[key.api_key] = VendorKey(key.api_key, SECRET)
        vendor.deposit("USD", "50000")
        vendor.deposit("SOL", "20")
        if dice.random() < 0.5:
            vendor.deposit("ETH", "20")  # nobody can say what these cost: there is no price yet
        market.put_quote(market.quote("SOL/USD", "99.99", "100.00", now=self.now))
        self._base_orders()
        self._remember()
        self.wait(0.05)
        self.account = account_connect(
            user=user, broker="ccxt", exchange="kraken", mode="paper", key=key, now=self.now
        )
        self.wire = Wire(folded_kraken(vendor.wire) if folded else None)
        client = broker_for(self.account)._inner.client  # type: ignore[attr-defined]
        client.exchange.session.mount("http://", self.wire)
        self.wire.before, self.wire.after = self._meet, self._answered

    # ── the truth ────────────────────────────────────────────────────────────
    def there(self) -> dict[str, There]:
        return {self._name(one): self._there(one) for one in self.book.orders.values()}

    def _name(self, order: VendorOrder) -> str:
        return our_id(KRAKEN, order.client_id) if order.client_id else order.txid

    def _there(self, order: VendorOrder) -> There:
        fills, total = [], D(0)
        for name in order.trades:
            trade = self.book.trades[name]
            total += trade.volume
            fills.append((trade.volume, trade.price, total))
        return There(WORDS.get(order.status, order.status), order.filled, fills)

    def accepted(self) -> Mapping[str, int]:
        return {name: len(made) for name, made in self.book.accepted.items()}

    def sent(self) -> set[str]:
        calls = (one for one in self.kraken.wire.requests if one.path.endswith("/AddOrder"))
        return {our_id(KRAKEN, one.form["cl_ord_id"]) for one in calls}

    def money_there(self) -> tuple[Decimal, dict[str, Decimal]]:
        held = self.book.balances
        coins = {symbol: held[pair_of(symbol).base] for symbol in COINS}
        return held["ZUSD"], {symbol: qty for symbol, qty in coins.items() if qty}

    def drift(self) -> Iterator[str]:
        yield from ()

    # ── what happens there ───────────────────────────────────────────────────
    def _base_orders(self) -> None:
        for _ in range(self.dice.randint(0, 2)):
            order = self.kraken.external_order("SOL/USD", "buy", "10", "95")
            if self.dice.random() < 0.5:
                self.kraken.fill(order.txid, str(self.dice.randint(1, 9)), "95")

    def _remember(self) -> None:
        if self.opened:
            return
        orders = list(self.book.orders.values())
        self.before = {self._name(one): one.filled for one in orders}
        self.over = {self._name(one) for one in orders if one.status not in OPEN}

    def _answered(self, request: Any) -> None:
        """Our books begin with what it said is held; what is asked for after that moves nothing."""
        if request.path_url.endswith("/BalanceEx"):
            self._remember()
        self._meet(request)

    def _working(self) -> VendorOrder | None:
        rows = [one for one in self.book.orders.values() if one.status in OPEN]
        return self.dice.choice(rows) if rows else None

    def fill(self, *, late: bool = False) -> None:
        """A trade with an order, in part or whole; what has ended there never fills."""
        order = None if late else self._working()
        if order is None:
            return
        price = (order.price or ASK) + D(self.dice.randint(-50, 0)).scaleb(-2)
        if order.side == "sell":
            price += D("0.50")
        left = order.left
        if self.dice.random() < 0.6:
            left = (left * self.dice.randint(1, 9) / 10).quantize(D("1e-8"))
        if left > 0:
            self.book.fill(order.txid, left, price)

    def ends(self) -> None:
        if order := self._working():
            self.book.close(order, self.dice.choice(["canceled", "expired"]), "by the vendor")

    def unrest(self) -> None:
        """What it takes next, it does not show to the next look-ups."""
        self.kraken.hide_next = self.dice.randint(1, 3)

    hide = slow = unrest

    def elsewhere(self) -> None:
        symbol = self.dice.choice(COINS)
        if self.dice.random() < 0.3:
            if order := self._working():
                self.book.close(order, "canceled", "User requested")
            return
        base = pair_of(symbol).base
        free = self.book.balances[base] - self.book.held(base)
        side = "sell" if free > 3 and self.dice.random() < 0.4 else "buy"
        price = self.dice.choice([None, "90" if side == "buy" else "110"])
        with suppress(VendorError):
            order = self.kraken.external_order(symbol, side, "3", price)
            if self.dice.random() < 0.5:
                self.book.fill(order.txid, D(self.dice.choice(["3", "1"])), D(90))

    def money(self) -> None:
        self.kraken.deposit("USD", self.dice.choice(["500", "-25.5"]))

    # ── the line ─────────────────────────────────────────────────────────────
    def hear(self) -> None:
        """It tells nothing by itself: a worker looks."""
        self.work()

    def gap(self) -> None:
        link_touch(account_id=self.account.pk)

    def fault(self) -> None:
        door, fault = coin_fault(self.dice, seconds=0 if self.folded else 5)
        times = self.dice.choice([1, 1, 1, 2, 4])
        self.story.append(f"  {door} x{times}: {fault.reply!r:.60} {fault.status} {fault.accept}")
        self.kraken.faults.add(door, fault, nth=self.dice.choice([1, 1, 2]), times=times)

    def quiet(self) -> None:
        self.harm, self.wire.down = False, False
        self.kraken.faults.clear()
        self.kraken.hide_next = 0
        for order in self.book.orders.values():
            order.hidden = 0
        self.gap()


def coin_fault(dice: random.Random, *, seconds: float) -> tuple[str, Fault]:
    """(endpoint, fault): mostly where an order could be lost or doubled."""
    door = dice.choice(["AddOrder"] * 5 + ["CancelOrder"] * 3 + READS)
    accept = dice.random() < 0.6
    makers: list[Callable[[], Fault]] = [
        lambda: line_fault(dice, accept=accept, seconds=seconds),
        lambda: line_fault(dice, accept=accept, seconds=seconds),
        lambda: f.refuse(dice.choice(SURE[1:])),
        lambda: f.refuse_after(dice.choice(UNSURE)) if accept else f.refuse(dice.choice(UNSURE)),
    ]
    if door == "AddOrder":
        makers.append(lambda: f.refuse(SURE[0]))
    elif door == "CancelOrder":
        makers.append(lambda: f.refuse("EOrder:Unknown order"))
    else:
        makers.append(lambda: f.edited(lacking(dice.choice(FIELDS))))
    return door, dice.choice(makers)()


def lacking(name: str) -> Callable[[Any], Any]:
    """A change of an answer: every order in it lacks a field."""

    def change(body: Any) -> Any:
        result = body.get("result") if isinstance(body, dict) else None
        rows = result if isinstance(result, dict) else {}
        for part in (rows.get("open"), rows.get("closed"), rows):
            for row in (part or {}).values() if isinstance(part, dict) else ():
                if isinstance(row, dict) and "vol_exec" in row:
                    row.pop(name, None)
        return body

    return change
