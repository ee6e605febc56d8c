"""Read what a user owns. Each function that takes a user answers only for that user's rows."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import BrokerageAccount, User
from marketdata import quote_store
from marketdata.domain.calendar import NEW_YORK
from marketdata.domain.quotes import LastPrice, Quote
from marketdata.hours import market_hours
from portfolio.domain.pnl import Book, EquityPoint, Held, PricePoint, Summary, value_book
from portfolio.models import (
    BROUGHT,
    EquitySnapshot,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Position,
)
from speedtrade.lib.errors import InvalidInput, NotFound
from speedtrade.lib.money import ZERO
from speedtrade.lib.prepared import prepared_cursor

PERIODS = {
    "1D": timedelta(days=1),
    "1W": timedelta(weeks=1),
    "1M": timedelta(days=30),
    "3M": timedelta(days=91),
    "YTD": None,  # since New Year in New York
    "1Y": timedelta(days=365),
    "ALL": None,  # since the account was opened
}
HISTORY_POINTS = 300  # a curve has no more than this many points
FLOW_POINTS = 60  # of them may stand right before and after cash came or went


def book_load(*, account: BrokerageAccount, now: datetime) -> Book:
    """What an account holds, in three statements; `value_book` makes figures of it at any prices.

    Plain SQL: every page, poll and push reads this, and models cost several times the statements.
    """
    starts = {kind: _close_before(kind, now) for kind in ("stock", "crypto")}
    names: dict[str, Any] = {
        "account": account.pk,
        "brought": BROUGHT,
        "first": min(starts.values()),
    }
    with prepared_cursor() as cursor:
        cursor.execute(_POCKETS, names)
        pockets = {(kind, asset): sums for kind, asset, *sums in cursor.fetchall()}
        cursor.execute(_HELD, names)
        rows = [_HeldRow(*row) for row in cursor.fetchall()]
        traded = _traded(cursor, rows, starts, names)
    cash, reserved = pockets.get((LedgerKind.CASH.value, account.currency), _EMPTY)
    outside, _ = pockets.get((LedgerKind.EXTERNAL.value, account.currency), _EMPTY)
    held = []
    for row in rows:
        _, on_sale = pockets.get((LedgerKind.POSITION.value, row.symbol), _EMPTY)
        held.append(_held(row, on_sale, *traded.get(row.instrument_id, _NOTHING)))
    return Book(
        account_id=account.pk,
        currency=account.currency,
        cash=cash,
        reserved=reserved,
        net_deposits=-outside,
        held=tuple(held),
    )


def _close_before(kind: str, now: datetime) -> datetime:
    """When the price was made that a quote calls its previous close: the day's trades come after.

    That is before the open: at a broker stocks change hands between two sessions.
    """
    hours = market_hours()
    return hours.session_before(kind, hours.session_for(kind, now)).close


class _HeldRow(NamedTuple):
    """A row of _HELD, its columns in order; the times are UTC's, without saying so."""

    position_id: int
    instrument_id: int
    symbol: str
    name: str
    asset_type: str
    qty: Decimal
    cost_basis: Decimal
    realized_pl: Decimal
    fees: Decimal
    opened_at: datetime | None
    last_fill_at: datetime | None


def _held(
    row: _HeldRow,
    reserved: Decimal,
    qty_today: Decimal,
    cash_today: Decimal,
    paid_today: Decimal,
) -> Held:
    return Held(
        position_id=row.position_id,
        symbol=row.symbol,
        name=row.name,
        asset_type=row.asset_type,
        qty=row.qty,
        cost_basis=row.cost_basis,
        realized_pl=row.realized_pl,
        fees=row.fees,
        reserved=reserved,
        qty_today=qty_today,
        cash_today=cash_today,
        opened_at=row.opened_at.replace(tzinfo=UTC) if row.opened_at else None,
        paid_today=paid_today,
    )


def _traded(
    cursor: Any, rows: Iterable[_HeldRow], starts: Mapping[str, datetime], names: dict[str, Any]
) -> dict[int, tuple[Decimal, Decimal, Decimal]]:
    """instrument id -> (bought minus sold, cash, paid) of the fills since the close before."""
    found: dict[int, tuple[Decimal, Decimal, Decimal]] = {}
    for start in set(starts.values()):
        began = start.astimezone(UTC).replace(tzinfo=None)
        # Nothing was traded since where the newest fill is older: mostly, nothing is asked.
        ids = [
            row.instrument_id
            for row in rows
            if starts[row.asset_type] == start and row.last_fill_at and row.last_fill_at >= began
        ]
        if ids:
            cursor.execute(_TRADED, names | {"ids": ids, "start": start})
            found |= {one: (qty, cash, paid) for one, qty, cash, paid in cursor.fetchall()}
    return found


_EMPTY, _NOTHING = (ZERO, ZERO), (ZERO, ZERO, ZERO)
#: The money, inside and outside, and what open orders reserve.
_POCKETS = """
    SELECT kind, asset, balance, reserved FROM portfolio_ledgeraccount
    WHERE brokerage_account_id = %(account)s AND (kind IN ('cash', 'external') OR reserved <> 0)
"""
#: What is held, and what was all sold since the first close before. Times without a zone: what
#: Django does to one with it takes longer than to read the rest of the row.
_HELD = """
    SELECT p.id, i.id, i.symbol, i.name, i.asset_type, p.qty, p.cost_basis, p.realized_pl, p.fees,
           p.opened_at AT TIME ZONE 'UTC', p.last_fill_at AT TIME ZONE 'UTC'
    FROM portfolio_position p JOIN marketdata_instrument i ON i.id = p.instrument_id
    WHERE p.brokerage_account_id = %(account)s AND (p.qty > 0 OR p.last_fill_at >= %(first)s)
    ORDER BY i.symbol
"""
#: What was brought along from elsewhere was there yesterday, only not in our books.
_TRADED = """
    SELECT instrument_id, sum(CASE WHEN side = 'buy' THEN qty ELSE -qty END), sum(amount),
           coalesce(-sum(amount) FILTER (WHERE side = 'buy'), 0)
    FROM portfolio_journalentry
    WHERE brokerage_account_id = %(account)s AND instrument_id = ANY(%(ids)s)
      AND effective_at >= %(start)s AND kind = 'fill' AND NOT starts_with(reference, %(brought)s)
    GROUP BY instrument_id
"""


def price_points(
    quotes: Mapping[str, Quote] | Mapping[str, LastPrice], now: datetime
) -> dict[str, PricePoint]:
    """The prices that a valuation needs, with their freshness at `now`."""
    oldest = now - settings.QUOTE_STALE_AFTER
    return {
        symbol: PricePoint(quote.last, quote.prev_close, quote.as_of < oldest)
        for symbol, quote in quotes.items()
    }


def summary_get(*, account: BrokerageAccount, now: datetime) -> Summary:
    """The account at the newest prices."""
    book = book_load(account=account, now=now)
    prices = quote_store.last_prices([held.symbol for held in book.held])
    return value_book(book, price_points(prices, now), now)


def position_for_user(*, user: User, position_id: int) -> Position:
    """A position by id with its account; raises NotFound for what is not theirs or is flat."""
    row = (
        Position.objects.filter(pk=position_id, brokerage_account__user=user, qty__gt=0)
        .select_related("instrument", "brokerage_account")
        .first()
    )
    if row is None or user.only_account_id not in (None, row.brokerage_account_id):
        raise NotFound("There is no such position.")
    return row


def activity_of(account: BrokerageAccount) -> QuerySet[JournalEntry]:
    """Fills, transfers, fees and dividends of an account, newest first."""
    return (
        JournalEntry.objects.filter(brokerage_account=account)
        .select_related("instrument", "brokerage_account")
        .prefetch_related("transfers__source", "transfers__target")
        .order_by("-created_at", "-id")
    )


def cash_free(*, account: BrokerageAccount) -> tuple[Decimal, Decimal]:
    """(cash, reserved) of an account."""
    row = LedgerAccount.objects.filter(
        brokerage_account=account, kind=LedgerKind.CASH, asset=account.currency
    ).first()
    return (row.balance, row.reserved) if row else (ZERO, ZERO)


def shares_free(*, account: BrokerageAccount, symbol: str) -> tuple[Decimal, Decimal]:
    """(held, reserved) of a symbol in an account."""
    row = LedgerAccount.objects.filter(
        brokerage_account=account, kind=LedgerKind.POSITION, asset=symbol
    ).first()
    return (row.balance, row.reserved) if row else (ZERO, ZERO)


def hold_of(order_ref: int) -> Decimal:
    """What an order still reserves."""
    return Hold.objects.filter(order_ref=order_ref).values_list("amount", flat=True).first() or ZERO


def equity_curve(
    *, account: BrokerageAccount, period: str, now: datetime, equity_now: Summary
) -> list[EquityPoint]:
    """Equity over a period, oldest first, at most HISTORY_POINTS; its last point is now.

    `period` is a key of PERIODS. Raises InvalidInput for any other.
    """
    since = period_start(account=account, period=period, now=now)
    # Two places are kept for the newest snapshot and for now.
    names = {"account": account.pk, "since": since, "room": HISTORY_POINTS - 2}
    points = [
        EquityPoint(row.at, row.cash + row.positions_value, row.net_deposits)
        for row in EquitySnapshot.objects.raw(_THINNED, names | {"flows": FLOW_POINTS})
    ]
    points.append(EquityPoint(now, equity_now.portfolio_value, equity_now.net_deposits))
    return points


def period_start(*, account: BrokerageAccount, period: str, now: datetime) -> datetime:
    """When a period began; raises InvalidInput for what is not in PERIODS."""
    if period not in PERIODS:
        raise InvalidInput.field("period", f"Choose one of {', '.join(PERIODS)}.")
    length = PERIODS[period]
    if length is not None:
        return now - length
    if period == "ALL":
        return account.created_at
    return datetime(now.astimezone(NEW_YORK).year, 1, 1, tzinfo=NEW_YORK)


#: The lowest and the highest of each of so many spans, the first snapshot and the last, chosen in
#: the database, which hands over no more of years than of a day: no fall is too short to be seen.
#: Low and high are without what was paid in. Both sides of a deposit are kept, or the curve would
#: show it as a slope and a profit.
_THINNED = """
    WITH marked AS (
      SELECT s.id, at, cash, positions_value, net_deposits,
             cash + positions_value - net_deposits AS won,
             row_number() OVER by_time AS n, count(*) OVER () AS total,
             net_deposits <> lag(net_deposits, 1, net_deposits) OVER by_time
             OR net_deposits <> lead(net_deposits, 1, net_deposits) OVER by_time AS flow
      FROM portfolio_equitysnapshot s WHERE brokerage_account_id = %(account)s AND at >= %(since)s
      WINDOW by_time AS (ORDER BY at)),
    kept AS (
      SELECT m.*, flow AND row_number() OVER (PARTITION BY flow ORDER BY at DESC) <= %(flows)s
                  AS beside_flow FROM marked m),
    counted AS (
      SELECT k.*, %(room)s - count(*) FILTER (WHERE beside_flow) OVER () AS room FROM kept k),
    spans AS MATERIALIZED (
      SELECT c.*, (n - 1) * ((room - 1) / 2) / total AS span FROM counted c),
    ends AS (
      SELECT (array_agg(n ORDER BY won, n))[1] AS low,
             (array_agg(n ORDER BY won DESC, n))[1] AS high FROM spans GROUP BY span)
    SELECT id, at, cash, positions_value, net_deposits FROM spans
    WHERE beside_flow OR total <= room OR n IN (1, total)
       OR n IN (SELECT low FROM ends UNION ALL SELECT high FROM ends)
    ORDER BY at
"""
