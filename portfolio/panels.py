"""What the app above adds to the dashboard: this one may not know it, so it registers here.

A panel is a function (account, now) -> context. The key `orders_template` names the template of the
open orders.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from accounts.models import BrokerageAccount

Panel = Callable[[BrokerageAccount, datetime], dict[str, Any]]

_PANELS: list[Panel] = []


def register_dashboard_panel(panel: Panel) -> None:
    """Called once per panel, from AppConfig.ready(); again is harmless."""
    if panel not in _PANELS:
        _PANELS.append(panel)


def dashboard_context(account: BrokerageAccount, now: datetime) -> dict[str, Any]:
    """The context of all panels."""
    context: dict[str, Any] = {}
    for panel in _PANELS:
        context |= panel(account, now)
    return context
