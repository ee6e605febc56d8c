"""Which feed prices which instrument, and by whose rules: what venues list becomes our table."""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction

from marketdata import quote_store
from marketdata.feeds.base import Feed, FeedFailed, Listing, VendorFeed
from marketdata.feeds.pacing import Loop
from marketdata.feeds.registry import SIMULATED, kinds_running
from marketdata.feeds.simulated.profiles import load_instruments
from marketdata.models import Instrument
from marketdata.selectors import instruments_forget

logger = logging.getLogger(__name__)

BATCH: Final = 500
#: A venue that suddenly lists less than this share of what it did is not believed.
BELIEVED_SHARE: Final = 0.5
#: Columns that a listing sets. A halt, and the kind of an instrument, are none of them.
COLUMNS: Final = (
    "name",
    "exchange",
    "sector",
    "price_tick",
    "qty_step",
    "min_qty",
    "min_notional",
    "fractionable",
    "tradable",
    "shortable",
    "feed",
)
#: Name of a feed -> what its venue lists, None where that is not known this time.
Claims = Mapping[str, Sequence[Listing] | None]


def claims_of(feeds: Sequence[Feed]) -> dict[str, Sequence[Listing] | None]:
    """Ask each vendor what it lists; None, with a log line, for one that does not answer."""
    claims: dict[str, Sequence[Listing] | None] = {}
    for feed in feeds:
        if isinstance(feed, VendorFeed):
            try:
                claims[feed.name] = feed.listings()
            except FeedFailed as error:
                logger.warning("listings_failed", extra={"feed": feed.name, "error": str(error)})
                claims[feed.name] = None
    return claims


def listings_apply(claims: Claims) -> tuple[int, int]:
    """Write what venues list into the table; (how many are new, how many there are).

    The first feed of MARKET_DATA_FEEDS that has a symbol prices it. A vendor without an answer
    keeps what it has. What a venue dropped stays, not tradable: it never goes from a real market
    to the simulated one. What no feed that runs here prices is not tradable and has no feed.
    Harmless to repeat; a halt stays; nothing is deleted.
    """
    with transaction.atomic():
        rows = {row.symbol: row for row in Instrument.objects.all()}
        before = {symbol: row.feed for symbol, row in rows.items()}
        wanted = _wanted(rows, claims)
        new = [
            Instrument(symbol=symbol, **columns)
            for symbol, columns in wanted.items()
            if symbol not in rows
        ]
        changed = [row for symbol, row in rows.items() if _differs(row, wanted.get(symbol))]
        Instrument.objects.bulk_create(new, batch_size=BATCH, ignore_conflicts=True)
        Instrument.objects.bulk_update(changed, COLUMNS, batch_size=BATCH)
        moved = [row.symbol for row in changed if row.feed != before[row.symbol]]
        transaction.on_commit(instruments_forget)
        # A quote of the former source would stand there, and be believed, until the first new one.
        transaction.on_commit(lambda: quote_store.quotes_forget(moved))
    return len(new), len(rows) + len(new)


def _wanted(rows: Mapping[str, Instrument], claims: Claims) -> dict[str, dict[str, Any]]:
    """Symbol -> the columns it shall have. Symbols that stay as they are do not appear."""
    kinds = kinds_running()
    running = {kind.name for kind in kinds}
    believed = {name: _believed(name, claims.get(name), rows) for name in running - {SIMULATED}}
    specs = {spec.symbol: spec for spec in load_instruments()}
    wanted: dict[str, dict[str, Any]] = {}
    kept = {s for s, row in rows.items() if row.feed in believed and believed[row.feed] is None}
    for kind in kinds:
        if kind.name == SIMULATED:
            for symbol, spec in specs.items():
                real = symbol in rows and rows[symbol].feed in believed
                if symbol not in wanted and not real:
                    wanted[symbol] = _of_spec(spec, SIMULATED, spec.tradable)
            continue
        for listing in believed[kind.name] or ():
            row, ours = rows.get(listing.symbol), specs.get(listing.symbol)
            other_kind = row is not None and row.asset_type != listing.asset_type
            if listing.symbol not in wanted and listing.symbol not in kept and not other_kind:
                wanted[listing.symbol] = _of_listing(listing, kind.name, row, ours)
    for symbol, row in rows.items():
        if symbol in wanted or symbol in kept:
            continue
        feed = row.feed if row.feed in running else ""
        wanted[symbol] = {"feed": feed, "tradable": False}
    for symbol, spec in specs.items():
        if symbol not in rows and symbol not in wanted:
            wanted[symbol] = _of_spec(spec, "", False)
    return wanted


def _believed(
    name: str, listed: Sequence[Listing] | None, rows: Mapping[str, Instrument]
) -> Sequence[Listing] | None:
    """What a venue lists, or None when it cannot be all of it."""
    if listed is None:
        return None
    had = sum(row.feed == name and row.tradable for row in rows.values())
    if len(listed) < max(1, had * BELIEVED_SHARE):
        logger.error("listings_too_few", extra={"feed": name, "listed": len(listed), "had": had})
        return None
    return listed


def _of_listing(listing: Listing, feed: str, row: Instrument | None, spec: Any) -> dict[str, Any]:
    """Columns by the venue's rules. Names and sectors that we chose ourselves stay."""
    known = spec or row
    name = known.name if known is not None and (spec or not listing.name) else listing.name
    return {
        "asset_type": listing.asset_type,
        "name": (name or listing.symbol.partition("/")[0])[:120],
        "exchange": listing.exchange,
        "sector": known.sector if known is not None else "",
        "price_tick": listing.price_tick,
        "qty_step": listing.qty_step,
        "min_qty": listing.min_qty,
        "min_notional": listing.min_notional,
        "fractionable": listing.fractionable,
        "tradable": True,
        "shortable": listing.shortable,
        "feed": feed,
    }


def _of_spec(spec: Any, feed: str, tradable: bool) -> dict[str, Any]:
    copied = ("asset_type", *(name for name in COLUMNS if name not in ("tradable", "feed")))
    return {name: getattr(spec, name) for name in copied} | {"tradable": tradable, "feed": feed}


def _differs(row: Instrument, columns: dict[str, Any] | None) -> bool:
    """Set the columns; whether one of them was another."""
    differs = False
    for name, value in (columns or {}).items():
        if name in COLUMNS and getattr(row, name) != value:
            setattr(row, name, value)
            differs = True
    return differs


class ListingsDesk:
    """An aide of the feed process: asks the venues at its start and each hour."""

    def __init__(self, feeds: Sequence[Feed], relisted: threading.Event) -> None:
        self._feeds, self._relisted = list(feeds), relisted
        self._loop = Loop("listings", self._step, first=2.0, longest=60.0)

    def start(self) -> None:
        if any(isinstance(feed, VendorFeed) for feed in self._feeds):
            self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def _step(self, stop: threading.Event) -> float:
        began = datetime.now(UTC)
        claims = claims_of(self._feeds)
        if stop.is_set():
            return 0.0
        try:
            close_old_connections()
            new, total = listings_apply(claims)
        except DatabaseError as error:
            raise FeedFailed(f"the database is away: {type(error).__name__}") from error
        finally:
            connection.close()
        self._relisted.set()
        seconds = (datetime.now(UTC) - began).total_seconds()
        logger.info("listings_applied", extra={"new": new, "total": total, "seconds": seconds})
        silent = any(listed is None for listed in claims.values())
        period = settings.LISTINGS_RETRY if silent else settings.LISTINGS_PERIOD
        return float(period.total_seconds())
