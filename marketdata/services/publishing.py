"""Which quotes go out when: every symbol at its pace, each quote through the gate."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from marketdata import quote_store
from marketdata.domain.quotes import Quote, check_quote
from marketdata.feeds.base import Feed

logger = logging.getLogger(__name__)

#: A feed that raised is left alone for so long.
FEED_REST: Final = timedelta(seconds=5)
#: Rejected quotes are summed up and logged at most so often.
REPORT_EVERY: Final = timedelta(seconds=10)

#: Sees each quote that passed the gate, with the time; must neither wait nor raise.
Watcher = Callable[[Sequence[Quote], datetime], None]


class QuotePublisher:
    """Polls the feeds window by window and publishes what passes, one batch a window.

    A watched symbol is due in every window, the others take turns so that each comes once in
    settings.FEED_TICK_IDLE. A quote that the gate rejects is counted, and the last good one
    stays in the store, where its age shows. `watch` is shown each batch once it is out.
    """

    def __init__(self, feeds: Sequence[Feed], watch: Watcher | None = None) -> None:
        self.rejected: Counter[str] = Counter()  # code of the gate -> how many since the start
        self._feeds = list(feeds)
        self._watch = watch
        self._symbols: dict[str, tuple[str, ...]] = {}  # name of the feed -> its symbols
        self._last: dict[str, Quote] = {}
        self._resting: dict[str, datetime] = {}  # name of a feed that failed -> until when
        self._turns = max(1, settings.FEED_TICK_IDLE // settings.FEED_TICK_WATCHED)
        self._unreported: Counter[str] = Counter()
        self._next_report: datetime | None = None

    def follow(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Take (symbol, name of its feed) of every instrument; replaces the former list."""
        symbols: dict[str, list[str]] = {}
        for symbol, feed in instruments:
            symbols.setdefault(feed, []).append(symbol)
        self._symbols = {feed: tuple(sorted(names)) for feed, names in symbols.items()}
        known = {symbol for names in symbols.values() for symbol in names}
        self._last = {symbol: quote for symbol, quote in self._last.items() if symbol in known}

    def publish(self, window: int, now: datetime) -> int:
        """Publish the quotes due in this window, and the heartbeat; how many quotes.

        Raises RedisError; nothing is remembered as published then, so the next window repairs it.
        """
        watched = quote_store.watched_symbols(now)
        batch = list(self._passing(window, watched, now))
        quote_store.quotes_put(batch, beat=now)
        self._last.update((quote.symbol, quote) for quote in batch)
        if self._watch is not None:
            self._watch(batch, now)
        self._report(now)
        return len(batch)

    def _passing(self, window: int, watched: set[str], now: datetime) -> Iterator[Quote]:
        for feed in self._feeds:
            symbols = self._symbols.get(feed.name, ())
            turn = {s for i, s in enumerate(symbols) if i % self._turns == window % self._turns}
            due = [symbol for symbol in symbols if symbol in turn or symbol in watched]
            for quote in self._poll(feed, due, now):
                if self._may_pass(quote, now, again=quote.symbol in turn):
                    yield quote

    def _poll(self, feed: Feed, symbols: list[str], now: datetime) -> list[Quote]:
        if not symbols or now < self._resting.get(feed.name, now):
            return []
        try:
            return feed.poll(symbols, now)
        except Exception:
            # One vendor's bad day must not stop the others; its quotes age and say so.
            logger.exception("feed_failed", extra={"feed": feed.name})
            self._resting[feed.name] = now + FEED_REST
            return []

    def _may_pass(self, quote: Quote, now: datetime, *, again: bool) -> bool:
        """Whether to publish it; one that is not new only with `again` (Redis may have lost it)."""
        last = self._last.get(quote.symbol)
        if last is not None and not again and (quote.seq, quote.as_of) == (last.seq, last.as_of):
            return False
        if last is not None and last.age(now) > settings.QUOTE_GATE_MEMORY:
            last = None
        code = check_quote(quote, last, now)
        if code is None:
            return True
        self.rejected[code] += 1
        self._unreported[f"{quote.symbol}:{code}"] += 1
        return False

    def _report(self, now: datetime) -> None:
        if self._unreported and (self._next_report is None or now >= self._next_report):
            logger.warning("quotes_rejected", extra={"counts": dict(self._unreported)})
            self._unreported.clear()
            self._next_report = now + REPORT_EVERY
