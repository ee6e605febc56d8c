"""What the chart of a symbol draws of one account: its cost, working orders, fills, alerts."""

from typing import Any

from django.conf import settings

from accounts.models import BrokerageAccount
from marketdata.alert_selectors import alert_marks
from marketdata.models import Instrument
from portfolio.models import Position
from speedtrade.lib.money import money_round, plain
from speedtrade.lib.times import rfc3339
from trading.models import Fill
from trading.selectors.orders import orders_of


def marks_of(account: BrokerageAccount, instrument: Instrument) -> dict[str, Any]:
    """`position` (or None), `orders` with a price, `fills`, `alerts`; numbers are exact text."""
    return {
        "position": _position(account, instrument),
        "orders": _orders(account, instrument),
        "fills": _fills(account, instrument),
        "alerts": alert_marks(account.user, instrument),
    }


def _position(account: BrokerageAccount, instrument: Instrument) -> dict[str, str] | None:
    row = Position.objects.filter(
        brokerage_account=account, instrument=instrument, qty__gt=0
    ).first()
    if row is None:
        return None
    return {"qty": plain(row.qty), "avg_price": plain(money_round(row.cost_basis / row.qty), 2)}


def _orders(account: BrokerageAccount, instrument: Instrument) -> list[dict[str, Any]]:
    """Working orders that stand at a price, the newest first; `qty` is what is still open."""
    found = orders_of(account, status="open", symbol=instrument.symbol)
    priced = found.filter(limit_price__isnull=False, qty__isnull=False)
    return [
        {
            "id": order.pk,
            "side": order.side,
            "qty": plain(order.qty - order.filled_qty),
            "price": plain(order.limit_price, 2),
        }
        for order in priced[: settings.CHART_ORDERS]
        if order.qty is not None and order.limit_price is not None
    ]


def _fills(account: BrokerageAccount, instrument: Instrument) -> list[dict[str, str]]:
    """The last fills, the oldest first."""
    found = (
        Fill.objects.filter(brokerage_account=account, order__instrument=instrument)
        .select_related("order")
        .order_by("-executed_at", "-id")[: settings.CHART_FILLS]
    )
    return [
        {
            "t": rfc3339(fill.executed_at),
            "side": fill.order.side,
            "qty": plain(fill.qty),
            "price": plain(fill.price, 2),
        }
        for fill in reversed(found)
    ]
