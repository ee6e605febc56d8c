"""What the doors read of the market: instruments, prices, bars, books, hours, lists of symbols.

Instances of Instrument come out of a cache that threads share: read them, never change them.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from django.conf import settings
from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from marketdata import quote_store
from marketdata.bar_store import BarLines, BarRun, Range, bars_read, bars_written
from marketdata.domain.bars import TIMEFRAMES
from marketdata.domain.calendar import Phase
from marketdata.domain.quotes import Quote
from marketdata.domain.symbols import symbol_candidates
from marketdata.feeds.registry import feed_named, kind_for
from marketdata.hours import market_hours
from marketdata.models import AssetType, Instrument, Watchlist, WatchlistItem
from speedtrade.lib.errors import FieldError, InvalidInput, NotFound, Unavailable

Direction = Literal["gainers", "losers"]
DIRECTIONS: Final = ("gainers", "losers")
PHASE_WORDS: Final[Mapping[Phase, str]] = {
    "open": "Market open",
    "pre": "Pre-market",
    "after": "After hours",
    "closed": "Market closed",
}
#: A session is summed up by an auction at its end, whose price comes so long after it at most.
CLOSE_SETTLES: Final = timedelta(minutes=1)
#: No market of ours has bars before this; asking for them is answered without looking.
BARS_BEGIN: Final = datetime(1990, 1, 1, tzinfo=UTC)

#: What a person wrote, less the space around it -> (until when on the monotonic clock, the
#: instrument). Finds only, so no key is longer than a symbol may be.
_found: dict[str, tuple[float, Instrument]] = {}
_FOUND_LIMIT: Final = 50_000
#: Movers are looked for among so many symbols at a time, and no further than so many times.
MOVES_PAGE: Final = 200
MOVES_PAGES: Final = 5


class UnknownSymbol(NotFound):
    """No instrument has this symbol, however it is written."""

    code = "unknown_symbol"


@dataclass(frozen=True, slots=True)
class Priced:
    """An instrument and its last quote."""

    instrument: Instrument
    quote: Quote


@dataclass(frozen=True, slots=True)
class MarketState:
    """When the market of one asset type trades; all moments in UTC.

    The session is the one open at the moment of asking, or else the last one.
    """

    is_open: bool
    phase: Phase
    session_open: datetime
    session_close: datetime
    next_open: datetime
    next_close: datetime

    @property
    def words(self) -> str:
        """'Market open', 'Pre-market', 'After hours' or 'Market closed'."""
        return PHASE_WORDS[self.phase]

    def close_of(self, quote: Quote | None) -> datetime | None:
        """When the price of `quote` became a last close; None while it may still move.

        A quote from before the last session is no close of it: it is only old. One from after it
        has moved since.
        """
        if self.is_open or quote is None:
            return None
        settled = self.session_close + CLOSE_SETTLES
        return self.session_close if self.session_open <= quote.as_of < settled else None


def instrument_get(text: str) -> Instrument:
    """The instrument that `text` names, in any spelling; raises UnknownSymbol (404).

    Shared and at most settings.INSTRUMENT_CACHE old, its halt included. Not for changing.
    """
    found = _find([text]).get(text)
    if found is None:
        raise UnknownSymbol(f"We do not know the symbol {text[:32]!r}.")
    return found


def _find(texts: Iterable[str]) -> dict[str, Instrument]:
    """Text -> the instrument it names, for those that name one; at most one query for all."""
    clock = time.monotonic()
    found: dict[str, Instrument] = {}
    asked: dict[str, tuple[str, ...]] = {}
    for text in texts:
        kept = _found.get(text.strip())
        if kept is not None and clock < kept[0]:
            found[text] = kept[1]
        elif candidates := symbol_candidates(text):
            asked[text] = candidates
    if not asked:
        return found
    symbols = {symbol for candidates in asked.values() for symbol in candidates}
    rows = {row.symbol: row for row in Instrument.objects.filter(symbol__in=symbols)}
    if len(_found) + len(asked) > _FOUND_LIMIT:
        _found.clear()
    until = clock + settings.INSTRUMENT_CACHE.total_seconds()
    for text, candidates in asked.items():
        for symbol in candidates:
            if symbol in rows:
                found[text] = rows[symbol]
                _found[text.strip()] = (until, rows[symbol])
                break
    return found


def instruments_forget() -> None:
    """Look at the table again at the next question; for whoever has just changed it."""
    _found.clear()


def instruments_split(texts: Iterable[str]) -> tuple[list[Instrument], list[str]]:
    """(the instruments named, each once in the order given; the texts that name none)."""
    named = list(texts)
    found = _find(named)
    known = {found[text].symbol: found[text] for text in named if text in found}
    return list(known.values()), [text[:32] for text in named if text not in found]


def instruments_get(texts: Iterable[str]) -> list[Instrument]:
    """Each instrument named once, in the order given; UnknownSymbol names all that do not exist."""
    known, unknown = instruments_split(texts)
    if unknown:
        words = f"We do not know {', '.join(unknown)}."
        raise UnknownSymbol(words, errors=[FieldError("symbols", "unknown_symbol", words)])
    return known


def instruments_listed(asset_type: str = "") -> QuerySet[Instrument]:
    """Every instrument that a feed prices, or those of one asset type, by symbol."""
    rows = Instrument.objects.exclude(feed="").order_by("symbol")
    return rows.filter(asset_type=asset_type) if asset_type else rows


def instrument_search(q: str, limit: int) -> list[Instrument]:
    """Symbols that begin with `q`, then names with a word that does, then names that hold it."""
    words = " ".join(q.split())[:60]
    if not words or "\x00" in words:  # no name holds what PostgreSQL cannot store
        return []
    begins = Q(symbol__in=symbol_candidates(words)) | Q(symbol__startswith=words.upper())
    rank = Case(
        When(symbol__in=symbol_candidates(words), then=0),
        When(begins, then=1),
        When(Q(name__istartswith=words) | Q(name__icontains=f" {words}"), then=2),
        default=Value(3),
        output_field=IntegerField(),
    )
    found = Instrument.objects.filter(begins | Q(name__icontains=words))
    return list(found.order_by(rank, "symbol")[:limit])


def quote_of(instrument: Instrument) -> Quote:
    """The last quote with depth; raises Unavailable (503) before the first one."""
    quote = quote_store.quote_get(instrument.symbol)
    if quote is None:
        raise Unavailable(f"There is no price of {instrument.symbol} yet.")
    return quote


def is_stale(quote: Quote, now: datetime) -> bool:
    """Whether the quote is too old to trade on."""
    return quote.is_stale(now, settings.QUOTE_STALE_AFTER)


def movers(
    direction: Direction,
    now: datetime,
    limit: int,
    *,
    asset_type: str = "",
) -> list[Priced]:
    """The instruments that moved most since their previous close, the most extreme first.

    Prices of an earlier day say nothing about today's move: only quotes of the session at `now`.
    """
    hours = market_hours()
    opened = {kind: hours.session_for(kind, now).open for kind in AssetType.values}
    rows: list[Priced] = []
    for page in range(MOVES_PAGES):
        symbols = quote_store.moves(page * MOVES_PAGE, MOVES_PAGE, up=direction == "gainers")
        rows += _priced_since(symbols, opened, asset_type)
        if len(rows) >= limit or len(symbols) < MOVES_PAGE:
            break
    # Ties by symbol, so that the list stands still while nothing moves.
    sign = -1 if direction == "gainers" else 1
    rows.sort(key=lambda row: (sign * row.quote.change_pct, row.instrument.symbol))
    return rows[:limit]


def _priced_since(
    symbols: list[str], opened: Mapping[str, datetime], asset_type: str
) -> list[Priced]:
    """Those of the symbols that have a quote of the session of their asset type."""
    quotes = quote_store.quotes_get(symbols)
    listed = instruments_listed(asset_type).filter(symbol__in=list(quotes))
    priced = (Priced(instrument, quotes[instrument.symbol]) for instrument in listed)
    return [row for row in priced if row.quote.as_of >= opened[row.instrument.asset_type]]


def bars(
    instrument: Instrument,
    timeframe: str,
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = settings.BARS_LIMIT_DEFAULT,
    wait: bool = True,
) -> BarRun:
    """The newest `limit` bars that begin in [start, end], oldest first, up to `now`.

    Those of a vendor come out of the table; `loading` says that some are on their way, after a
    moment's wait if `wait`. Raises
    InvalidInput for an unknown timeframe, a limit outside 1 to settings.BARS_LIMIT or an end before
    the start, and Unavailable for an instrument that no feed here prices.
    """
    wanted = _range(instrument, timeframe, now=now, start=start, end=end, limit=limit)
    if wanted is None:
        return BarRun()
    if kind_for(instrument).vendor:
        return bars_read(wanted, now=now, wait=wait)
    return _bars_simulated(wanted, now)


def bar_lines(
    instrument: Instrument,
    timeframe: str,
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int = settings.BARS_LIMIT_DEFAULT,
) -> BarLines:
    """What `bars` returns, as JSON for who only hands it on."""
    wanted = _range(instrument, timeframe, now=now, start=start, end=end, limit=limit)
    if wanted is None:
        return BarRun().lines()
    if kind_for(instrument).vendor:
        return bars_written(wanted, now=now)
    return _bars_simulated(wanted, now).lines()


def _range(
    instrument: Instrument,
    timeframe: str,
    *,
    now: datetime,
    start: datetime | None,
    end: datetime | None,
    limit: int,
) -> Range | None:
    """What is asked for, up to `now`; None where no market of ours has anything."""
    if timeframe not in TIMEFRAMES:
        raise InvalidInput.field("timeframe", f"Choose one of {', '.join(TIMEFRAMES)}.")
    if not 1 <= limit <= settings.BARS_LIMIT:
        raise InvalidInput.field("limit", f"Choose 1 to {settings.BARS_LIMIT}.")
    last = now if end is None else min(end, now)
    if start is not None and end is not None and end < start:
        raise InvalidInput.field("end", "The end is before the start.")
    if last < BARS_BEGIN or (start is not None and start > last):
        return None
    return Range(instrument, timeframe, start, last, limit)


def _bars_simulated(wanted: Range, now: datetime) -> BarRun:
    feed = feed_named(kind_for(wanted.instrument).name)
    return BarRun(
        feed.bars(
            wanted.instrument.symbol,
            wanted.timeframe,
            start=wanted.start,
            end=wanted.end,
            limit=wanted.limit,
            now=now,
        )
    )


def market_clock(now: datetime) -> Mapping[str, MarketState]:
    """Asset type -> when its market trades."""
    hours = market_hours()
    states = {}
    for kind in AssetType.values:
        session = hours.session_for(kind, now)
        states[kind] = MarketState(
            is_open=hours.is_open(kind, now),
            phase=hours.phase(kind, now),
            session_open=session.open,
            session_close=session.close,
            next_open=hours.next_open(kind, now),
            next_close=hours.next_close(kind, now),
        )
    return states


def watchlists_of(user: Any) -> QuerySet[Watchlist]:
    """The user's lists, in the user's order."""
    return Watchlist.objects.filter(user=user).order_by("position", "id")


def watchlist_get(
    user: Any, watchlist_id: int, rows: QuerySet[Watchlist] | None = None
) -> Watchlist:
    """One list of the user, of `rows` if given; NotFound for anybody else's."""
    chosen = (Watchlist.objects.all() if rows is None else rows).filter(user=user, pk=watchlist_id)
    found = chosen.first()
    if found is None:
        raise NotFound("There is no such watchlist.")
    return found


def watchlist_default(user: Any) -> Watchlist | None:
    """The user's first list, or None before `watchlist_ensure_default` has made it."""
    return watchlists_of(user).first()


def watchlist_items(chosen: Watchlist) -> list[WatchlistItem]:
    """The rows of a list with their instruments, in its order."""
    return list(chosen.items.select_related("instrument").order_by("position", "id"))


def watchlist_instruments(user: Any) -> list[Instrument]:
    """The instruments of the user's first list, in its order; [] without a list."""
    chosen = watchlist_default(user)
    return [] if chosen is None else [item.instrument for item in watchlist_items(chosen)]


def watchlists_star(user: Any, instrument: Instrument) -> list[Watchlist]:
    """The user's lists, each with `watched`: whether the instrument stands in it."""
    there = WatchlistItem.objects.filter(watchlist=OuterRef("pk"), instrument=instrument)
    return list(watchlists_of(user).annotate(watched=Exists(there)))
