"""Book a fill: postings, lots, position and hold, in the transaction of the caller."""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.db.models import BigIntegerField

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from portfolio.domain.lots import FillFact, Holding, OpenLot, Rest, apply, replay
from portfolio.models import EntryKind, JournalEntry, LedgerKind, Lot, Position
from portfolio.services.books import Books
from portfolio.services.holds import hold_change
from speedtrade.lib.compiled import Compiled, Given
from speedtrade.lib.errors import InvariantBroken
from speedtrade.lib.money import ZERO
from speedtrade.lib.rows import row_save, rows_write

_POSITION = Compiled(
    lambda: Position.objects.filter(
        brokerage_account=Given("account_id", BigIntegerField()),
        instrument=Given("instrument_id", BigIntegerField()),
    )
)
LOTS_AT_ONCE = 32  # most sales take one lot or a few: so many are read first


@lru_cache(maxsize=16)
def _oldest(count: int) -> Compiled[Lot]:
    """The first `count` open lots of a position."""
    return Compiled(
        lambda: Lot.objects.filter(
            position=Given("position_id", BigIntegerField()), remaining__gt=0
        ).order_by("opened_at", "reference")[:count]
    )


def fill_book(
    *,
    account: BrokerageAccount,
    instrument: Instrument,
    fact: FillFact,
    hold_left: Decimal,
    now: datetime,
) -> JournalEntry:
    """Write one fill into the books of a locked account. `hold_left` is what its order still holds.

    The unique reference makes a second booking of the same fill an IntegrityError: the caller has
    already left out the fills that it knows.
    """
    journal = JournalEntry(
        brokerage_account=account,
        kind=EntryKind.FILL,
        reference=fact.reference,
        effective_at=fact.executed_at,
        created_at=now,
        amount=fact.cash,
        instrument=instrument,
        order_ref=fact.order_ref,
        side=fact.side,
        qty=fact.qty,
        price=fact.price,
        notional=fact.notional,
        fee=fact.fee,
    )
    rows_write(journal)
    books = Books(account)
    if fact.order_ref is not None:
        hold_change(books=books, order_ref=fact.order_ref, amount=hold_left, now=now)
    _post(books, journal, instrument.symbol, fact)
    books.save()
    position_add(account=account, instrument=instrument, fact=fact, now=now)
    return journal


def _post(books: Books, journal: JournalEntry, symbol: str, fact: FillFact) -> None:
    currency = books.account.currency
    cash, market = (LedgerKind.CASH, currency), (LedgerKind.MARKET, currency)
    shares, supply = (LedgerKind.POSITION, symbol), (LedgerKind.MARKET, symbol)
    books.load([cash, market, shares, supply, (LedgerKind.FEES, currency)])
    if fact.side == "buy":
        money_from, money_to, shares_from, shares_to = cash, market, supply, shares
    else:
        money_from, money_to, shares_from, shares_to = market, cash, shares, supply
    if fact.notional:
        books.move(journal, money_from, money_to, fact.notional)
    books.move(journal, shares_from, shares_to, fact.qty)
    if fact.fee:
        books.move(journal, cash, (LedgerKind.FEES, currency), fact.fee)


def position_add(
    *, account: BrokerageAccount, instrument: Instrument, fact: FillFact, now: datetime
) -> Position:
    """Fold one booked fill into lots and position; an older fill than the last rebuilds them."""
    position = _POSITION.first(account_id=account.pk, instrument_id=instrument.pk)
    if position is None:
        position = Position.objects.create(
            brokerage_account=account, instrument=instrument, updated_at=now
        )
    if position.last_fill_at and fact.key < (position.last_fill_at, position.last_fill_reference):
        return position_rebuild(position=position, now=now)
    before = holding_of(position, fact.qty if fact.side == "sell" else ZERO)
    _write_lots(position, before, after := apply(before, fact))
    _write_position(position, after, fact, now)
    return position


def holding_of(position: Position, qty: Decimal) -> Holding:
    """A position as the rules of lots see it, with as many of its oldest lots as `qty` units take.

    What a fill costs must not grow with the lots that it leaves alone; their sum is known.
    """
    lots = tuple(_oldest_lots(position, qty)) if qty else ()
    read, cost = sum((lot.remaining for lot in lots), ZERO), sum((lot.cost for lot in lots), ZERO)
    return Holding(
        lots,
        realized_pl=position.realized_pl,
        fees=position.fees,
        opened_at=position.opened_at,
        rest=Rest(position.qty - read, position.cost_basis - cost),
    )


def position_rebuild(*, position: Position, now: datetime) -> Position:
    """Lots and position anew from the journal: the ledger is the truth, these are projections."""
    facts = fill_facts(position)
    Lot.objects.filter(position=position).delete()
    after = replay(facts)
    bought = {fact.reference: fact for fact in facts if fact.side == "buy"}
    left = {lot.reference: lot for lot in after.lots}
    Lot.objects.bulk_create(
        _lot_row(position, fact, left.get(reference)) for reference, fact in bought.items()
    )
    last = max(facts, key=lambda fact: fact.key, default=None)
    _write_position(position, after, last, now)
    return position


def fill_facts(position: Position) -> list[FillFact]:
    """Every booked fill of a position, from the journal, in the order in which they came."""
    rows = JournalEntry.objects.filter(
        brokerage_account_id=position.brokerage_account_id,
        instrument_id=position.instrument_id,
        kind=EntryKind.FILL,
    ).order_by("id")
    return [fact_of(row) for row in rows]


def fact_of(row: JournalEntry) -> FillFact:
    """The fill that a journal entry records (the table's CHECK keeps its columns whole)."""
    if row.qty is None or row.price is None or row.notional is None:
        raise InvariantBroken(f"journal entry {row.pk} is no whole fill")
    return FillFact(
        reference=row.reference,
        order_ref=row.order_ref,
        side="buy" if row.side == "buy" else "sell",
        qty=row.qty,
        price=row.price,
        notional=row.notional,
        fee=row.fee,
        executed_at=row.effective_at,
    )


def _oldest_lots(position: Position, qty: Decimal) -> list[OpenLot]:
    """The oldest open lots, until there are `qty` units of them or no more lots."""
    count = LOTS_AT_ONCE
    rows = _oldest(count).rows(position_id=position.pk)
    while len(rows) == count and sum((row.remaining for row in rows), ZERO) < qty:
        count *= 2
        rows = _oldest(count).rows(position_id=position.pk)
    return [
        OpenLot(
            row.reference, row.order_ref, row.opened_at, row.qty, row.price, row.remaining, row.cost
        )
        for row in rows
    ]


def _lot_row(position: Position, fact: FillFact, left: OpenLot | None) -> Lot:
    return Lot(
        position=position,
        reference=fact.reference,
        order_ref=fact.order_ref,
        opened_at=fact.executed_at,
        qty=fact.qty,
        price=fact.price,
        remaining=left.remaining if left else ZERO,
        cost=left.cost if left else ZERO,
    )


def _write_lots(position: Position, before: Holding, after: Holding) -> None:
    """Only what changed: a purchase adds one lot, a sale shrinks the oldest ones."""
    old = {lot.reference: lot for lot in before.lots}
    new = {lot.reference: lot for lot in after.lots}
    for reference, lot in new.items():
        if reference not in old:
            row = Lot(
                position=position,
                reference=reference,
                order_ref=lot.order_ref,
                opened_at=lot.opened_at,
                qty=lot.qty,
                price=lot.price,
                remaining=lot.remaining,
                cost=lot.cost,
            )
            rows_write(row)
        elif lot != old[reference]:
            Lot.objects.filter(position=position, reference=reference).update(
                remaining=lot.remaining, cost=lot.cost
            )
    gone = [reference for reference in old if reference not in new]
    if gone:
        Lot.objects.filter(position=position, reference__in=gone).update(remaining=ZERO, cost=ZERO)


def _write_position(
    position: Position, after: Holding, last: FillFact | None, now: datetime
) -> None:
    position.qty, position.cost_basis = after.qty, after.cost_basis
    position.realized_pl, position.fees = after.realized_pl, after.fees
    if last is not None:
        position.last_fill_at, position.last_fill_reference = last.executed_at, last.reference
    position.opened_at, position.updated_at = after.opened_at, now
    row_save(position)
