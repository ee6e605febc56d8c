"""The private half of the Kraken-like vendor: POST /0/private/*, signed, with a growing nonce."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from speedtrade.testing.vendors.kraken_book import OPEN, Book, VendorOrder
from speedtrade.testing.vendors.kraken_http import Request
from speedtrade.testing.vendors.kraken_market import Params, VendorError
from speedtrade.testing.vendors.kraken_pairs import pair_named
from speedtrade.testing.vendors.kraken_words import described, money, told, told_trade

PAGE = 50
BATCH = 20
# What the venue takes as a client order id: a UUID with or without dashes, or 18 characters.
CLIENT_ID = re.compile(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[\x21-\x7e]{1,18}"
)
EVERYTHING = frozenset(
    {
        "query-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
        "query-ledger",
    }
)
READ_ONLY = EVERYTHING - {"modify-trades", "close-trades"}


@dataclass
class VendorKey:
    """A key that the venue gave out: its secret, its rights, the last nonce it was used with."""

    api_key: str
    secret: str
    rights: frozenset[str] = EVERYTHING
    nonce: int = 0
    nonces: list[int] = field(default_factory=list)
    refused: int = 0  # how many nonces were too small

    def check(self, request: Request) -> None:
        """The signature, then the nonce; raises VendorError."""
        nonce = request.form.get("nonce", "")
        digest = hashlib.sha256((nonce + request.text).encode()).digest()
        secret = base64.b64decode(self.secret)
        made = hmac.new(secret, request.path.encode() + digest, hashlib.sha512).digest()
        try:
            given = base64.b64decode(request.headers.get("api-sign", ""))
        except binascii.Error:
            given = b""
        if not hmac.compare_digest(made, given):
            raise VendorError("EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self.nonce:
            self.refused += 1
            raise VendorError("EAPI:Invalid nonce")
        self.nonce = int(nonce)
        self.nonces.append(self.nonce)


# endpoint -> the method that answers, and the rights of which the key must have one
ENDPOINTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "GetApiKeyInfo": ("key_info", ()),
    "Balance": ("balance", ("query-funds",)),
    "BalanceEx": ("balance_ex", ("query-funds",)),
    "OpenOrders": ("open_orders", ("query-open-trades",)),
    "ClosedOrders": ("closed_orders", ("query-closed-trades",)),
    "QueryOrders": ("query_orders", ("query-open-trades", "query-closed-trades")),
    "TradesHistory": ("trades_history", ("query-closed-trades",)),
    "QueryTrades": ("query_trades", ("query-closed-trades",)),
    "Ledgers": ("ledgers", ("query-ledger",)),
    "AddOrder": ("add_order", ("modify-trades",)),
    "CancelOrder": ("cancel_order", ("modify-trades", "close-trades")),
}


class PrivateEndpoints:
    """Each method takes the form and gives `result`, or raises VendorError."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def key_info(self, form: Params, key: VendorKey) -> Any:
        return {
            "apiKeyName": "speedtrade",
            "apiKey": key.api_key,
            "nonce": str(key.nonce),
            "nonceWindow": 0,
            "permissions": sorted(key.rights),
            "iban": "AA88 N84G WOAK NMOI",
            "validUntil": "0",
            "queryFrom": "0",
            "queryTo": "0",
            "createdTime": "1772542900",
            "modifiedTime": "1772543095",
            "ipAllowlist": [],
            "lastUsed": None,
        }

    def balance(self, form: Params, key: VendorKey) -> Any:
        return {asset: money(asset, held) for asset, held in self.book.balances.items()}

    def balance_ex(self, form: Params, key: VendorKey) -> Any:
        return {
            asset: {
                "balance": money(asset, held),
                "hold_trade": money(asset, self.book.held(asset)),
            }
            for asset, held in self.book.balances.items()
        }

    def add_order(self, form: Params, key: VendorKey) -> Any:
        pair = pair_named(form.get("pair", ""))
        if pair is None:
            raise VendorError("EQuery:Unknown asset pair")
        kind, side = form.get("ordertype"), form.get("type")
        client_id = form.get("cl_ord_id")
        tif = form.get("timeinforce", "GTC")
        if (
            kind not in {"market", "limit"}
            or side not in {"buy", "sell"}
            or tif not in {"GTC", "IOC", "GTD"}
            or (client_id is not None and not CLIENT_ID.fullmatch(client_id))
            or (kind == "limit") != ("price" in form)
            or (client_id and form.get("userref"))
        ):
            raise VendorError("EGeneral:Invalid arguments")
        order = VendorOrder(
            self.book.id_new("O"),
            pair,
            side,
            kind,
            Decimal(form["volume"]) if "volume" in form else Decimal(0),
            Decimal(form["price"]) if kind == "limit" else None,
            self.book.now(),
            client_id=client_id,
            userref=int(form["userref"]) if form.get("userref") else None,
            tif=tif,
            flags=form.get("oflags") or "fciq",
        )
        if form.get("validate") == "true":
            return {"descr": {"order": described(order)}}
        self.book.place(order)
        return {"descr": {"order": described(order)}, "txid": [order.txid]}

    def cancel_order(self, form: Params, key: VendorKey) -> Any:
        with self.book.lock:
            found = [
                order
                for order in self.book.orders.values()
                if order.status in OPEN
                and (
                    order.txid == form.get("txid")
                    or (form.get("cl_ord_id") and order.client_id == form["cl_ord_id"])
                )
            ]
            if not found:
                raise VendorError("EOrder:Unknown order")
            for order in found:
                self.book.close(order, "canceled", "User requested")
        return {"count": len(found)}

    def _seen(
        self, form: Params, *, open_: bool, ids: Sequence[str] | None = None
    ) -> list[VendorOrder]:
        """Orders that this look-up sees, newest first; one that it names may still be hidden."""
        seen = []
        for order in reversed(self.book.orders.values()):
            if (order.status in OPEN) is not open_:
                continue
            if form.get("cl_ord_id") and order.client_id != form["cl_ord_id"]:
                continue
            if ids is not None and order.txid not in ids:
                continue
            if form.get("userref") and str(order.userref) != form["userref"]:
                continue
            if order.hidden > 0:
                order.hidden -= 1
                continue
            seen.append(order)
        return seen

    def open_orders(self, form: Params, key: VendorKey) -> Any:
        with self.book.lock:
            orders = self._seen(form, open_=True)
            return {"open": {one.txid: told(one, trades=_wants(form)) for one in orders}}

    def closed_orders(self, form: Params, key: VendorKey) -> Any:
        start, end = float(form.get("start", 0)), float(form.get("end", "inf"))
        with self.book.lock:
            orders = [
                order
                for order in self._seen(form, open_=False)
                if order.closed > start and order.opened <= end
            ]
            page = orders[int(form.get("ofs", 0)) :][:PAGE]
            return {
                "closed": {one.txid: told(one, trades=_wants(form)) for one in page},
                "count": len(orders),
            }

    def query_orders(self, form: Params, key: VendorKey) -> Any:
        ids = form.get("txid", "").split(",")
        if not form.get("txid") or len(ids) > BATCH:
            raise VendorError("EGeneral:Invalid arguments")
        with self.book.lock:
            found = [
                order for open_ in (True, False) for order in self._seen({}, open_=open_, ids=ids)
            ]
            if not found:
                raise VendorError("EOrder:Unknown order")
            return {order.txid: told(order, trades=_wants(form)) for order in found}

    def trades_history(self, form: Params, key: VendorKey) -> Any:
        start, end = float(form.get("start", 0)), float(form.get("end", "inf"))
        with self.book.lock:
            found = [
                trade for trade in reversed(self.book.trades.values()) if start < trade.at <= end
            ]
            page = found[int(form.get("ofs", 0)) :][:PAGE]
            return {"trades": {one.id: told_trade(one) for one in page}, "count": len(found)}

    def query_trades(self, form: Params, key: VendorKey) -> Any:
        ids = form.get("txid", "").split(",")
        if not form.get("txid") or len(ids) > BATCH:
            raise VendorError("EGeneral:Invalid arguments")
        with self.book.lock:
            trades = self.book.trades
            return {one: told_trade(trades[one]) for one in ids if one in trades}

    def ledgers(self, form: Params, key: VendorKey) -> Any:
        start, end = float(form.get("start", 0)), float(form.get("end", "inf"))
        asset, kind = form.get("asset", "all"), form.get("type", "all")
        with self.book.lock:
            found = [
                line
                for line in reversed(self.book.ledger)
                if start < line.at <= end
                and (asset == "all" or line.asset in asset.split(","))
                and (kind == "all" or line.kind == kind)
            ]
            page = found[int(form.get("ofs", 0)) :][:PAGE]
        lines = {
            line.id: {
                "refid": line.refid,
                "time": line.at,
                "type": line.kind,
                "subtype": "",
                "aclass": "currency",
                "asset": line.asset,
                "amount": money(line.asset, line.amount),
                "fee": money(line.asset, line.fee),
                "balance": money(line.asset, line.balance),
            }
            for line in page
        }
        return {"ledger": lines, "count": len(found)}


def _wants(form: Params) -> bool:
    return form.get("trades") == "true"
