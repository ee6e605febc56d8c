"""The customer's side of the Kraken-like vendor: orders, trades, balances, ledger. All truth.

`accepted` is the log to compare with: one entry per order that was taken, by client id, for ever.
"""

import random
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from speedtrade.testing.vendors.kraken_market import Market, VendorError
from speedtrade.testing.vendors.kraken_pairs import ASSETS, FEE_PERCENT, Pair

ZERO = Decimal(0)
OPEN = frozenset({"pending", "open"})
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass
class VendorTrade:
    """One execution: what QueryTrades and TradesHistory tell."""

    id: str
    number: int
    order: str
    pair: Pair
    side: str
    order_type: str
    price: Decimal
    volume: Decimal
    cost: Decimal
    fee: Decimal
    at: float


@dataclass
class VendorOrder:
    """One order as it stands. `hidden`: so many look-ups do not see it yet."""

    txid: str
    pair: Pair
    side: str
    order_type: str
    volume: Decimal
    price: Decimal | None
    opened: float
    client_id: str | None = None
    userref: int | None = None
    tif: str = "GTC"
    flags: str = "fciq"
    status: str = "open"
    reason: str | None = None
    closed: float = 0.0
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    fee: Decimal = ZERO
    trades: list[str] = field(default_factory=list)
    hidden: int = 0

    @property
    def left(self) -> Decimal:
        return self.volume - self.filled


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger: `amount` is signed, the fee comes off on top of it."""

    id: str
    refid: str
    at: float
    kind: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal


class Book:
    """Orders, trades and money of one customer; every method holds the lock."""

    def __init__(self, markets: dict[str, Market], now: Callable[[], float]) -> None:
        self.markets, self.now = markets, now
        self.lock = threading.RLock()
        self.orders: dict[str, VendorOrder] = {}
        self.trades: dict[str, VendorTrade] = {}
        self.ledger: list[LedgerEntry] = []
        self.balances: dict[str, Decimal] = defaultdict(Decimal)
        self.accepted: dict[str, list[str]] = defaultdict(list)  # client id -> txids, in order
        self.fee_percent = FEE_PERCENT
        self.instant = True  # what crosses the market fills at once
        self._random = random.Random(4)

    def id_new(self, first: str) -> str:
        """An id in the venue's form: OXXXXX-XXXXX-XXXXXX."""
        letters = "".join(self._random.choices(_LETTERS, k=16))
        return f"{first}{letters[:5]}-{letters[5:10]}-{letters[10:]}"

    def deposit(
        self, asset: str, amount: Decimal, kind: str = "deposit", fee: Decimal = ZERO
    ) -> str:
        """Money comes in (or goes out, where it is negative): a line of the ledger."""
        with self.lock:
            return self._entry(kind, asset, amount, fee, self.id_new("B"))

    def _entry(self, kind: str, asset: str, amount: Decimal, fee: Decimal, refid: str) -> str:
        self.balances[asset] += amount - fee
        line = LedgerEntry(
            self.id_new("L"), refid, self.now(), kind, asset, amount, fee, self.balances[asset]
        )
        self.ledger.append(line)
        return line.id

    def held(self, asset: str) -> Decimal:
        """How much of an asset open orders hold back."""
        total = ZERO
        for order in self.orders.values():
            if order.status not in OPEN:
                continue
            if order.side == "sell" and order.pair.base == asset:
                total += order.left
            elif order.side == "buy" and order.pair.quote == asset:
                total += order.left * (order.price or self.markets[order.pair.id].ask)
        return total

    def place(self, order: VendorOrder) -> VendorOrder:
        """Take an order in; raises VendorError in the venue's words."""
        with self.lock:
            twins = [one for one in self.orders.values() if one.status in OPEN]
            if order.client_id and any(one.client_id == order.client_id for one in twins):
                raise VendorError("EOrder:Duplicate cl_ord_id")
            self._check(order)
            self.orders[order.txid] = order
            if order.client_id:
                self.accepted[order.client_id].append(order.txid)
            if self.instant:
                self.match(order)
            if order.tif == "IOC" and order.status in OPEN:
                self.close(order, "canceled", "Order not filled immediately")
            return order

    def _check(self, order: VendorOrder) -> None:
        pair, market = order.pair, self.markets[order.pair.id]
        if market.status != "online":
            raise VendorError(f"EService:Market in {market.status} mode")
        price = order.price or (market.ask if order.side == "buy" else market.bid)
        if order.volume <= 0 or order.volume % pair.lot:
            raise VendorError("EGeneral:Invalid arguments:volume")
        if order.price is not None and (order.price <= 0 or order.price % pair.tick):
            raise VendorError("EOrder:Tick size check failed")
        if order.volume < Decimal(pair.order_min):
            raise VendorError("EOrder:Order minimum not met")
        if order.volume * price < Decimal(pair.cost_min):
            raise VendorError("EOrder:Cost minimum not met")
        asset = pair.quote if order.side == "buy" else pair.base
        need = order.volume * price if order.side == "buy" else order.volume
        if self.balances[asset] - self.held(asset) < need:
            raise VendorError("EOrder:Insufficient funds")

    def match(self, order: VendorOrder) -> None:
        """Fill what crosses the market, all of it at the best price."""
        market = self.markets[order.pair.id]
        best = market.ask if order.side == "buy" else market.bid
        crosses = order.price is None or (
            order.price >= best if order.side == "buy" else order.price <= best
        )
        if crosses and order.status in OPEN:
            self.fill(order.txid, order.left, best)

    def fill(
        self, txid: str, volume: Decimal | None = None, price: Decimal | None = None
    ) -> VendorTrade:
        """Execute part or all of an order; raises KeyError for one that is not there."""
        with self.lock:
            order = self.orders[txid]
            size = order.left if volume is None else volume
            market = self.markets[order.pair.id]
            at = price or order.price or (market.ask if order.side == "buy" else market.bid)
            pair, cost = order.pair, at * size
            # As fine as the balance of the quote currency is, so that our books can equal these.
            unit = Decimal(1).scaleb(-min(pair.cost_decimals, ASSETS[pair.quote].decimals))
            cost = cost.quantize(unit, ROUND_DOWN)
            fee = (cost * self.fee_percent / 100).quantize(unit, ROUND_DOWN)
            # A millisecond apart at least: names of fills sort by their time.
            last = next(reversed(self.trades.values()), None)
            when = max(self.now(), last.at + 0.001) if last else self.now()
            trade = VendorTrade(
                self.id_new("T"),
                len(self.trades) + 1,
                txid,
                pair,
                order.side,
                order.order_type,
                at,
                size,
                cost,
                fee,
                when,
            )
            self.trades[trade.id] = trade
            order.trades.append(trade.id)
            order.filled += size
            order.cost += cost
            order.fee += fee
            sign = 1 if order.side == "buy" else -1
            self._entry("trade", pair.base, sign * size, ZERO, trade.id)
            self._entry("trade", pair.quote, -sign * cost, fee, trade.id)
            if order.left <= 0:
                self.close(order, "closed", None)
            return trade

    def close(self, order: VendorOrder, status: str, reason: str | None) -> None:
        """An order ends."""
        with self.lock:
            order.status, order.reason, order.closed = status, reason, self.now()

    def move(self, pair: Pair) -> None:
        """The market moved: resting orders that cross it now fill."""
        with self.lock:
            if self.instant:
                for order in list(self.orders.values()):
                    if order.pair is pair:
                        self.match(order)
