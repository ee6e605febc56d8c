"""What the market plugs into the floor below it, at start."""

from typing import Any

from speedtrade.lib import live


def register() -> None:
    """Sockets get the alert message, and are told of halts."""
    live.register_renderer("alert", _render)
    live.register_renderer("halt", _render_halt)


def _render(user_id: int, alert_id: int) -> dict[str, Any] | None:
    """The alert message, or None where the alert is not this user's (any more)."""
    from marketdata.models import Alert
    from marketdata.presenters import alert_json

    rows = Alert.objects.filter(pk=alert_id, user_id=user_id).select_related("instrument")
    alert = rows.first()
    return {"type": "alert", "alert": alert_json(alert)} if alert else None


def _render_halt(user_id: int, instrument_id: int) -> dict[str, Any] | None:
    """A halt began or ended: of one symbol, or of all trading (0). What holds now, a page asks."""
    from marketdata.models import Instrument
    from marketdata.selectors import instruments_forget

    if not instrument_id:
        return {"type": "halt", "symbol": None}
    instruments_forget()  # or the page that asks now is answered from before the halt
    found = Instrument.objects.filter(pk=instrument_id).values_list("symbol", flat=True).first()
    return {"type": "halt", "symbol": found} if found else None
