"""Hands at the vendors for the conformance matrix, one harness for each adapter."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.keys import BrokerKey
from speedtrade.testing.vendors.alpaca import AlpacaVendor
from speedtrade.testing.vendors.faults import (
    answer,
    drop_after,
    drop_before,
    empty_after,
    gateway,
    refuse,
    truncated_after,
)
from speedtrade.testing.vendors.kraken import API_KEY, SECRET, KrakenVendor
from trading.brokers.alpaca.adapter import AlpacaBroker
from trading.brokers.base import Broker, BrokerRequest, OrderRef
from trading.brokers.ccxt.adapter import CcxtBroker
from trading.brokers.conformance import FaultName, NotHere
from trading.brokers.paper.adapter import PaperBroker
from trading.domain.orders import OrderState
from trading.models import PaperFill, PaperOrder


class Base:
    """What all harnesses ask in the same way."""

    terms: dict[str, Any] = {}

    def request(self, **terms: Any) -> BrokerRequest:
        made = {
            "account_id": 1,
            "client_order_id": str(uuid.uuid4()),
            "instrument_id": 1,
            "symbol": "AAPL",
            "side": "buy",
            "order_type": "limit",
            "time_in_force": "gtc",
            "qty": Decimal(2),
            "notional": None,
            "max_qty": None,
            "limit_price": Decimal("10.50"),
            "price_bound": Decimal("10.50"),
            "fee_rate": Decimal(0),
            "expires_at": None,
        }
        return BrokerRequest(**{**made, **self.terms, **terms})

    def ref(self, request: BrokerRequest, **names: Any) -> OrderRef:
        made = {
            "client_order_id": request.client_order_id,
            "broker_order_id": "",
            "symbol": request.symbol,
            "asset_type": request.asset_type,
            "since": datetime.now(UTC) - timedelta(minutes=1),
            "filled_qty": Decimal(0),
        }
        return OrderRef(**{**made, **names})


class PaperHarness(Base):
    """The paper market: no network, no keys, no money of its own."""

    def __init__(self, account_id: int, instrument_id: int) -> None:
        self.broker: Broker = PaperBroker(account_id)
        self.account_id = account_id
        self.terms = {"account_id": account_id, "instrument_id": instrument_id}

    def _order(self, client_order_id: str) -> PaperOrder:
        return PaperOrder.objects.get(account_ref=self.account_id, client_order_id=client_order_id)

    def fill(self, client_order_id: str, qty: Decimal, price: Decimal) -> None:
        order, now = self._order(client_order_id), timezone.now()
        PaperFill.objects.create(
            order=order,
            sequence=order.fills.count() + 1,
            qty=qty,
            price=price,
            fee=Decimal(0),
            evidence={},
            executed_at=now,
        )
        order.filled_qty += qty
        done = order.filled_qty == order.qty
        order.status = (OrderState.FILLED if done else OrderState.PARTIALLY_FILLED).value
        order.updated_at = now
        order.save()

    def cancel(self, client_order_id: str) -> None:
        PaperOrder.objects.filter(pk=self._order(client_order_id).pk).update(status="canceled")

    def count(self, client_order_id: str) -> int:
        return PaperOrder.objects.filter(client_order_id=client_order_id).count()

    def fault(self, name: FaultName) -> None:
        raise NotHere

    def down(self) -> None:
        raise NotHere

    def external(self) -> str:
        raise NotHere

    def too_dear(self) -> BrokerRequest:
        raise NotHere

    def deposit(self, amount: Decimal) -> None:
        raise NotHere

    def stranger(self) -> Broker:
        raise NotHere


class AlpacaHarness(Base):
    """The loopback vendor, through the unmodified package."""

    def __init__(self, vendor: AlpacaVendor) -> None:
        self.vendor = vendor
        self.theirs = vendor.open_account("PKALICE", "secret")
        self.broker: Broker = AlpacaBroker(1, BrokerKey("PKALICE", "secret"), "paper")

    def fill(self, client_order_id: str, qty: Decimal, price: Decimal) -> None:
        self.theirs.fill(client_order_id, qty, price)

    def cancel(self, client_order_id: str) -> None:
        self.theirs.cancel(client_order_id)

    def count(self, client_order_id: str) -> int:
        return self.theirs.accepted[client_order_id]

    def fault(self, name: FaultName) -> None:
        miss = answer(404, b'{"code":40410000,"message":"order not found"}')
        limited = answer(429, b'{"code":42910000,"message":"rate limit exceeded"}')
        endpoint, made = {
            "answer_lost": ("submit", drop_after()),
            "request_lost": ("submit", drop_before()),
            "gateway": ("submit", gateway(504)),
            "garbage": ("submit", truncated_after()),
            "empty": ("submit", empty_after()),
            "too_many": ("submit", limited),
            "read_broken": ("by_client_id", gateway(502, accept=False)),
            "hidden": ("by_client_id", miss),
        }[name]
        self.vendor.faults.add(endpoint, made)

    def down(self) -> None:
        self.vendor.stop()

    def external(self) -> str:
        return self.theirs.external("AAPL", "buy", "3", limit_price=Decimal(10)).id

    def too_dear(self) -> BrokerRequest:
        return self.request(qty=Decimal(1_000_000))

    def deposit(self, amount: Decimal) -> None:
        self.theirs.deposit(amount)

    def stranger(self) -> Broker:
        return AlpacaBroker(1, BrokerKey("PKNOBODY", "secret"), "paper")


class KrakenHarness(Base):
    """The loopback vendor, through the unmodified ccxt."""

    terms = {"symbol": "SOL/USD", "asset_type": "crypto"}

    def __init__(self, vendor: KrakenVendor) -> None:
        self.vendor = vendor
        vendor.price("SOL/USD", "12.50", "12.52")
        vendor.truth.fee_percent = Decimal(0)
        vendor.truth.ledger.clear()
        self.broker: Broker = self._broker(API_KEY)

    def _broker(self, api_key: str) -> Broker:
        return CcxtBroker(1, BrokerKey(api_key, SECRET), "kraken", "paper")

    def request(self, **terms: Any) -> BrokerRequest:
        return super().request(**{"client_order_id": uuid.uuid4().hex, **terms})

    def _told(self, client_order_id: str) -> str:
        return str(uuid.UUID(client_order_id))

    def fill(self, client_order_id: str, qty: Decimal, price: Decimal) -> None:
        txid = self.vendor.order_of(self._told(client_order_id)).txid
        self.vendor.truth.fill(txid, qty, price)

    def cancel(self, client_order_id: str) -> None:
        self.vendor.cancel(self.vendor.order_of(self._told(client_order_id)).txid)

    def count(self, client_order_id: str) -> int:
        return len(self.vendor.truth.accepted[self._told(client_order_id)])

    def fault(self, name: FaultName) -> None:
        if name == "hidden":
            next(reversed(self.vendor.truth.orders.values())).hidden = 1
            return
        endpoint, made = {
            "answer_lost": ("AddOrder", drop_after()),
            "request_lost": ("AddOrder", drop_before()),
            "gateway": ("AddOrder", gateway(504)),
            "garbage": ("AddOrder", truncated_after()),
            "empty": ("AddOrder", empty_after()),
            "too_many": ("AddOrder", refuse("EAPI:Rate limit exceeded")),
            "read_broken": ("OpenOrders", gateway(502)),
        }[name]
        self.vendor.faults.add(endpoint, made)

    def down(self) -> None:
        self.vendor.stop()

    def external(self) -> str:
        return self.vendor.external_order("SOL/USD", "buy", "3", "10").txid

    def too_dear(self) -> BrokerRequest:
        return self.request(qty=Decimal(1_000_000))

    def deposit(self, amount: Decimal) -> None:
        self.vendor.deposit("USD", str(amount))

    def stranger(self) -> Broker:
        return self._broker("NOBODY")
