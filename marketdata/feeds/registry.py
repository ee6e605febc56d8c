"""Which feeds this installation runs, each imported only when it is first asked for.

The web process shows what a feed is called and reads its bars; it must not pay for the libraries of
vendors. So names and labels live here, and a vendor's bars come out of the table.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from marketdata.feeds.base import Feed
from marketdata.models import Instrument
from speedtrade.lib.errors import Unavailable

logger = logging.getLogger(__name__)

SIMULATED: Final = "simulated"
ALPACA: Final = "alpaca"
#: Exchanges whose prices were seen to be read right -> what people call them.
EXCHANGES: Final[Mapping[str, str]] = {
    "kraken": "Kraken",
    "coinbase": "Coinbase",
    "binance": "Binance",
}
#: A short name in MARKET_DATA_FEEDS -> the name that it stands for.
SHORT: Final[Mapping[str, str]] = {"ccxt": "ccxt:kraken"}


@dataclass(frozen=True, slots=True)
class FeedKind:
    """One feed that may be run: what pages call it, and the function that builds it."""

    name: str
    label: str
    builder: str
    arguments: tuple[str, ...] = ()
    vendor: bool = True  # its prices come over a network, its bars out of the table


def _kinds() -> dict[str, FeedKind]:
    data = settings.ALPACA_DATA_STREAM_URL.rsplit("/", 1)[-1].upper()
    kinds = [
        FeedKind(SIMULATED, "Simulated", "marketdata.feeds.simulated.feed.build", vendor=False),
        FeedKind(ALPACA, f"Alpaca {data}", "marketdata.feeds.alpaca.feed.build"),
    ]
    for exchange, label in EXCHANGES.items():
        name = f"ccxt:{exchange}"
        arguments = (name, exchange, label)
        kinds.append(FeedKind(name, label, "marketdata.feeds.ccxt.feed.build_for", arguments))
    return {kind.name: kind for kind in kinds}


def known_names() -> list[str]:
    """What MARKET_DATA_FEEDS may hold."""
    return sorted({*_kinds(), *SHORT})


def kind_named(name: str) -> FeedKind:
    """The kind of that name, short or whole; ImproperlyConfigured for an unknown one."""
    kind = _kinds().get(SHORT.get(name, name))
    if kind is None:
        known = ", ".join(known_names())
        raise ImproperlyConfigured(f"MARKET_DATA_FEEDS has {name!r}; the feeds are: {known}.")
    return kind


def kinds_running() -> list[FeedKind]:
    """What MARKET_DATA_FEEDS names, each once, in its order: the first that has a symbol wins."""
    return list(dict.fromkeys(kind_named(name) for name in settings.MARKET_DATA_FEEDS))


def source_label(name: str) -> str:
    """What pages and the API call the prices of a feed; the name itself for one of another time."""
    kind = _kinds().get(name)
    return name if kind is None else kind.label


@lru_cache(maxsize=8)
def feed_named(name: str) -> Feed:
    """The feed of that name, one per process; ImproperlyConfigured for an unknown name."""
    kind = kind_named(name)
    return cast(Feed, import_string(kind.builder)(*kind.arguments))


def feeds_running() -> list[Feed]:
    """The feeds of MARKET_DATA_FEEDS, in its order. For the feed process: vendors are imported.

    One that cannot even be built is left out, and the log says why: the others go on.
    """
    feeds = []
    for kind in kinds_running():
        try:
            feeds.append(feed_named(kind.name))
        except Exception:
            logger.exception("feed_not_built", extra={"feed": kind.name})
    return feeds


def kind_for(instrument: Instrument) -> FeedKind:
    """The kind that prices this instrument; Unavailable when this installation does not run it."""
    for kind in kinds_running():
        if kind.name == instrument.feed:
            return kind
    raise Unavailable(f"The feed of {instrument.symbol} is switched off here.")


def feed_for(instrument: Instrument) -> Feed:
    """The feed that prices this instrument; Unavailable when this installation does not run it."""
    return feed_named(kind_for(instrument).name)
