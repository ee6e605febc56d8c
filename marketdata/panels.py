"""What other apps add to the page of a symbol: this app may not know them, so they register here.

A panel is a function (request, instrument, now) -> context. Two keys are read by the page itself:
`side_template` (the right column) and `main_templates` (a list, under the chart).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from marketdata.models import Instrument

Panel = Callable[[HttpRequest, Instrument, datetime], dict[str, Any]]

_PANELS: list[Panel] = []


def register_symbol_panel(panel: Panel) -> None:
    """Called once per panel, from AppConfig.ready(); again is harmless."""
    if panel not in _PANELS:
        _PANELS.append(panel)


def symbol_context(request: HttpRequest, instrument: Instrument, now: datetime) -> dict[str, Any]:
    """The context of all panels; the lists of `main_templates` follow each other."""
    context: dict[str, Any] = {"main_templates": []}
    for panel in _PANELS:
        added = dict(panel(request, instrument, now))
        context["main_templates"] += added.pop("main_templates", [])
        context |= added
    return context
