"""Read what a user owns. Each function that takes a user answers only for that user's rows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Case, DecimalField, F, Q, QuerySet, Sum, When

from accounts.models import BrokerageAccount, User
from marketdata import quote_store
from marketdata.domain.calendar import NEW_YORK
from marketdata.domain.quotes import Quote
from marketdata.hours import market_hours
from portfolio.domain.pnl import Book, EquityPoint, Held, PricePoint, Summary, value_book
from portfolio.models import (
    BROUGHT,
    EntryKind,
    EquitySnapshot,
    Hold,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Position,
)
from speedtrade.lib.errors import InvalidInput, NotFound
from speedtrade.lib.money import ZERO

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
    """What an account holds, in four queries; `value_book` turns it into figures at any prices."""
    pockets = {
        (row.kind, row.asset): row
        for row in LedgerAccount.objects.filter(
            brokerage_account=account,
            kind__in=[LedgerKind.CASH, LedgerKind.POSITION, LedgerKind.EXTERNAL],
        )
    }
    cash = pockets.get((LedgerKind.CASH.value, account.currency))
    outside = pockets.get((LedgerKind.EXTERNAL.value, account.currency))
    starts = {kind: market_hours().session_for(kind, now).open for kind in ("stock", "crypto")}
    traded = _traded_since(account, starts)
    rows = (
        Position.objects.filter(brokerage_account=account)
        .filter(Q(qty__gt=0) | Q(last_fill_at__gte=min(starts.values())))
        .select_related("instrument")
        .order_by("instrument__symbol")
    )
    held = []
    for row in rows:
        symbol = row.instrument.symbol
        qty_today, cash_today, paid_today = traded.get(row.instrument_id, (ZERO, ZERO, ZERO))
        pocket = pockets.get((LedgerKind.POSITION.value, symbol))
        held.append(
            Held(
                position_id=row.pk,
                symbol=symbol,
                name=row.instrument.name,
                asset_type=row.instrument.asset_type,
                qty=row.qty,
                cost_basis=row.cost_basis,
                realized_pl=row.realized_pl,
                fees=row.fees,
                reserved=pocket.reserved if pocket else ZERO,
                qty_today=qty_today,
                cash_today=cash_today,
                opened_at=row.opened_at,
                paid_today=paid_today,
            )
        )
    return Book(
        account_id=account.pk,
        currency=account.currency,
        cash=cash.balance if cash else ZERO,
        reserved=cash.reserved if cash else ZERO,
        net_deposits=-outside.balance if outside else ZERO,
        held=tuple(held),
    )


def _traded_since(
    account: BrokerageAccount, starts: Mapping[str, datetime]
) -> dict[int, tuple[Decimal, Decimal, Decimal]]:
    """instrument id -> (bought minus sold, cash, paid) of the fills since its session began."""
    number = DecimalField(max_digits=28, decimal_places=10)
    signed = Case(When(side="buy", then=F("qty")), default=-F("qty"), output_field=number)
    begun = Q()
    for asset_type, start in starts.items():
        begun |= Q(instrument__asset_type=asset_type, effective_at__gte=start)
    rows = (
        JournalEntry.objects.filter(begun, brokerage_account=account, kind=EntryKind.FILL)
        .exclude(reference__startswith=BROUGHT)  # it was there yesterday, only not in our books
        .values("instrument_id")
        .annotate(
            qty_today=Sum(signed),
            cash_today=Sum("amount"),
            bought=Sum("amount", filter=Q(side="buy")),
        )
    )
    return {
        row["instrument_id"]: (row["qty_today"], row["cash_today"], -(row["bought"] or ZERO))
        for row in rows
    }


def price_points(quotes: Mapping[str, Quote], now: datetime) -> dict[str, PricePoint]:
    """The quotes that a valuation needs, with their freshness at `now`."""
    return {
        symbol: PricePoint(
            quote.last, quote.prev_close, quote.is_stale(now, settings.QUOTE_STALE_AFTER)
        )
        for symbol, quote in quotes.items()
    }


def summary_get(*, account: BrokerageAccount, now: datetime) -> Summary:
    """The account at the newest prices."""
    book = book_load(account=account, now=now)
    quotes = quote_store.quotes_get([held.symbol for held in book.held])
    return value_book(book, price_points(quotes, now), now)


def position_for_user(*, user: User, position_id: int) -> Position:
    """A position by id with its account; raises NotFound for what is not theirs or is flat."""
    row = (
        Position.objects.filter(pk=position_id, brokerage_account__user=user, qty__gt=0)
        .select_related("instrument", "brokerage_account")
        .first()
    )
    if row is None:
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


#: Every n-th snapshot and the last one, chosen in the database: years cost no more than a day. Both
#: sides of a deposit are kept, or the curve would show it as a slope and a profit.
_THINNED = """
    WITH marked AS (
      SELECT s.*, row_number() OVER by_time AS n, count(*) OVER () AS total,
             net_deposits <> lag(net_deposits, 1, net_deposits) OVER by_time
             OR net_deposits <> lead(net_deposits, 1, net_deposits) OVER by_time AS flow
      FROM portfolio_equitysnapshot s WHERE brokerage_account_id = %(account)s AND at >= %(since)s
      WINDOW by_time AS (ORDER BY at)),
    kept AS (
      SELECT m.*, flow AND row_number() OVER (PARTITION BY flow ORDER BY at DESC) <= %(flows)s
                  AS beside_flow FROM marked m),
    counted AS (
      SELECT k.*, %(room)s - count(*) FILTER (WHERE beside_flow) OVER () AS room FROM kept k)
    SELECT * FROM counted
    WHERE beside_flow OR (n - 1) %% ((total + room - 1) / room) = 0 OR n = total
    ORDER BY at
"""
