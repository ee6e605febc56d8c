"""Which quotes go out when: every symbol at its pace, each quote through the gate."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from marketdata import quote_store
from marketdata.domain.quotes import Quote, check_quote
from marketdata.feeds.base import Feed, VendorFeed

logger = logging.getLogger(__name__)

#: A feed that raised is left alone for so long.
FEED_REST: Final = timedelta(seconds=5)
#: Rejected quotes are summed up and logged at most so often.
REPORT_EVERY: Final = timedelta(seconds=10)
#: So often it is written down which vendors are not well.
STATES_EVERY: Final = timedelta(seconds=2)

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
        self._sources: dict[str, str] = {}  # symbol -> name of its feed
        self._next_states: datetime | None = None
        self._ill: set[str] = set()
        self._unreported: Counter[str] = Counter()
        self._next_report: datetime | None = None

    def follow(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Take (symbol, name of its feed) of every instrument; replaces the former list.

        A symbol whose feed is "" is priced by nobody: what was published of it goes.
        """
        symbols: dict[str, list[str]] = {}
        for symbol, feed in instruments:
            symbols.setdefault(feed, []).append(symbol)
        self._symbols = {feed: tuple(sorted(names)) for feed, names in symbols.items()}
        sources = {symbol: feed for feed, names in symbols.items() for symbol in names}
        unpriced = symbols.get("", ())
        quote_store.quotes_forget([name for name in unpriced if self._sources.get(name) != ""])
        # A price of another source says nothing about the next one's.
        self._last = {
            symbol: quote
            for symbol, quote in self._last.items()
            if symbol in sources and sources[symbol] == self._sources.get(symbol)
        }
        self._sources = sources

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
        self._states(now)
        return len(batch)

    def _passing(self, window: int, watched: set[str], now: datetime) -> Iterator[Quote]:
        for feed in self._feeds:
            symbols = self._symbols.get(feed.name, ())
            turns = _turns(len(symbols))
            turn = set(symbols[window % turns :: turns])
            looked_at = watched.intersection(symbols)
            if isinstance(feed, VendorFeed):
                feed.watch(looked_at, [s for s in symbols if s not in looked_at])
            due = sorted(turn | looked_at)
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

    def _states(self, now: datetime) -> None:
        """Write down which vendors are not well, for /health."""
        if self._next_states is not None and now < self._next_states:
            return
        self._next_states = now + STATES_EVERY
        vendors = [feed for feed in self._feeds if isinstance(feed, VendorFeed)]
        states = {feed.label: feed.state(now) for feed in vendors}
        ill = {label: state.words for label, state in states.items() if not state.ok}
        if vendors:
            quote_store.feeds_ill_put(ill)
        if set(ill) != self._ill:
            logger.warning("feeds_ill", extra={"ill": ill})
            self._ill = set(ill)

    def _report(self, now: datetime) -> None:
        if self._unreported and (self._next_report is None or now >= self._next_report):
            logger.warning("quotes_rejected", extra={"counts": dict(self._unreported)})
            self._unreported.clear()
            self._next_report = now + REPORT_EVERY


def _turns(symbols: int) -> int:
    """In how many windows each symbol has its turn once: more where a vendor has thousands."""
    usual = settings.FEED_TICK_IDLE // settings.FEED_TICK_WATCHED
    return max(1, usual, -(-symbols // settings.FEED_TURN_MAX))
