"""A Coinbase-like exchange on the loopback: as much of Advanced Trade as an order's life needs.

A refusal of an order is HTTP 200 with `success: false`; the same client order id again gives the
order that there is.
"""

import hashlib
import hmac
import json
import re
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

from speedtrade.testing.vendors.faults import FaultScript
from speedtrade.testing.vendors.kraken_http import Loopback, Reply, Request

API_KEY, SECRET = "LOOPBACK-COINBASE-KEY", "the secret of the loopback coinbase"
V3 = "/api/v3/brokerage"
PAGE = 2  # orders in one answer: a reader that stops at the first page is found out


class Refused(Exception):
    """A refusal in the venue's word: INSUFFICIENT_FUND."""


class CoinbaseVendor:
    """One market (BTC-USD), one customer; `urls` is what CCXT_URLS takes for "coinbase"."""

    def __init__(self) -> None:
        self.wire = Loopback(self._answer, lambda request: f"{request.method} {request.path}")
        self.orders: dict[str, dict[str, Any]] = {}
        self.fills: list[dict[str, Any]] = []
        self.money = {"USD": Decimal(100_000), "BTC": Decimal(1)}
        self.may_trade = True

    @property
    def urls(self) -> dict[str, str]:
        return {"rest": self.wire.url}

    @property
    def faults(self) -> FaultScript:
        return self.wire.faults

    def __enter__(self) -> Self:
        self.wire.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.stop()

    def count(self, client_order_id: str) -> int:
        """How many orders were taken under this id."""
        return sum(one["client_order_id"] == client_order_id for one in self.orders.values())

    def _answer(self, request: Request, refusal: str) -> Reply:
        path = request.path
        if path.startswith("/v2/"):
            data: Any = {"rates": {}} if "rates" in path else []
            epoch = int(time.time())
            return Reply({"data": {"epoch": epoch} if path == "/v2/time" else data})
        if path == f"{V3}/market/products":
            return Reply({"products": [_PRODUCT] if len(request.query) == 0 else []})
        if not self._signed(request):
            return Reply({"error": "unauthorized", "message": "Unauthorized"}, 401)
        try:
            if refusal:
                raise Refused(refusal)
            return Reply(self._private(request))
        except Refused as error:
            words = {"error": str(error), "message": "", "preview_failure_reason": str(error)}
            return Reply({"success": False, "error_response": words})
        except KeyError:
            words = {"error": "NOT_FOUND", "message": "order not found", "error_details": ""}
            return Reply(words, 404)

    def _signed(self, request: Request) -> bool:
        head = request.headers
        body = "" if request.method == "GET" else request.text
        said = head.get("cb-access-timestamp", "") + request.method + request.path + body
        made = hmac.new(SECRET.encode(), said.encode(), hashlib.sha256).hexdigest()
        right = hmac.compare_digest(made, head.get("cb-access-sign", ""))
        return right and head.get("cb-access-key") == API_KEY

    def _private(self, request: Request) -> Any:
        path = request.path.removeprefix(V3)
        if path == "/key_permissions":
            return {
                "can_view": True,
                "can_trade": self.may_trade,
                "can_transfer": False,
                "portfolio_uuid": "8bfc20d7-f7c6-4422-bf07-8243ca4169fe",
            }
        if path == "/accounts":
            rows = [
                {
                    "currency": code,
                    "available_balance": {"value": str(held), "currency": code},
                    "hold": {"value": "0", "currency": code},
                }
                for code, held in self.money.items()
            ]
            return {"accounts": rows, "has_next": False, "cursor": ""}
        if path == "/orders" and request.method == "POST":
            return self._place(json.loads(request.text))
        if path == "/orders/batch_cancel":
            return {"results": [self._cancel(one) for one in json.loads(request.text)["order_ids"]]}
        if path == "/orders/historical/batch":
            return self._list(request.query)
        if path == "/orders/historical/fills":
            named = request.query.get("order_ids")
            return {"fills": [one for one in self.fills if named in {None, one["order_id"]}]}
        found = re.fullmatch(r"/orders/historical/([0-9a-f-]+)", path)
        return {"order": self.orders[found[1] if found else ""]}

    def _place(self, body: dict[str, Any]) -> Any:
        client_id = body["client_order_id"]
        for one in self.orders.values():
            if one["client_order_id"] == client_id:  # the order that there is, and no second one
                return {"success": True, "success_response": _named(one)}
        [terms] = body["order_configuration"].values()
        cost = Decimal(terms.get("base_size", 0)) * Decimal(terms.get("limit_price", 0))
        if body["side"] == "BUY" and cost > self.money["USD"]:
            raise Refused("INSUFFICIENT_FUND")
        order = {
            "order_id": str(uuid.uuid4()),
            "product_id": body["product_id"],
            "order_configuration": body["order_configuration"],
            "side": body["side"],
            "client_order_id": client_id,
            "status": "OPEN",
            "time_in_force": "GOOD_UNTIL_CANCELLED",
            "created_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "filled_size": "0",
            "average_filled_price": "0",
            "total_fees": "0",
            "order_type": "LIMIT",
            "reject_message": "",
        }
        self.orders[str(order["order_id"])] = order
        return {"success": True, "success_response": _named(order)}

    def _cancel(self, order_id: str) -> dict[str, Any]:
        order = self.orders.get(order_id)
        if order is None or order["status"] != "OPEN":
            return {
                "success": False,
                "failure_reason": "UNKNOWN_CANCEL_ORDER",
                "order_id": order_id,
            }
        order["status"] = "CANCELLED"
        return {"success": True, "failure_reason": "", "order_id": order_id}

    def _list(self, query: dict[str, str]) -> Any:
        rows = [
            one
            for one in reversed(self.orders.values())
            if query.get("order_status") in {None, one["status"]}
        ]
        start = int(query.get("cursor") or 0)
        more = len(rows) > start + PAGE
        page = rows[start : start + PAGE]
        return {"orders": page, "has_next": more, "cursor": str(start + PAGE) if more else ""}

    def fill(self, order_id: str, size: str, price: str, fee: str) -> None:
        """Execute part of an order."""
        order = self.orders[order_id]
        [terms] = order["order_configuration"].values()
        done = Decimal(order["filled_size"]) + Decimal(size)
        order["filled_size"], order["average_filled_price"] = str(done), price
        if done >= Decimal(terms["base_size"]):
            order["status"] = "FILLED"
        self.fills.append(
            {
                "entry_id": str(uuid.uuid4()),
                "trade_id": f"1111-{len(self.fills)}",
                "order_id": order_id,
                "trade_time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "trade_type": "FILL",
                "price": price,
                "size": size,
                "commission": fee,
                "product_id": order["product_id"],
                "size_in_quote": False,
                "side": order["side"],
            }
        )


def _named(order: dict[str, Any]) -> dict[str, Any]:
    names = ("order_id", "product_id", "side", "client_order_id")
    return {name: order[name] for name in names}


_PRODUCT = {
    "product_id": "BTC-USD",
    "product_type": "SPOT",
    "base_currency_id": "BTC",
    "quote_currency_id": "USD",
    "base_increment": "0.00000001",
    "price_increment": "0.01",
    "quote_increment": "0.01",
    "base_min_size": "0.00001",
    "base_max_size": "3400",
    "quote_min_size": "1",
    "quote_max_size": "150000000",
    "trading_disabled": False,
    "status": "online",
}
