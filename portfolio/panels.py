"""What the app above adds to the dashboard: this one may not know it, so it registers here.

A panel is a function (account, now) -> context. The key `orders_template` names the template of the
open orders. A fact is a function account -> bool under a name, for the first steps of a new user:
"ordered" (an order was placed), "secured" (the log-in is guarded by more than a password).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from accounts.models import BrokerageAccount

Panel = Callable[[BrokerageAccount, datetime], dict[str, Any]]

Fact = Callable[[BrokerageAccount], bool]

_PANELS: list[Panel] = []
_FACTS: dict[str, Fact] = {}


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


def register_fact(name: str, fact: Fact) -> None:
    """Called once per fact, from AppConfig.ready()."""
    _FACTS[name] = fact


def fact_holds(name: str, account: BrokerageAccount) -> bool:
    """Whether it is so; False while nobody knows."""
    fact = _FACTS.get(name)
    return fact is not None and fact(account)
