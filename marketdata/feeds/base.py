"""What every source of market data can do, whoever runs it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

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
