"""Which feeds this installation runs, each imported only when it is first asked for.

The web process may need bars of one feed; it must not pay for the libraries of all the others.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from marketdata.feeds.base import Feed
from marketdata.models import Instrument
from speedtrade.lib.errors import Unavailable

#: Name in MARKET_DATA_FEEDS and in Instrument.feed -> the function that builds the feed.
BUILDERS: Final[Mapping[str, str]] = {"simulated": "marketdata.feeds.simulated.feed.build"}


@lru_cache(maxsize=8)
def feed_named(name: str) -> Feed:
    """The feed of that name, one per process; ImproperlyConfigured for an unknown name."""
    if name not in BUILDERS:
        known = ", ".join(sorted(BUILDERS))
        raise ImproperlyConfigured(f"MARKET_DATA_FEEDS has {name!r}; the feeds are: {known}.")
    return cast(Feed, import_string(BUILDERS[name])())


def feeds_running() -> list[Feed]:
    """The feeds of MARKET_DATA_FEEDS, in its order."""
    return [feed_named(name) for name in settings.MARKET_DATA_FEEDS]


def feed_for(instrument: Instrument) -> Feed:
    """The feed that prices this instrument; Unavailable when this installation does not run it."""
    if instrument.feed not in settings.MARKET_DATA_FEEDS:
        raise Unavailable(f"The feed of {instrument.symbol} is switched off here.")
    return feed_named(instrument.feed)
