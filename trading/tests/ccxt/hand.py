"""Short ways to place and ask at the Kraken-like vendor."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.keys import BrokerKey
from speedtrade.testing.vendors.kraken import API_KEY, SECRET, KrakenVendor
from speedtrade.testing.vendors.kraken_book import VendorOrder
from trading.brokers.base import BrokerOrder, BrokerRequest, OrderRef
from trading.brokers.ccxt.adapter import CcxtBroker

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def order_request(**changes: Any) -> BrokerRequest:
    """Buy 0.1 BTC at 43,000.5, which rests, under a fresh id; unless said otherwise."""
    terms: dict[str, Any] = {
        "account_id": 1,
        "client_order_id": uuid.uuid4().hex,
        "instrument_id": 1,
        "symbol": "BTC/USD",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "qty": Decimal("0.1"),
        "notional": None,
        "max_qty": None,
        "limit_price": Decimal("43000.5"),
        "price_bound": Decimal("45000"),
        "fee_rate": Decimal(0),
        "expires_at": None,
        "asset_type": "crypto",
    } | changes
    if terms["order_type"] == "market":
        terms["limit_price"] = None
    return BrokerRequest(**terms)


def order_ref(request: BrokerRequest, **changes: Any) -> OrderRef:
    """What we would ask for this order by."""
    names: dict[str, Any] = {
        "client_order_id": request.client_order_id,
        "broker_order_id": "",
        "symbol": request.symbol,
        "asset_type": "crypto",
        "since": EPOCH,
        "filled_qty": Decimal(0),
    }
    return OrderRef(**names | changes)


@dataclass
class Hand:
    """One account and the vendor that it is at."""

    vendor: KrakenVendor
    mode: str = "paper"
    key: BrokerKey = field(default_factory=lambda: BrokerKey(API_KEY, SECRET))

    @property
    def broker(self) -> CcxtBroker:
        """A fresh one each time, as every task makes its own."""
        return CcxtBroker(1, self.key, "kraken", self.mode)

    def place(self, **changes: Any) -> tuple[BrokerRequest, BrokerOrder]:
        request = order_request(**changes)
        return request, self.broker.submit_order(request)

    def at_vendor(self, request: BrokerRequest) -> VendorOrder:
        """The order as the vendor has it."""
        return self.vendor.order_of(str(uuid.UUID(request.client_order_id)))

    def accepted(self, request: BrokerRequest) -> int:
        """How many orders the vendor took under this id."""
        return len(self.vendor.truth.accepted[str(uuid.UUID(request.client_order_id))])


def changed(**fields: Any) -> Callable[[Any], Any]:
    """A fault that rewrites fields of every order in a reply; None takes a field away."""

    def change(body: Any) -> Any:
        for rows in (body["result"].get("open"), body["result"].get("closed"), body["result"]):
            for row in (rows or {}).values():
                if isinstance(row, dict) and "vol_exec" in row:
                    row.update(fields)
                    for name in [name for name, value in fields.items() if value is None]:
                        del row[name]
        return body

    return change
