"""What can be wrong with the settings of this app, found before anything starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from marketdata.feeds.registry import ALPACA, known_names


@register()
def feeds_exist(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """MARKET_DATA_FEEDS names at least one feed, and only feeds that exist; Alpaca has its key."""
    names = settings.MARKET_DATA_FEEDS
    unknown = [name for name in names if name not in known_names()]
    if not names or unknown:
        hint = f"Choose from: {', '.join(known_names())}."
        wrong = f"MARKET_DATA_FEEDS names no feed of ours: {unknown}" if names else "It is empty"
        return [Error(f"{wrong}.", hint=hint, id="marketdata.E001")]
    if ALPACA in names and not (settings.ALPACA_DATA_KEY and settings.ALPACA_DATA_SECRET):
        return [
            Warning(
                "MARKET_DATA_FEEDS names alpaca, and its key is missing: stocks get no prices.",
                hint="Set ALPACA_DATA_KEY and ALPACA_DATA_SECRET.",
                id="marketdata.W001",
            )
        ]
    return []
