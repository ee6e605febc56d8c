"""How Binance and Coinbase are asked about orders, trades and money."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from trading.brokers.base import AuthFailed, CashEvent, KeyFacts, OutcomeUnknown
from trading.brokers.ccxt.client import Client
from trading.brokers.ccxt.errors import Gone
from trading.brokers.ccxt.parse import exact, number_of

Raw = Mapping[str, Any]
PAGE = 100
SLACK = timedelta(minutes=5)
UNTOLD = "The key reads balances. Whether it may trade shows with an order."


class _Desk:
    """What both have in common; every method raises BrokerError."""

    cid_field = ""

    def __init__(self, client: Client) -> None:
        self.client = client

    def client_id(self, order: Raw) -> str:
        """The client id that an order carries, in the venue's form."""
        told = (order.get("info") or {}).get(self.cid_field)
        return told if isinstance(told, str) else ""

    def find(self, told_id: str, broker_id: str, symbol: str, since: datetime) -> Raw | None:
        raise NotImplementedError

    def by_ids(self, ids: Sequence[str]) -> Sequence[Raw]:
        """Neither has a question about several orders: each is asked for by itself."""
        return ()

    def cash_events(self, currency: str, since: datetime) -> Sequence[CashEvent]:
        """Neither tells deposits to a key that only trades: they show as differences."""
        return ()

    def _one(self, *args: Any) -> Raw | None:
        try:
            order: Raw = self.client.call("fetch_order", *args)
        except Gone:
            return None
        if not order.get("id"):
            raise OutcomeUnknown(f"{self.client.venue.name} answered without an order.")
        return order

    def _sum(self, rows: Any, name: str, parts: Iterable[tuple[str, ...]]) -> dict[str, Decimal]:
        """Currency -> the sum of these fields of its row."""
        if not isinstance(rows, list):
            raise OutcomeUnknown(f"{self.client.venue.name} does not say what is held.")
        held: dict[str, Decimal] = {}
        for row in rows:
            code = self.client.exchange.safe_currency_code(row.get(name))
            for path in parts:
                value: Any = row
                for step in path:
                    value = (value or {}).get(step)
                amount = exact(value)
                if amount is None:
                    raise OutcomeUnknown(f"It is not said how much {code} there is.")
                held[code] = held.get(code, Decimal(0)) + amount
        return held


class BinanceDesk(_Desk):
    """Reads of one account at Binance."""

    cid_field = "clientOrderId"

    def find(self, told_id: str, broker_id: str, symbol: str, since: datetime) -> Raw | None:
        """One order, by its own id or by ours."""
        if broker_id and (found := self._one(broker_id, symbol)) is not None:
            return found
        return self._one("", symbol, {"origClientOrderId": told_id})

    def open(self) -> Sequence[Raw]:
        """All open orders."""
        orders: Sequence[Raw] = self.client.call("fetch_open_orders")
        if not isinstance(self.client.reply, list):
            raise OutcomeUnknown("Binance answered without a list.")
        return orders

    def closed(self, since: datetime) -> Sequence[Raw]:
        """It lists ended orders by symbol only: none here, ours are asked for one by one."""
        return ()

    def trades(self, order: Raw) -> Sequence[Raw]:
        """The trades of an order."""
        trades: Sequence[Raw] = self.client.call(
            "fetch_my_trades", order.get("symbol"), None, 1000, {"orderId": order.get("id")}
        )
        return [trade for trade in trades if trade.get("order") == order.get("id")]

    def trades_since(self, since: datetime) -> Sequence[Raw] | None:
        """It tells trades by symbol only."""
        return None

    def balances(self) -> Mapping[str, Decimal]:
        """What is held of each currency."""
        told = self.client.call("fetch_balance")
        rows = (told.get("info") or {}).get("balances")
        return self._sum(rows, "asset", (("free",), ("locked",)))

    def check(self) -> KeyFacts:
        """What the key may do: the account itself says whether it trades."""
        told = self.client.call("fetch_balance")
        info = told.get("info") or {}
        number = number_of(info.get("uid"))
        if info.get("canTrade") is False:
            return KeyFacts(False, "Binance says that this account may not trade.", number=number)
        return KeyFacts(True, UNTOLD, number=number)


class CoinbaseDesk(_Desk):
    """Reads of one account at Coinbase."""

    cid_field = "client_order_id"

    def find(self, told_id: str, broker_id: str, symbol: str, since: datetime) -> Raw | None:
        """One order, by its own id, or out of the list of all: it has no question by ours."""
        if broker_id and (found := self._one(broker_id)) is not None:
            return found
        orders = self._list("fetch_orders", symbol, since - SLACK)
        return next((order for order in orders if self.client_id(order) == told_id), None)

    def open(self) -> Sequence[Raw]:
        """All open orders."""
        return self._list("fetch_open_orders", None, None)

    def closed(self, since: datetime) -> Sequence[Raw]:
        """All orders made since then, ended or not."""
        return self._list("fetch_orders", None, since - SLACK)

    def trades(self, order: Raw) -> Sequence[Raw]:
        """The trades of an order."""
        trades: Sequence[Raw] = self.client.call(
            "fetch_my_trades", None, None, 1000, {"order_ids": [order.get("id")]}
        )
        return [trade for trade in trades if trade.get("order") == order.get("id")]

    def trades_since(self, since: datetime) -> Sequence[Raw] | None:
        """Each order is asked for its own."""
        return None

    def balances(self) -> Mapping[str, Decimal]:
        """What is held of each currency."""
        told = self.client.call("fetch_balance", {"v3": True})
        rows = (told.get("info") or {}).get("accounts")
        return self._sum(rows, "currency", (("available_balance", "value"), ("hold", "value")))

    def check(self) -> KeyFacts:
        """What the key may do, by the venue's own list of its rights where it gives one."""
        self.balances()
        try:
            told = self.client.call("v3PrivateGetBrokerageKeyPermissions")
        except (AuthFailed, OutcomeUnknown):
            told = None
        rights = told if isinstance(told, dict) else {}
        number, may = number_of(rights.get("portfolio_uuid")), rights.get("can_trade")
        if may is False:
            return KeyFacts(False, "The key may not trade. Give it the right to.", number=number)
        words = "The key may read the account and trade." if may is True else UNTOLD
        return KeyFacts(True, words, number=number)

    def _list(self, method: str, symbol: str | None, since: datetime | None) -> Sequence[Raw]:
        """Every page of a list; one that never ends is no answer."""
        found: dict[Any, Raw] = {}
        params: dict[str, str] = {}
        start = int(since.timestamp() * 1000) if since else None
        for _ in range(settings.BROKER_PAGES_MAX):
            rows = self.client.call(method, symbol, start, PAGE, params)
            reply = self.client.reply
            if not isinstance(reply, dict) or not isinstance(reply.get("orders"), list):
                raise OutcomeUnknown("Coinbase answered without a list.")
            found |= {row.get("id"): row for row in rows}
            cursor = reply.get("cursor")
            if not cursor or not reply.get("has_next", True):
                return list(found.values())
            params = {"cursor": str(cursor)}
        raise OutcomeUnknown("Coinbase's list does not end.")
