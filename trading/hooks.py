"""What trading plugs into the apps below it, at start."""

from typing import Any

from accounts.services.closing import register_closing_guard
from accounts.services.exports import register_export
from accounts.services.vendors import register_connector, register_key_check
from marketdata.panels import register_symbol_panel
from portfolio.panels import register_dashboard_panel, register_fact
from speedtrade.lib import live


def register() -> None:
    """Sockets get the order message, pages below this app the ticket and the open orders."""
    from trading.closing import open_orders_guard, orders_export
    from trading.panels import dashboard_panel, has_ordered, symbol_panel
    from trading.services.keys import key_check_ask

    register_connector(_connect)
    register_key_check(key_check_ask)
    live.register_renderer("order", _render)
    register_symbol_panel(symbol_panel)
    register_dashboard_panel(dashboard_panel)
    register_export("orders", orders_export)
    register_closing_guard(open_orders_guard)
    register_fact("ordered", has_ordered)


def _connect(account_id: int) -> None:
    """Hurry a worker to a new account; the beat finds it anyway."""
    from trading.tasks import account_sync

    account_sync.delay(account_id)


def _render(user_id: int, order_id: int) -> dict[str, Any] | None:
    """The order message, or None where the order is not this user's."""
    from trading.presenters import order_payload
    from trading.selectors.orders import order_seen

    order = order_seen(user_id=user_id, order_id=order_id)
    return {"type": "order", "order": order_payload(order)} if order else None
