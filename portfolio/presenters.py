"""One shape for what a portfolio looks like outside: the API, the socket and the pages share it."""

from collections.abc import Sequence
from typing import Any

from portfolio.domain.pnl import EquityPoint, PositionValue, Summary, equity_change
from portfolio.models import CashTransfer, JournalEntry
from speedtrade.lib.money import money, plain
from speedtrade.lib.times import rfc3339


def portfolio_payload(summary: Summary) -> dict[str, Any]:
    """The contract's portfolio object, with its positions for whoever paints them."""
    return {
        "account_id": summary.account_id,
        "currency": summary.currency,
        "cash_balance": money(summary.cash_balance),
        "buying_power": money(summary.buying_power),
        "reserved": money(summary.reserved),
        "portfolio_value": money(summary.portfolio_value),
        "positions_value": money(summary.positions_value),
        "total_pl": money(summary.total_pl),
        "total_pl_pct": plain(summary.total_pl_pct, 2),
        "day_pl": money(summary.day_pl),
        "day_pl_pct": plain(summary.day_pl_pct, 2),
        "stale": summary.stale,
        "as_of": rfc3339(summary.as_of),
        "positions": [position_payload(position) for position in summary.positions],
    }


def position_payload(position: PositionValue) -> dict[str, Any]:
    """The contract's position object."""
    held = position.held
    return {
        "id": held.position_id,
        "symbol": held.symbol,
        "name": held.name,
        "asset_type": held.asset_type,
        "qty": plain(held.qty),
        "available_qty": plain(held.qty - held.reserved),
        "avg_price": plain(position.avg_price, 2),
        "current_price": plain(position.current_price, 2)
        if position.current_price is not None
        else None,
        "market_value": money(position.market_value),
        "cost_basis": money(held.cost_basis),
        "unrealized_pl": money(position.unrealized_pl),
        "unrealized_pl_pct": plain(position.unrealized_pl_pct, 2),
        "realized_pl": money(held.realized_pl),
        "day_pl": money(position.day_pl),
        "day_pl_pct": plain(position.day_pl_pct, 2),
        "fees": money(held.fees),
        "stale": position.stale,
        "opened_at": rfc3339(held.opened_at) if held.opened_at else None,
    }


def history_payload(account_id: int, period: str, points: Sequence[EquityPoint]) -> dict[str, Any]:
    """The contract's equity curve, with the P&L over it."""
    change, change_pct = equity_change(points)
    return {
        "account_id": account_id,
        "period": period,
        "change": money(change),
        "change_pct": plain(change_pct, 2),
        "points": [
            {
                "t": rfc3339(point.at),
                "equity": money(point.equity),
                "net_deposits": money(point.net_deposits),
            }
            for point in points
        ],
    }


def activity_payload(entry: JournalEntry) -> dict[str, Any]:
    """One fact of the ledger."""
    return {
        "id": entry.pk,
        "type": entry.kind,
        "symbol": entry.instrument.symbol if entry.instrument else None,
        "side": entry.side or None,
        "qty": plain(entry.qty) if entry.qty is not None else None,
        "price": plain(entry.price, 2) if entry.price is not None else None,
        "fee": money(entry.fee),
        "amount": money(entry.amount),
        "order_id": entry.order_ref,
        "at": rfc3339(entry.effective_at),
    }


def transfer_payload(transfer: CashTransfer) -> dict[str, Any]:
    return {
        "id": transfer.pk,
        "account_id": transfer.brokerage_account_id,
        "direction": transfer.direction,
        "amount": money(transfer.amount),
        "created_at": rfc3339(transfer.created_at),
    }
