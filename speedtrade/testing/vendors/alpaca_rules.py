"""What the Alpaca-like vendor takes for an order, and the words in which it refuses one."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from speedtrade.testing.vendors import spec
from speedtrade.testing.vendors.alpaca_book import OPEN, Refused, VendorAccount, VendorOrder
from speedtrade.testing.vendors.alpaca_wire import ASSETS, text

ZERO = Decimal(0)


def _invalid(message: str) -> Refused:
    return Refused(422, 42210000, message)


def order_from(account: VendorAccount, body: Mapping[str, Any], *, is_open: bool) -> VendorOrder:
    """The order that a request asks for; raises Refused as the vendor would.

    A request that the document does not allow (a number that is no text) is refused before all.
    """
    try:
        spec.check_named("CreateOrderRequest", body)
    except spec.Drift as error:
        raise Refused(422, 40010001, f"request body format is invalid: {error}") from error
    client_order_id = body.get("client_order_id") or str(uuid.uuid4())
    if account.by_client_id(client_order_id) is not None:
        raise Refused(422, 40010001, "client_order_id must be unique")
    symbol = _symbol(body["symbol"])
    qty, notional, limit = (
        Decimal(body[name]) if body.get(name) else None
        for name in ("qty", "notional", "limit_price")
    )
    made = VendorOrder(
        client_order_id=client_order_id,
        symbol=symbol,
        asset_class=ASSETS[symbol][0],
        side=body["side"],
        type=body["type"],
        time_in_force=body["time_in_force"],
        qty=qty,
        notional=notional,
        limit_price=limit,
        stop_price=Decimal(body["stop_price"]) if body.get("stop_price") else None,
        extended_hours=bool(body.get("extended_hours")),
        created_at=account.now(),
        status="new" if is_open or ASSETS[symbol][0] == "crypto" else "accepted",
    )
    _check_terms(made)
    _check_funds(account, made)
    return made


def _symbol(name: str) -> str:
    if name in ASSETS:
        return name
    for symbol in ASSETS:
        if symbol.replace("/", "") == name:
            return symbol
    raise _invalid(f'asset "{name}" not found')


def _check_terms(order: VendorOrder) -> None:
    if (order.qty is None) == (order.notional is None):
        raise _invalid("qty or notional is required, and not both")
    if (order.qty or order.notional or ZERO) <= 0:
        raise _invalid("qty must be > 0")
    if (order.type == "limit") != (order.limit_price is not None):
        raise _invalid("limit orders require a limit_price, and only they")
    whole = order.qty is not None and order.qty == order.qty.to_integral_value()
    if order.asset_class == "crypto":
        if order.time_in_force not in {"gtc", "ioc"}:
            raise _invalid("invalid crypto time_in_force")
        return
    if not whole and not ASSETS[order.symbol][2]:
        raise Refused(403, 40310000, f'asset "{order.symbol}" is not fractionable')
    if not whole and order.time_in_force != "day":
        raise _invalid("fractional orders must be DAY orders")
    if order.extended_hours and (order.type != "limit" or order.time_in_force != "day"):
        raise _invalid("extended hours order must be DAY limit orders")
    limit = order.limit_price
    if limit is not None:
        places = 2 if limit >= 1 else 4
        if limit != limit.quantize(Decimal(1).scaleb(-places)):
            raise _invalid(
                f"invalid limit_price {text(limit)}. sub-penny increment does not fulfill"
                " minimum pricing criteria"
            )


def _check_funds(account: VendorAccount, order: VendorOrder) -> None:
    if account.trading_blocked or account.account_blocked:
        raise Refused(403, 40310000, "account is restricted to trade")
    if account.trade_suspended_by_user:
        raise Refused(403, 40310000, "new orders are rejected by user request")
    rows = [o for o in account.orders.values() if o.status in OPEN and o.symbol == order.symbol]
    for other in rows:
        if other.side != order.side and _crosses(order, other):
            raise Refused(
                403,
                40310000,
                "potential wash trade detected. use complex orders",
                existing_order_id=other.id,
            )
    if order.side == "buy":
        cost = order.notional or (order.qty or ZERO) * (order.limit_price or ZERO)
        power = account.cash * (1 if order.asset_class == "crypto" else 4)
        if cost > power:
            raise Refused(
                403,
                40310000,
                "insufficient buying power",
                buying_power=str(text(power)),
                cost_basis=str(text(cost)),
            )
        return
    place = account.positions.get(order.symbol)
    held = sum(((o.qty or ZERO) - o.filled for o in rows if o.side == "sell"), ZERO)
    free = (place.qty if place else ZERO) - held
    if order.qty is not None and order.qty > free:
        raise Refused(
            403,
            40310000,
            f"insufficient qty available for order (requested: {text(order.qty)},"
            f" available: {text(free)})",
            available=str(text(free)),
            existing_qty=str(text(place.qty if place else ZERO)),
            held_for_orders=str(text(held)),
            symbol=order.symbol,
        )


def _crosses(one: VendorOrder, other: VendorOrder) -> bool:
    if one.limit_price is None or other.limit_price is None:
        return True
    buy, sell = (one, other) if one.side == "buy" else (other, one)
    return (buy.limit_price or ZERO) >= (sell.limit_price or ZERO)
