"""One shape for an order outside: the API, the socket and the pages share it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from speedtrade.lib.money import money, plain
from speedtrade.lib.times import rfc3339
from trading.models import Fill, Order
from trading.selectors.orders import average_price


def order_payload(order: Order, fills: Iterable[Fill] | None = None) -> dict[str, Any]:
    """The contract's order object, its fills included; who knows them gives `fills`."""
    average = average_price(order)
    return {
        "id": order.pk,
        "client_order_id": order.client_order_id,
        "account_id": order.brokerage_account_id,
        "symbol": order.instrument.symbol,
        "asset_type": order.instrument.asset_type,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "qty": _plain(order.qty),
        "notional": money(order.notional) if order.notional is not None else None,
        "filled_qty": plain(order.filled_qty),
        "avg_fill_price": plain(average.quantize(Decimal("0.0000000001")), 2)
        if average is not None
        else None,
        "limit_price": _plain(order.limit_price, 2),
        "stop_price": _plain(order.stop_price, 2),
        "trail_price": _plain(order.trail_price, 2),
        "trail_percent": _plain(order.trail_percent),
        "extended_hours": order.extended_hours,
        "status": order.status,
        "reject_reason": order.reject_reason or None,
        "submitted_at": _time(order.submitted_at),
        "filled_at": _time(order.filled_at),
        "canceled_at": _time(order.canceled_at),
        "created_at": rfc3339(order.created_at),
        "expires_at": _time(order.expires_at),
        "fees": money(order.fees),
        "replaces": order.replaces_id,
        "fills": [fill_payload(fill) for fill in (order.fills.all() if fills is None else fills)],
    }


def fill_payload(fill: Fill) -> dict[str, Any]:
    """The contract's fill, with the evidence for its price."""
    return {
        "id": fill.pk,
        "qty": plain(fill.qty),
        "price": plain(fill.price, 2),
        "fee": money(fill.fee),
        "executed_at": rfc3339(fill.executed_at),
        "evidence": fill.evidence,
    }


def _plain(value: Decimal | None, least: int = 0) -> str | None:
    return plain(value, least) if value is not None else None


def _time(moment: Any) -> str | None:
    return rfc3339(moment) if moment is not None else None
