"""A Binance-like exchange on the loopback: as much of its spot REST as an order's life needs.

Errors are HTTP 400 with a negative code, a client order id is unique among open orders, and a
request whose timestamp is off by more than `recvWindow` is refused.
"""

import hashlib
import hmac
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any, Self

from speedtrade.testing.vendors.faults import FaultScript
from speedtrade.testing.vendors.kraken_http import Loopback, Reply, Request

API_KEY, SECRET = "LOOPBACK-BINANCE-KEY", "the secret of the loopback binance"
PRICE = Decimal("43210.15")
ROOT = "/api/v3"
Fields = dict[str, str]


class Refused(Exception):
    """A refusal: the venue's code and words, as in "-2013 Order does not exist."."""


class BinanceVendor:
    """One market (BTCUSDT), one customer; `urls` is what CCXT_URLS takes for "binance"."""

    def __init__(self) -> None:
        self.wire = Loopback(self._answer, lambda request: f"{request.method} {request.path}")
        self.orders: dict[int, dict[str, Any]] = {}
        self.accepted: dict[str, int] = defaultdict(int)
        self.trades: list[dict[str, Any]] = []
        self.money = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
        self.clock_offset = 0.0

    @property
    def urls(self) -> dict[str, str]:
        return {"public": self.wire.url + ROOT, "private": self.wire.url + ROOT}

    @property
    def faults(self) -> FaultScript:
        return self.wire.faults

    def __enter__(self) -> Self:
        self.wire.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.stop()

    def now(self) -> int:
        return int((time.time() + self.clock_offset) * 1000)

    def _answer(self, request: Request, refusal: str) -> Reply:
        try:
            if refusal:
                raise Refused(refusal)
            name = f"{request.method.lower()}_{request.path.rpartition('/')[2]}".lower()
            handler = getattr(self, name, None)
            if handler is None:
                raise Refused("-1000 Unknown path.")
            fields = request.form if request.method == "POST" else request.query
            if name not in {"get_exchangeinfo", "get_time"}:
                self._check(request, fields)
            return Reply(handler(fields))
        except Refused as error:
            code, _, words = str(error).partition(" ")
            status = 429 if code == "-1003" else 401 if code == "-2015" else 400
            return Reply({"code": int(code), "msg": words}, status)

    def _check(self, request: Request, fields: Fields) -> None:
        if request.headers.get("x-mbx-apikey") != API_KEY:
            raise Refused("-2015 Invalid API-key, IP, or permissions for action.")
        signed, _, signature = request.text.rpartition("&signature=")
        made = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(made, signature):
            raise Refused("-1022 Signature for this request is not valid.")
        late = self.now() - int(fields["timestamp"])
        if late < -1000 or late > int(fields.get("recvWindow", 5000)):
            raise Refused("-1021 Timestamp for this request is outside of the recvWindow.")

    def get_time(self, fields: Fields) -> Any:
        return {"serverTime": self.now()}

    def get_exchangeinfo(self, fields: Fields) -> Any:
        filters = [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "stepSize": "0.00001"},
            {"filterType": "NOTIONAL", "minNotional": "5.00"},
        ]
        market = {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "baseAssetPrecision": 8,
            "quoteAsset": "USDT",
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "permissions": [],
            "filters": filters,
        }
        return {"timezone": "UTC", "serverTime": self.now(), "symbols": [market]}

    def get_account(self, fields: Fields) -> Any:
        rows = [
            {"asset": code, "free": str(held), "locked": "0.00"}
            for code, held in self.money.items()
        ]
        return {
            "uid": 354937868,
            "canTrade": True,
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
        }

    def post_order(self, fields: Fields) -> Any:
        client_id, qty = fields["newClientOrderId"], Decimal(fields["quantity"])
        open_ = [
            one for one in self.orders.values() if one["status"] in {"NEW", "PARTIALLY_FILLED"}
        ]
        if any(one["clientOrderId"] == client_id for one in open_):
            raise Refused("-2010 Duplicate order sent.")
        price = Decimal(fields.get("price", PRICE))
        if fields["side"] == "BUY" and qty * price > self.money["USDT"]:
            raise Refused("-2010 Account has insufficient balance for requested action.")
        number = len(self.orders) + 1
        self.accepted[client_id] += 1
        self.orders[number] = {
            "symbol": "BTCUSDT",
            "orderId": number,
            "orderListId": -1,
            "clientOrderId": client_id,
            "price": fields.get("price", "0.00000000"),
            "origQty": fields["quantity"],
            "executedQty": "0.00000000",
            "cummulativeQuoteQty": "0.00000000",
            "status": "NEW",
            "timeInForce": fields.get("timeInForce", "GTC"),
            "type": fields["type"],
            "side": fields["side"],
            "time": self.now(),
            "updateTime": self.now(),
        }
        return self.orders[number] | {"transactTime": self.now(), "fills": []}

    def _find(self, fields: Fields, missing: str) -> dict[str, Any]:
        for order in reversed(self.orders.values()):
            named = fields.get("origClientOrderId")
            if order["clientOrderId"] == named or str(order["orderId"]) == fields.get("orderId"):
                return order
        raise Refused(missing)

    def get_order(self, fields: Fields) -> Any:
        return self._find(fields, "-2013 Order does not exist.")

    def get_openorders(self, fields: Fields) -> Any:
        return [one for one in self.orders.values() if one["status"] in {"NEW", "PARTIALLY_FILLED"}]

    def delete_order(self, fields: Fields) -> Any:
        order = self._find(fields, "-2011 Unknown order sent.")
        if order["status"] not in {"NEW", "PARTIALLY_FILLED"}:
            raise Refused("-2011 Unknown order sent.")
        order["status"] = "CANCELED"
        return order

    def get_mytrades(self, fields: Fields) -> Any:
        return [one for one in self.trades if str(one["orderId"]) == fields.get("orderId")]

    def fill(self, number: int, qty: str, price: str, fee: str, asset: str) -> None:
        """Execute part of an order; the fee is taken in the asset that is said."""
        order = self.orders[number]
        done = Decimal(order["executedQty"]) + Decimal(qty)
        spent = Decimal(order["cummulativeQuoteQty"]) + Decimal(qty) * Decimal(price)
        order["executedQty"], order["cummulativeQuoteQty"] = f"{done:.8f}", f"{spent:.8f}"
        whole = done >= Decimal(order["origQty"])
        order["status"] = "FILLED" if whole else "PARTIALLY_FILLED"
        self.trades.append(
            {
                "symbol": "BTCUSDT",
                "id": 28457 + len(self.trades),
                "orderId": number,
                "price": price,
                "qty": qty,
                "quoteQty": f"{Decimal(qty) * Decimal(price):.8f}",
                "commission": fee,
                "commissionAsset": asset,
                "time": self.now() + len(self.trades),
                "isBuyer": order["side"] == "BUY",
                "isMaker": False,
                "isBestMatch": True,
            }
        )
