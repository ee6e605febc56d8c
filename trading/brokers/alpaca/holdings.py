"""An account and its positions at Alpaca, in our words."""

from collections.abc import Mapping
from typing import Any

from trading.brokers.alpaca import parse
from trading.brokers.base import BrokerPosition, Holdings


def blocked_words(account: Mapping[str, Any]) -> str:
    """Why the account takes no orders, or nothing."""
    if account.get("account_blocked"):
        return "Alpaca has blocked the account. Its support can say why."
    if account.get("trading_blocked"):
        return "Alpaca has blocked trading in the account. Its support can say why."
    if account.get("trade_suspended_by_user"):
        return "Trading is suspended in the settings at Alpaca. Switch it on there."
    status = account.get("status")
    if status not in ("ACTIVE", "PAPER_ONLY", None):
        return f"The account at Alpaca is not active: {str(status)[:40].lower()}."
    return ""


def holdings_of(account: Mapping[str, Any], places: list[Mapping[str, Any]]) -> Holdings:
    positions, ignored = [], []
    for place in places:
        asset_class = parse.word(place.get("asset_class"))
        symbol = parse.symbol_of(place.get("symbol"), asset_class)
        if asset_class not in parse.CLASSES:
            ignored.append(f"{symbol} ({asset_class})")
            continue
        qty, cost = parse.number(place.get("qty")), parse.maybe_number(place.get("cost_basis"))
        if place.get("side") == "short" and qty > 0:
            qty = -qty
        positions.append(
            BrokerPosition(symbol, parse.CLASSES[asset_class], qty, cost or parse.number(0))
        )
    return Holdings(
        currency=str(account.get("currency") or "USD"),
        cash=parse.number(account.get("cash")),
        positions=tuple(positions),
        blocked=blocked_words(account),
        ignored=tuple(ignored),
    )
