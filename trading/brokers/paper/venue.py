"""The paper venue: it matches its book against the market, order by order.

One process runs it, behind a lease. What it knows in memory (who rests at what price) indexes its
tables and is rebuilt at start; every match is decided again under the lock of the order's row, so a
cancel or a twin that came in between finds the truth. Each fill keeps the evidence for its price.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, QuerySet

from marketdata import quote_store
from marketdata.domain.calendar import MarketHours
from marketdata.domain.quotes import Quote
from speedtrade.lib.compiled import Compiled, Given, given
from speedtrade.lib.crash import crash_point
from speedtrade.lib.money import ZERO, money_up, times
from speedtrade.lib.rows import rows_add, rows_update
from trading.brokers.base import BrokerOrder
from trading.brokers.paper.adapter import OPEN, broker_order
from trading.domain.book import PriceIndex
from trading.domain.matching import Match, Offer, Outcome, Working, match
from trading.domain.orders import OrderState, Side, TimeInForce
from trading.models import PaperFill, PaperOrder

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]
RULE = "displayed-depth-1"  # the version of the matching rules, kept with each fill
EXPIRY_BATCH = 200
RETOLD = timedelta(minutes=1)  # what changed so lately is reported again after a start
RETOLD_LIMIT = 500


def _named() -> QuerySet[PaperOrder]:
    return PaperOrder.objects.select_related("instrument").filter(pk=given(PaperOrder, "pk"))


_ORDER = Compiled(_named)
_LOCKED = Compiled(lambda: _named().select_for_update(of=("self",)))
_FILLS = Compiled(
    lambda: PaperFill.objects.filter(order=Given("order_id", BigIntegerField())).order_by("id")
)
_CHANGES = ("status", "reason", "filled_qty", "filled_notional", "fees", "updated_at")


@dataclass
class _SymbolBook:
    """Both sides of one symbol, and how much of the newest quote's sizes is already taken."""

    instrument_id: int
    bids: PriceIndex = field(default_factory=lambda: PriceIndex(Side.BUY))
    asks: PriceIndex = field(default_factory=lambda: PriceIndex(Side.SELL))
    seq: int = -1
    taken: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)

    def side(self, side: str) -> PriceIndex:
        return self.bids if side == Side.BUY.value else self.asks

    def best_left(self, side: str, quote: Quote) -> Decimal | None:
        """The best price at which this very quote still shows something to this side."""
        levels = quote.asks if side == Side.BUY.value else quote.bids
        taken = self.taken if self.seq == quote.seq else {}
        return next(
            (one.price for one in levels if one.size > taken.get((side, one.price), ZERO)), None
        )


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """News of an order, for the account that it belongs to."""

    account_id: int
    order: BrokerOrder


class PaperVenue:
    """Matching for all accounts. Methods yield reports; the caller applies them to our books.

    What tries many orders takes a clock instead of the time: each match has its own. One time for a
    long row of them would be false, would take a price that has grown old for fresh, and equal
    times put fills into the order of their names, which the books then rebuild for.
    """

    def __init__(self, hours: MarketHours) -> None:
        self._hours = hours
        self._books: dict[str, _SymbolBook] = {}
        self._seen_until: datetime | None = None

    # ── what comes in ────────────────────────────────────────────────────────
    def load(self, now: datetime) -> Iterator[BrokerReport]:
        """Read the open book; report what changed last, for the last run may have died over it.

        Older news that got lost is found by the poller, which compares all open orders.
        """
        rows = PaperOrder.objects.filter(status__in=OPEN).select_related("instrument")
        for row in rows.order_by("id").iterator(chunk_size=500):
            self._rest(row)
        self._remember_taken(now)
        recent = PaperOrder.objects.filter(updated_at__gte=now - RETOLD).prefetch_related("fills")
        # The oldest first, as they happened: the books take a fill that comes late by rebuilding.
        for row in reversed(list(recent.order_by("-updated_at", "-id")[:RETOLD_LIMIT])):
            yield BrokerReport(row.account_ref, broker_order(row, row.fills.all()))
        self._seen_until = now - timedelta(seconds=5)

    def _remember_taken(self, now: datetime) -> None:
        """What the last run took of quotes that may still be the newest: a size is sold once."""
        since = now - settings.QUOTE_STALE_AFTER
        fills = PaperFill.objects.filter(order__updated_at__gte=since, executed_at__gte=since)
        for fill in fills.select_related("order__instrument").order_by("id"):
            book, seq = self._book(fill.order), fill.evidence["quote_seq"]
            if book.seq != seq:
                book.seq, book.taken = seq, {}
            key = (fill.order.side, fill.price)
            book.taken[key] = book.taken.get(key, ZERO) + fill.qty

    def poll(self, clock: Clock) -> Iterator[BrokerReport]:
        """Orders that came in unannounced (a lost wake-up), and those whose time has run out."""
        now = clock()
        since = (self._seen_until or now) - timedelta(seconds=5)
        fresh = PaperOrder.objects.filter(updated_at__gte=since, status__in=OPEN).order_by("id")
        for pk in list(fresh.values_list("pk", flat=True)):
            if not self._knows(pk):
                yield from self.look(pk, clock())
        self._seen_until = now
        yield from self._expire(clock())

    def look(self, order_id: int, now: datetime) -> Iterator[BrokerReport]:
        """Take in an order that is new (or gone), and try to fill it against the newest quote."""
        row = _ORDER.first(pk=order_id)
        if row is None:
            return
        if row.status not in OPEN:
            self._drop(row)
            return
        self._rest(row)
        quote = quote_store.quote_get(row.instrument.symbol)
        if quote is not None:
            yield from self._try(row.pk, quote, now)

    def tick(
        self, symbols: Iterable[str], quotes: Mapping[str, Quote], clock: Clock
    ) -> Iterator[BrokerReport]:
        """New prices: try the orders that they reach. `quotes` carry the depth."""
        for symbol in symbols:
            book, quote = self._books.get(symbol), quotes.get(symbol)
            if book is None or quote is None:
                continue
            for side, price in ((Side.BUY, quote.ask), (Side.SELL, quote.bid)):
                index = book.side(side)
                for order_id in index.crossing(price):
                    if order_id not in index:
                        continue  # it ended while those before it were booked
                    left = book.best_left(side, quote)
                    if left is None or not index.accepts(order_id, left):
                        break  # a thousand that wait behind are not asked for nothing
                    now = clock()
                    if quote.is_stale(now, settings.QUOTE_STALE_AFTER):
                        break  # it grew old on the way; the next one finds them
                    yield from self._try(order_id, quote, now)

    def reached(self, symbol: str, bid: Decimal, ask: Decimal) -> bool:
        """Whether any resting order of the symbol accepts these prices."""
        book = self._books.get(symbol)
        return book is not None and bool(book.bids.crossing(ask) or book.asks.crossing(bid))

    def symbols(self) -> list[str]:
        """Symbols with resting orders: the feed should tick them fast."""
        return [symbol for symbol, book in self._books.items() if len(book.bids) or len(book.asks)]

    # ── one order ────────────────────────────────────────────────────────────
    def _try(self, order_id: int, quote: Quote, now: datetime) -> Iterator[BrokerReport]:
        """Decide one order under its row's lock and write what comes of it."""
        with transaction.atomic():
            order = _LOCKED.first(pk=order_id)
            if order is None:
                return
            if order.status not in OPEN:
                self._drop(order)
                return
            if not self._may_trade(order, quote, now):
                return
            outcome = match(_working(order), self._offers(order, quote))
            changed = self._write(order, outcome, quote, now)
        if order.status not in OPEN:
            self._drop(order)
        if changed:
            self._take(order, outcome, quote)
            crash_point("venue_after_match")
            fills = _FILLS.rows(order_id=order.pk)
            yield BrokerReport(order.account_ref, broker_order(order, fills))

    def _may_trade(self, order: PaperOrder, quote: Quote, now: datetime) -> bool:
        instrument = order.instrument
        # What ran out while nobody looked (a process that slept, a halt) ends at the next poll.
        in_time = order.expires_at is None or now < order.expires_at
        return (
            in_time
            and instrument.halted_at is None
            and self._hours.is_open(instrument.asset_type, now)
            and not quote.is_stale(now, settings.QUOTE_STALE_AFTER)
        )

    def _offers(self, order: PaperOrder, quote: Quote) -> list[Offer]:
        """The other side's levels, less what earlier orders took of this very quote."""
        book = self._book(order)
        if book.seq != quote.seq:
            book.seq, book.taken = quote.seq, {}
        levels = quote.asks if order.side == Side.BUY.value else quote.bids
        return [
            Offer(
                number,
                level.price,
                max(level.size - book.taken.get((order.side, level.price), ZERO), ZERO),
            )
            for number, level in enumerate(levels, start=1)
        ]

    def _take(self, order: PaperOrder, outcome: Outcome, quote: Quote) -> None:
        taken = self._book(order).taken
        for found in outcome.matches:
            key = (order.side, found.price)
            taken[key] = taken.get(key, ZERO) + found.qty

    def _write(self, order: PaperOrder, outcome: Outcome, quote: Quote, now: datetime) -> bool:
        """Fills and the order's new figures; False where nothing changed."""
        before = order.status
        fills = self._fills(order, outcome.matches, quote, now)
        if outcome.complete:
            order.status = OrderState.FILLED.value
        elif outcome.ends:
            order.status = OrderState.CANCELED.value
            order.reason = f"{order.time_in_force.upper()}: not all of it was there at once"
        else:
            order.status = (
                OrderState.PARTIALLY_FILLED if order.filled_qty else OrderState.NEW
            ).value
        if not fills and order.status == before:
            return False
        rows_add(fills)
        order.updated_at = now
        rows_update([order], _CHANGES)
        return True

    def _fills(
        self, order: PaperOrder, matches: tuple[Match, ...], quote: Quote, now: datetime
    ) -> list[PaperFill]:
        rows = []
        first = order.fills.count() + 1 if matches and order.filled_qty else 1
        for sequence, found in enumerate(matches, start=first):
            order.filled_qty += found.qty
            order.filled_notional += times(found.qty, found.price)
            # Fees are rounded once per order, not per fill: however it is split, it costs the same.
            fees = money_up(times(order.filled_notional, order.fee_rate))
            fee, order.fees = fees - order.fees, fees
            evidence = {
                "rule": RULE,
                "quote_seq": quote.seq,
                "quote_at": quote.as_of.isoformat(),
                "source": quote.source,
                "bid": str(quote.bid),
                "ask": str(quote.ask),
                "level": found.level,
                "displayed": str(found.displayed),
                "bound": str(order.price_bound),
            }
            rows.append(
                PaperFill(
                    order=order,
                    sequence=sequence,
                    qty=found.qty,
                    price=found.price,
                    fee=fee,
                    evidence=evidence,
                    executed_at=now,
                )
            )
        return rows

    def _expire(self, now: datetime) -> Iterator[BrokerReport]:
        """End the orders whose time has run out."""
        due = PaperOrder.objects.filter(status__in=OPEN, expires_at__lte=now)
        for pk in list(
            due.order_by("expires_at", "id").values_list("pk", flat=True)[:EXPIRY_BATCH]
        ):
            with transaction.atomic():
                order = _LOCKED.first(pk=pk)
                if order is None or order.status not in OPEN:
                    continue
                order.status, order.reason, order.updated_at = (
                    OrderState.EXPIRED.value,
                    "its time ran out",
                    now,
                )
                order.save(update_fields=["status", "reason", "updated_at"])
            self._drop(order)
            yield BrokerReport(order.account_ref, broker_order(order, order.fills.all()))

    # ── the index ────────────────────────────────────────────────────────────
    def _book(self, order: PaperOrder) -> _SymbolBook:
        return self._books.setdefault(order.instrument.symbol, _SymbolBook(order.instrument_id))

    def _rest(self, order: PaperOrder) -> None:
        self._book(order).side(order.side).add(order.pk, order.price_bound, order.pk)

    def _drop(self, order: PaperOrder) -> None:
        self._book(order).side(order.side).remove(order.pk)

    def _knows(self, order_id: int) -> bool:
        return any(order_id in book.bids or order_id in book.asks for book in self._books.values())


def _working(order: PaperOrder) -> Working:
    return Working(
        side=Side(order.side),
        time_in_force=TimeInForce(order.time_in_force),
        price_bound=order.price_bound,
        qty_step=order.instrument.qty_step,
        qty=order.qty - order.filled_qty if order.qty is not None else None,
        notional=order.notional - order.filled_notional if order.notional is not None else None,
        max_qty=order.max_qty - order.filled_qty if order.max_qty is not None else None,
        begun=order.filled_qty > 0,
    )
