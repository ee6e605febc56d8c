"""What the market, the vendor and the owner at the vendor's own door do to an account, by dice."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.alpaca_answers import Call, replace
from speedtrade.testing.vendors.alpaca_book import OPEN, Refused, VendorAccount, VendorOrder

D = Decimal
SYMBOLS = ("AAPL", "BTC/USD")
PRICE = D(100)


@dataclass(frozen=True)
class There:
    """An order as its vendor has it, in Alpaca's words; `fills` are (quantity, price, total)."""

    status: str
    filled: Decimal
    fills: list[tuple[Decimal, Decimal, Decimal]]


class OtherEnd:
    """The vendor's side of a line; `opened`: our books have begun."""

    symbols: tuple[str, ...] = SYMBOLS
    rounded = D("0.000001")  # how far money may be off: the vendor rounds its averages
    before: dict[str, Decimal]  # name -> what had filled when our books began
    over: set[str]  # names of what was over by then
    dice: random.Random
    vendor: AlpacaVendor
    theirs: VendorAccount
    opened = False

    # ── the truth ────────────────────────────────────────────────────────────
    def there(self) -> dict[str, There]:
        """Every order, by our name for it."""
        return {
            one.client_order_id: There(
                one.status, one.filled, [(fill.qty, fill.price, fill.cum) for fill in one.fills]
            )
            for one in self.theirs.orders.values()
        }

    def accepted(self) -> Mapping[str, int]:
        """Into how many orders each name was made."""
        return self.theirs.accepted

    def sent(self) -> set[str]:
        """The names of all orders that were sent from here."""
        calls = (body for name, *_, body in self.vendor.calls if name == "submit")
        return {json.loads(body)["client_order_id"] for body in calls}

    def money_there(self) -> tuple[Decimal, dict[str, Decimal]]:
        """(cash, positions)."""
        rows = self.theirs.positions.items()
        return self.theirs.cash, {symbol: row.qty for symbol, row in rows}

    def drift(self) -> Iterator[str]:
        """What the vendor said that the real one would not say."""
        yield from self.vendor.drift

    # ── what happens there ───────────────────────────────────────────────────
    def _base_orders(self) -> None:
        """Orders of before our books, some open, some filled in part."""
        for _ in range(self.dice.randint(0, 2)):
            order = self.theirs.external("AAPL", "buy", "10", limit_price=D(95))
            if self.dice.random() < 0.5:
                self.theirs.fill(order, str(self.dice.randint(1, 9)), "95")

    def _remember(self) -> None:
        """Until our books begin: what had filled of which order, and which were over."""
        if self.opened:
            return
        orders = list(self.theirs.orders.values())
        self.before = {order.client_order_id: order.filled for order in orders}
        self.over = {order.client_order_id for order in orders if order.status not in OPEN}

    def _theirs(self, *, late: bool = False) -> VendorOrder | None:
        wanted = {"canceled", "expired"} if late else OPEN - {"suspended"}
        rows = [
            one
            for one in self.theirs.orders.values()
            if one.status in wanted and one.client_order_id not in self.over
        ]
        return self.dice.choice(rows) if rows else None

    def fill(self, *, late: bool = False) -> None:
        """A trade with an order, in part or whole; of a sale no more than there is to sell."""
        order = self._theirs(late=late)
        if order is None:
            return
        price = (order.limit_price or PRICE) + D(self.dice.randint(-50, 0)).scaleb(-2)
        if order.side == "sell":
            price += D("0.50")
        if order.qty is not None:
            left = order.qty - order.filled
        else:
            left = (((order.notional or D(0)) - order.value) / price).quantize(D("1e-9"))
        if order.side == "sell":
            place = self.theirs.positions.get(order.symbol)
            left = min(left, place.qty if place else D(0))
        if self.dice.random() < 0.6:
            left = (left * self.dice.randint(1, 9) / 10).quantize(D("1e-9"))
        if left > 0:
            self.theirs.fill(order, left, price)

    def late_fill(self) -> None:
        self.fill(late=True)

    def ends(self) -> None:
        """The vendor ends an order by itself, or says another word about it."""
        if order := self._theirs():
            words = ["canceled", "expired", "suspended", "held", "pending_cancel", "accepted"]
            if not order.fills:
                words.append("rejected")
            self.theirs.set_status(order, self.dice.choice(words))

    def unrest(self) -> None:
        """What waits for a cancel at the vendor ends, or the vendor thinks better of it."""
        for order in list(self.theirs.orders.values()):
            if order.status == "pending_cancel":
                working = "partially_filled" if order.fills else "new"
                event = "order_cancel_rejected"
                if self.dice.random() < 0.5:
                    self.theirs.set_status(order, "canceled")
                else:
                    self.theirs.set_status(order, working, event)

    def elsewhere(self) -> None:
        """An order at the vendor's own door, or the end or change of one of ours there."""
        what = self.dice.choice(["order", "order", "replace", "cancel"])
        symbol = self.dice.choice(SYMBOLS)
        if what == "order":
            place = self.theirs.positions.get(symbol)
            side = "sell" if place and place.qty > 3 and self.dice.random() < 0.3 else "buy"
            terms = {"limit_price": D(90)} if self.dice.random() < 0.6 else {}
            order = self.theirs.external(symbol, side, "3", **terms)
            if self.dice.random() < 0.5:
                self.theirs.fill(order, self.dice.choice(["3", "1"]), "90")
        elif order_or_none := self._theirs():
            with suppress(Refused):
                if what == "cancel":
                    self.theirs.cancel(order_or_none)
                else:
                    body = {"limit_price": "97"} if order_or_none.type == "limit" else {"qty": "4"}
                    replace(Call(self.vendor, self.theirs, {}, body, order_or_none.id))

    def money(self) -> None:
        """Money or units that move without an order."""
        kind = self.dice.choice(["in", "out", "dividend", "fee", "kind"])
        coins = self.theirs.positions.get("BTC/USD")
        if kind == "in":
            self.theirs.deposit("500")
        elif kind == "out":
            self.theirs.deposit("-25.5")
        elif kind == "dividend":
            self.theirs.dividend("AAPL", "1.25")
        elif kind == "fee":
            self.theirs.entry("FEE", "-0.02")
        elif coins is not None and coins.qty > 1:
            self.theirs.entry("CFEE", "0", symbol="BTC/USD", qty=D("-0.0025"))
