"""What the market plugs into the floor below it, at start."""

from typing import Any

from speedtrade.lib import live


def register() -> None:
    """Sockets get the alert message."""
    live.register_renderer("alert", _render)


def _render(user_id: int, alert_id: int) -> dict[str, Any] | None:
    """The alert message, or None where the alert is not this user's (any more)."""
    from marketdata.models import Alert
    from marketdata.presenters import alert_json

    rows = Alert.objects.filter(pk=alert_id, user_id=user_id).select_related("instrument")
    alert = rows.first()
    return {"type": "alert", "alert": alert_json(alert)} if alert else None
