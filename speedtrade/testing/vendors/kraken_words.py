"""How the Kraken-like vendor tells orders, trades and money: the fields of its documentation."""

from decimal import Decimal
from typing import Any

from speedtrade.testing.vendors.kraken_book import OPEN, VendorOrder, VendorTrade
from speedtrade.testing.vendors.kraken_pairs import ASSETS


def money(asset: str, value: Decimal) -> str:
    """An amount of an asset as balances and ledgers print it."""
    return f"{value:.{ASSETS[asset].decimals}f}"


def described(order: VendorOrder) -> str:
    """buy 0.10000000 LTCUSDT @ limit 74.01"""
    price = "market" if order.price is None else f"limit {order.pair.price(order.price)}"
    return f"{order.side} {order.pair.volume(order.volume)} {order.pair.altname} @ {price}"


def told(order: VendorOrder, *, trades: bool) -> dict[str, Any]:
    """An order as OpenOrders, ClosedOrders and QueryOrders tell it."""
    pair = order.pair
    average = order.cost / order.filled if order.filled else Decimal(0)
    said: dict[str, Any] = {
        "refid": None,
        "userref": order.userref,
        "status": order.status,
        "opentm": order.opened,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair.altname,
            "type": order.side,
            "ordertype": order.order_type,
            "price": "0" if order.price is None else pair.price(order.price),
            "price2": "0",
            "leverage": "none",
            "order": described(order),
            "close": "",
        },
        "vol": pair.volume(order.volume),
        "vol_exec": pair.volume(order.filled),
        "cost": pair.cost(order.cost),
        "fee": pair.cost(order.fee),
        "price": pair.price(average),
        "stopprice": pair.price(Decimal(0)),
        "limitprice": pair.price(Decimal(0)),
        "misc": "",
        "oflags": order.flags,
    }
    if order.client_id is not None:
        said["cl_ord_id"] = order.client_id
    if order.status not in OPEN:
        said |= {"reason": order.reason, "closetm": order.closed}
    if trades and order.trades:
        said["trades"] = list(order.trades)
    return said


def told_trade(trade: VendorTrade) -> dict[str, Any]:
    """An execution as QueryTrades and TradesHistory tell it."""
    pair = trade.pair
    return {
        "ordertxid": trade.order,
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": pair.id,
        "time": trade.at,
        "type": trade.side,
        "ordertype": trade.order_type,
        "price": pair.price(trade.price),
        "cost": pair.cost(trade.cost),
        "fee": pair.cost(trade.fee),
        "vol": pair.volume(trade.volume),
        "margin": pair.cost(Decimal(0)),
        "misc": "",
        "trade_id": trade.number,
        "maker": trade.order_type == "limit",
    }
