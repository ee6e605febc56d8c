"""The venue's grid: an order that does not lie on it is refused here, and never rounded."""

from decimal import Decimal
from typing import Any

from trading.brokers.base import BrokerRequest, OrderRejected
from trading.brokers.ccxt.parse import exact
from trading.brokers.ccxt.venues import Venue


def order_check(venue: Venue, market: dict[str, Any] | None, request: BrokerRequest) -> None:
    """Raise OrderRejected for what the venue would not take, or would take as something else."""
    if market is None or request.asset_type not in venue.caps.asset_types:
        raise OrderRejected(
            "instrument_not_at_broker", f"{venue.name} has no market for {request.symbol}."
        )
    if (
        request.order_type not in venue.caps.order_types
        or request.time_in_force not in venue.caps.times_in_force
        or request.extended_hours
    ):
        raise OrderRejected(
            "order_type_unsupported",
            f"{venue.name} takes no {request.order_type} orders of that kind "
            f"({request.time_in_force}).",
        )
    qty, price = request.qty, request.limit_price
    if qty is None or qty <= 0:
        raise OrderRejected("qty_off_grid", f"{venue.name} takes quantities, not amounts of money.")
    if (price is None) != (request.order_type == "market") or (price is not None and price <= 0):
        raise OrderRejected("price_off_grid", "A limit order has a price, a market order has none.")
    step, tick = amount_step(market), price_tick(market)
    if step is not None and qty % step:
        raise OrderRejected(
            "qty_off_grid", f"{venue.name} trades {request.symbol} in steps of {step:f}."
        )
    if price is not None and tick is not None and price % tick:
        raise OrderRejected(
            "price_off_grid", f"{venue.name} quotes {request.symbol} in steps of {tick:f}."
        )
    limits = market.get("limits") or {}
    least = exact((limits.get("amount") or {}).get("min"))
    if least is not None and qty < least:
        raise OrderRejected(
            "qty_too_small", f"{venue.name} takes no order below {least:f} in {request.symbol}."
        )
    worth = exact((limits.get("cost") or {}).get("min"))
    if price is not None and worth is not None and qty * price < worth:
        raise OrderRejected(
            "qty_too_small",
            f"{venue.name} takes no order worth less than {worth:f} {market.get('quote')}.",
        )


def amount_step(market: dict[str, Any]) -> Decimal | None:
    """How finely a quantity may be cut."""
    return _positive((market.get("precision") or {}).get("amount"))


def price_tick(market: dict[str, Any]) -> Decimal | None:
    """How finely a price may be cut; Kraken's own word for it is exacter than its decimals."""
    told = _positive((market.get("info") or {}).get("tick_size"))
    return told or _positive((market.get("precision") or {}).get("price"))


def bound_on_grid(price: Decimal, tick: Decimal | None, side: str) -> Decimal:
    """A bound of ours, moved to the grid: towards the safer side, so it never costs more."""
    if tick is None or not price % tick:
        return price
    lower = price - price % tick
    return lower if side == "buy" else lower + tick


def _positive(value: Any) -> Decimal | None:
    number = exact(value)
    return number if number is not None and number > 0 else None
