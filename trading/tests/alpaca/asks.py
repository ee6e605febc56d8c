"""Requests and references for the tests of the adapter."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.brokers.base import BrokerRequest, OrderRef

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def request(**terms: Any) -> BrokerRequest:
    """A limit order for two shares of AAPL, unless said otherwise."""
    made = {
        "account_id": 1,
        "client_order_id": str(uuid.uuid4()),
        "instrument_id": 1,
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "qty": Decimal(2),
        "notional": None,
        "max_qty": None,
        "limit_price": Decimal("100.50"),
        "price_bound": Decimal("100.50"),
        "fee_rate": Decimal(0),
        "expires_at": None,
    }
    return BrokerRequest(**{**made, **terms})


def market(**terms: Any) -> BrokerRequest:
    return request(order_type="market", limit_price=None, **terms)


def ref(sent: BrokerRequest, **names: Any) -> OrderRef:
    """How our books ask for an order."""
    made = {
        "client_order_id": sent.client_order_id,
        "broker_order_id": "",
        "symbol": sent.symbol,
        "asset_type": sent.asset_type,
        "since": datetime.now(UTC) - timedelta(minutes=1),
        "filled_qty": Decimal(0),
    }
    return OrderRef(**{**made, **names})
