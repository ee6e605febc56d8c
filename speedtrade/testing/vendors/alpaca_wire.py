"""The Alpaca-like vendor's things as JSON, after recorded replies: numbers are texts."""

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from speedtrade.testing.vendors.alpaca_book import (
    VendorAccount,
    VendorFill,
    VendorOrder,
    VendorPosition,
)

#: What can be traded there: symbol -> (class, exchange, fractionable).
ASSETS = {
    "AAPL": ("us_equity", "NASDAQ", True),
    "MSFT": ("us_equity", "NASDAQ", True),
    "NVDA": ("us_equity", "NASDAQ", True),
    "TSLA": ("us_equity", "NASDAQ", True),
    "KO": ("us_equity", "NYSE", True),
    "SPY": ("us_equity", "ARCA", True),
    "OCGN": ("us_equity", "NASDAQ", False),
    "BTC/USD": ("crypto", "CRYPTO", True),
    "ETH/USD": ("crypto", "CRYPTO", True),
    "AAVE/USD": ("crypto", "CRYPTO", True),
}


def text(value: Decimal | None) -> str | None:
    """A number as the vendor writes it: no exponent, no needless zeros."""
    if value is None:
        return None
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def moment(value: datetime | None) -> str | None:
    """With nanoseconds, as the vendor's clocks have them."""
    if value is None:
        return None
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "727Z"


def asset_id(symbol: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"asset.{symbol}"))


def order(row: VendorOrder) -> dict[str, Any]:
    ended = moment(row.ended_at)
    average = row.value / row.filled if row.filled else None
    return {
        "id": row.id,
        "client_order_id": row.client_order_id,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at or row.created_at),
        "submitted_at": moment(row.created_at + timedelta(milliseconds=4)),
        "filled_at": ended if row.status == "filled" else None,
        "expired_at": ended if row.status == "expired" else None,
        "canceled_at": ended if row.status == "canceled" else None,
        "failed_at": ended if row.status == "rejected" else None,
        "replaced_at": ended if row.status == "replaced" else None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": asset_id(row.symbol),
        "symbol": row.symbol,
        "asset_class": row.asset_class,
        "notional": text(row.notional),
        "qty": text(row.qty),
        "filled_qty": text(row.filled),
        "filled_avg_price": text(average.quantize(Decimal("1e-9"))) if average else None,
        "order_class": "",
        "order_type": row.type,
        "type": row.type,
        "side": row.side,
        "position_intent": "buy_to_open" if row.side == "buy" else "sell_to_close",
        "time_in_force": row.time_in_force,
        "limit_price": text(row.limit_price),
        "stop_price": text(row.stop_price),
        "status": row.status,
        "extended_hours": row.extended_hours,
        "legs": None,
        "trail_percent": text(row.trail_percent),
        "trail_price": text(row.trail_price),
        "hwm": None,
        "subtag": None,
        "source": None,
        "expires_at": moment(row.created_at + timedelta(days=90)),
    }


def activity(row: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        name: text(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if name != "at"
    }
    if row["activity_type"] == "FILL":
        return made | {"transaction_time": moment(row["at"])}
    # Dated by the day of the trade, made at night: the real ones are so.
    day = row["at"].date().isoformat()
    return made | {"date": f"{day}T00:00:00Z", "created_at": moment(row["at"])}


def account(row: VendorAccount) -> dict[str, Any]:
    worth = sum((place.cost for place in row.positions.values()), Decimal(0))
    cash = text(row.cash)
    return {
        "id": row.id,
        "account_number": row.number,
        "status": row.status,
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": cash,
        "buying_power": text(row.cash * 4),
        "effective_buying_power": text(row.cash * 4),
        "regt_buying_power": text(row.cash * 2),
        "non_marginable_buying_power": cash,
        "accrued_fees": "0",
        "portfolio_value": text(row.cash + worth),
        "equity": text(row.cash + worth),
        "long_market_value": text(worth),
        "short_market_value": "0",
        "multiplier": "4",
        "shorting_enabled": True,
        "trading_blocked": row.trading_blocked,
        "transfers_blocked": False,
        "account_blocked": row.account_blocked,
        "trade_suspended_by_user": row.trade_suspended_by_user,
        "created_at": "2026-01-05T14:00:00.123456Z",
    }


def position(symbol: str, row: VendorPosition) -> dict[str, Any]:
    """Coins are written here without the slash, unlike in orders: recorded."""
    kind, exchange, _ = ASSETS.get(symbol, ("us_equity", "NASDAQ", True))
    each = (row.cost / row.qty).quantize(Decimal("1e-6"))
    zero = {
        name: "0"
        for name in [
            "unrealized_pl",
            "unrealized_plpc",
            "unrealized_intraday_pl",
            "unrealized_intraday_plpc",
            "change_today",
        ]
    }
    return {
        "asset_id": asset_id(symbol),
        "symbol": symbol.replace("/", ""),
        "exchange": exchange,
        "asset_class": kind,
        "asset_marginable": kind != "crypto",
        "qty": text(row.qty),
        "qty_available": text(row.qty),
        "avg_entry_price": text(each),
        "side": "long" if row.qty >= 0 else "short",
        "market_value": text(row.cost.quantize(Decimal("1e-6"))),
        "cost_basis": text(row.cost.quantize(Decimal("1e-6"))),
        "current_price": text(each),
        "lastday_price": text(each),
        **zero,
    }


def asset(symbol: str) -> dict[str, Any]:
    kind, exchange, fractionable = ASSETS[symbol]
    crypto = kind == "crypto"
    steps = {"min_order_size": "0.0001", "min_trade_increment": "0.000000001"}
    return {
        "id": asset_id(symbol),
        "class": kind,
        "exchange": exchange,
        "symbol": symbol,
        "name": f"{symbol} of the loopback vendor",
        "status": "active",
        "tradable": True,
        "marginable": not crypto,
        "shortable": not crypto,
        "fractionable": fractionable,
        "attributes": [],
        **({**steps, "price_increment": "0.01"} if crypto else {}),
    }


def clock(now: datetime, *, is_open: bool) -> dict[str, Any]:
    there = now - timedelta(hours=5)
    tomorrow = there.date() + timedelta(days=1)
    return {
        "timestamp": there.strftime("%Y-%m-%dT%H:%M:%S.%f") + "152-05:00",
        "is_open": is_open,
        "next_open": f"{tomorrow}T09:30:00-05:00",
        "next_close": f"{tomorrow}T16:00:00-05:00",
    }


def calendar(first: date, last: date) -> list[dict[str, Any]]:
    days = (first + timedelta(days=more) for more in range((last - first).days + 1))
    return [
        {
            "date": day.isoformat(),
            "open": "09:30",
            "close": "16:00",
            "session_open": "0400",
            "session_close": "2000",
            "settlement_date": (day + timedelta(days=1)).isoformat(),
        }
        for day in days
        if day.weekday() < 5
    ]


def update(event: str, row: VendorOrder, fill: VendorFill | None, now: datetime) -> dict[str, Any]:
    """A frame of trade_updates; the order in it is the one of the REST replies."""
    data: dict[str, Any] = {
        "event": event,
        "execution_id": fill.execution_id if fill else str(uuid.uuid4()),
        "order": order(row),
        "timestamp": moment(fill.at if fill else now),
    }
    if fill:
        data |= {"price": text(fill.price), "qty": text(fill.qty), "position_qty": text(fill.cum)}
    return {"stream": "trade_updates", "data": data}
