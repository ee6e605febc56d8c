"""What the shell of every page knows of trading: whether it is halted for everybody."""

from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from trading.models import TradingHalt
from trading.selectors.facts import halt_open


def halt_context(request: HttpRequest) -> dict[str, Any]:
    """`trading_halt`, the kill switch that is on, or nothing; one query, when a shell asks.

    Not kept from page to page: who has just been refused must see why.
    """
    if not getattr(getattr(request, "user", None), "is_authenticated", False):
        return {"trading_halt": None}
    return {"trading_halt": SimpleLazyObject(_halt)}


def _halt() -> TradingHalt | None:
    """None on the page that says that the database is away."""
    try:
        return halt_open()
    except DatabaseError:
        return None
