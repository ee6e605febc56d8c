"""What can be wrong with the settings of this app, found before anything starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from marketdata.feeds.registry import BUILDERS


@register()
def feeds_exist(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """MARKET_DATA_FEEDS names at least one feed, and only feeds that exist."""
    names = settings.MARKET_DATA_FEEDS
    unknown = [name for name in names if name not in BUILDERS]
    if names and not unknown:
        return []
    hint = f"Choose from: {', '.join(sorted(BUILDERS))}."
    wrong = f"MARKET_DATA_FEEDS names no feed of ours: {unknown}" if names else "It is empty"
    return [Error(f"{wrong}.", hint=hint, id="marketdata.E001")]
