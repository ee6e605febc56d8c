"""What every source of market data can do, whoever runs it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from marketdata.domain.bars import Bar
from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import Quote


class Feed(Protocol):
    """A source of quotes and bars for the instruments whose `feed` column carries its name.

    Both methods may be called from any thread; neither waits for ticks. A vendor that streams
    keeps the newest quote of each symbol in a thread of its own and hands over what is new.
    """

    @property
    def name(self) -> str:
        """What stands in `Instrument.feed` and in MARKET_DATA_FEEDS."""

    @property
    def label(self) -> str:
        """What pages call its prices: 'Simulated'."""

    @property
    def hours(self) -> MarketHours:
        """When its markets trade."""

    def poll(self, symbols: Sequence[str], now: datetime) -> list[Quote]:
        """The newest quotes of these symbols; a symbol without one, or unknown here, is left out.

        They have not passed the gate: see `marketdata.domain.quotes.check_quote`.
        """

    def bars(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None,
        end: datetime,
        limit: int,
        now: datetime,
    ) -> list[Bar]:
        """The newest `limit` bars that begin in [start, end], oldest first.

        The bar that holds `now` is as far as it has got. [] for a symbol unknown here.
        """


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument as its venue lists it, with the venue's rules."""

    symbol: str
    name: str  # "" where the venue has none
    asset_type: str
    exchange: str
    price_tick: Decimal
    qty_step: Decimal
    min_qty: Decimal
    min_notional: Decimal
    fractionable: bool
    shortable: bool


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a vendor's feed does: `words` say what is wrong to a person, and hold no secret."""

    ok: bool
    words: str = ""


class FeedFailed(Exception):
    """The vendor did not answer, or not with what was asked for; the text is for the log."""


@runtime_checkable
class VendorFeed(Protocol):
    """A feed whose prices come over a network, with threads of its own.

    `poll` hands over what those threads have; `bars` and `listings` ask the vendor, wait for it
    within its time limits, and raise FeedFailed.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def hours(self) -> MarketHours: ...

    def start(self) -> None:
        """Connect; again is harmless. Called by the one process that leads."""

    def stop(self) -> None:
        """Disconnect and end the threads, within seconds; again is harmless."""

    def watch(self, watched: Collection[str], others: Collection[str]) -> None:
        """Which symbols people look at now, and which others there are; never waits."""

    def state(self, now: datetime) -> FeedState:
        """How it does."""

    def poll(self, symbols: Sequence[str], now: datetime) -> list[Quote]: ...

    def bars(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: datetime | None,
        end: datetime,
        limit: int,
        now: datetime,
    ) -> list[Bar]: ...

    def listings(self) -> list[Listing]:
        """Everything that can be traded there for the account's currency."""
