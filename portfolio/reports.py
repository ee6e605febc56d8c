"""The books of a month and of a year: statements that add up, and what each sale used up."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import (
    Case,
    Count,
    DecimalField,
    F,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    When,
    Window,
)
from django.db.models.functions import TruncMonth

from accounts.models import BrokerageAccount
from marketdata.domain.calendar import NEW_YORK
from marketdata.models import Instrument
from portfolio.domain.gains import Piece, history, is_long_term
from portfolio.domain.lots import FillFact
from portfolio.domain.months import Month, month_of, months_between, year_bounds
from portfolio.models import BROUGHT, BROUGHT_FEE, EntryKind, EquitySnapshot, JournalEntry
from portfolio.services.fills import fact_of
from speedtrade.lib.errors import NotFound
from speedtrade.lib.money import ZERO

_NUMBER = DecimalField(max_digits=28, decimal_places=10)
_FILL = Q(kind=EntryKind.FILL)
_FACT = ("reference", "order_ref", "side", "qty", "price", "notional", "fee", "effective_at")


# ── months ───────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class MonthLine:
    """A month of the list: how many bookings, what cash they moved, and what was left."""

    month: Month
    bookings: int
    change: Decimal
    closing: Decimal


def months_of(account: BrokerageAccount, now: datetime) -> list[MonthLine]:
    """Every month since the account was opened, newest first."""
    rows = (
        JournalEntry.objects.filter(brokerage_account=account)
        .annotate(month=TruncMonth("created_at", tzinfo=NEW_YORK))
        .values("month")
        .annotate(bookings=Count("id"), change=Sum("amount"))
    )
    found = {month_of(row["month"]): (row["bookings"], row["change"]) for row in rows}
    lines, cash = [], ZERO
    for month in months_between(_first_month(account, found), month_of(now)):
        count, change = found.get(month, (0, ZERO))
        cash += change
        lines.append(MonthLine(month, count, change, cash))
    return lines[::-1]


def _first_month(account: BrokerageAccount, found: Iterable[Month] = ()) -> Month:
    return min([month_of(account.created_at), *found])


# ── a statement ──────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class HeldThen:
    """What was held of one instrument at the end of a month, and what it had cost."""

    symbol: str
    name: str
    qty: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """A month: `opening` and the six sums are `closing`, to the last digit."""

    month: Month
    ended: bool
    opening: Decimal
    deposits: Decimal
    withdrawals: Decimal
    purchases: Decimal
    sales: Decimal
    fees: Decimal
    dividends: Decimal
    closing: Decimal
    realized: Decimal
    holdings: tuple[HeldThen, ...]
    snapshot: EquitySnapshot | None
    entries: QuerySet[JournalEntry]

    @property
    def cost(self) -> Decimal:
        return sum((held.cost for held in self.holdings), ZERO)

    def cash_after(self, entry: JournalEntry) -> Decimal:
        """The cash that one of `entries` left: the opening balance and all moved up to it."""
        moved: Decimal = getattr(entry, "moved")  # noqa: B009 - annotated by `bookings`
        return self.opening + moved


def statement_of(account: BrokerageAccount, month: Month | None, now: datetime) -> Statement:
    """The statement of a month; raises NotFound before the account was opened and after today."""
    if month is None or not _known_month(account, month, now):
        raise NotFound("There is no statement of this month.")
    mine = JournalEntry.objects.filter(brokerage_account=account)
    within = mine.filter(created_at__gte=month.start, created_at__lt=month.end)
    before = mine.filter(created_at__lt=month.start).aggregate(cash=Sum("amount"))["cash"] or ZERO
    sums = {name: value or ZERO for name, value in within.aggregate(**_SUMS).items()}
    realized, holdings = _hands(account, month)
    return Statement(
        month=month,
        ended=month.end <= now,
        opening=before,
        deposits=sums["deposits"],
        withdrawals=sums["withdrawals"],
        purchases=-sums["bought"],
        sales=sums["sold"],
        fees=sums["charged"] - sums["fill_fees"],
        dividends=sums["dividends"],
        closing=before + sums["change"],
        realized=realized,
        holdings=holdings,
        snapshot=EquitySnapshot.objects.filter(
            brokerage_account=account, at__gte=month.start, at__lt=month.end
        )
        .order_by("-at")
        .first(),
        entries=bookings(within),
    )


_SUMS = {
    "change": Sum("amount"),
    "deposits": Sum("amount", filter=Q(kind=EntryKind.DEPOSIT)),
    "withdrawals": Sum("amount", filter=Q(kind=EntryKind.WITHDRAWAL)),
    "dividends": Sum("amount", filter=Q(kind=EntryKind.DIVIDEND)),
    "charged": Sum("amount", filter=Q(kind=EntryKind.FEE)),
    "bought": Sum("notional", filter=_FILL & Q(side="buy")),
    "sold": Sum("notional", filter=_FILL & Q(side="sell")),
    "fill_fees": Sum("fee", filter=_FILL),
}


def _known_month(account: BrokerageAccount, month: Month, now: datetime) -> bool:
    if month > month_of(now):
        return False
    if month >= month_of(account.created_at):
        return True
    # A fact of before the opening would be strange, but it is cash and has its statement.
    first = JournalEntry.objects.filter(brokerage_account=account).aggregate(at=Min("created_at"))
    return first["at"] is not None and month >= month_of(first["at"])


def bookings(within: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    """The entries in the order of the books, each with `moved`: all cash moved up to it."""
    moved = Window(Sum("amount"), order_by=F("id").asc())
    return within.select_related("instrument").annotate(moved=moved).order_by("id")


def _hands(account: BrokerageAccount, month: Month) -> tuple[Decimal, tuple[HeldThen, ...]]:
    """(realised in the month, held at its end), from the fills booked until then.

    What is booked later changes no statement: a late fill counts where it was booked.
    """
    signed = Case(When(side="buy", then=F("qty")), default=-F("qty"), output_field=_NUMBER)
    until = JournalEntry.objects.filter(_FILL, brokerage_account=account, created_at__lt=month.end)
    rows = until.values("instrument_id").annotate(held=Sum(signed), newest=Max("created_at"))
    wanted = [row["instrument_id"] for row in rows if row["held"] or row["newest"] >= month.start]
    realized, holdings = ZERO, []
    names = Instrument.objects.in_bulk(wanted)
    for instrument_id, booked in _facts(until.filter(instrument_id__in=wanted)).items():
        after = history(fact for _, fact in booked)
        if any(at >= month.start for at, _ in booked):
            earlier = history(fact for at, fact in booked if at < month.start)
            realized += after.realized_pl - earlier.realized_pl
        if after.lots:
            row = names[instrument_id]
            holdings.append(HeldThen(row.symbol, row.name, after.qty, after.cost_basis))
    return realized, tuple(sorted(holdings, key=lambda held: held.symbol))


def _facts(fills: QuerySet[JournalEntry]) -> dict[int, list[tuple[datetime, FillFact]]]:
    """instrument id -> (booked at, fill), in the order in which they came."""
    facts: dict[int, list[tuple[datetime, FillFact]]] = defaultdict(list)
    rows = fills.only("instrument_id", "created_at", *_FACT).order_by("id")
    for row in rows.iterator(chunk_size=2000):
        if row.instrument_id is not None:
            facts[row.instrument_id].append((row.created_at, fact_of(row)))
    return facts


# ── a tax year ───────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class SoldLot:
    """A line of the report: a piece of a lot, what it was, and how long it was held.

    `long_term` is None where the lot was there before these books, which know no day of it.
    """

    symbol: str
    piece: Piece
    long_term: bool | None

    @property
    def term(self) -> str:
        return {True: "Long", False: "Short", None: ""}[self.long_term]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of lines."""

    term: str
    count: int
    proceeds: Decimal
    cost: Decimal

    @property
    def gain(self) -> Decimal:
        return self.proceeds - self.cost


@dataclass(frozen=True, slots=True)
class TaxYear:
    """All that was sold in a year of New York, and the fees that the gains do not count."""

    year: int
    sold: tuple[SoldLot, ...]
    fees: Decimal

    @property
    def totals(self) -> tuple[Totals, ...]:
        """Short term, long term, what was there before these books (if any), and all of it."""
        terms: list[tuple[str, bool | None]] = [("Short term", False), ("Long term", True)]
        unknown = any(row.long_term is None for row in self.sold)
        terms += [("Before these books", None)] if unknown else []
        parts = [
            _sum(name, [row.piece for row in self.sold if row.long_term is term])
            for name, term in terms
        ]
        every = _sum("All" if unknown else "Both", [row.piece for row in self.sold])
        return (*parts, every)


def _sum(term: str, pieces: list[Piece]) -> Totals:
    proceeds = sum((piece.proceeds for piece in pieces), ZERO)
    return Totals(term, len(pieces), proceeds, sum((piece.cost for piece in pieces), ZERO))


def years_of(account: BrokerageAccount, now: datetime) -> list[int]:
    """Every year since the account was opened, newest first."""
    return list(range(month_of(now).year, month_of(account.created_at).year - 1, -1))


def tax_year(account: BrokerageAccount, year: int, now: datetime) -> TaxYear:
    """What was sold in a year, lot by lot; raises NotFound for a year without this account.

    Units that went without a sale use up lots like one, and are none.
    """
    if year not in years_of(account, now):
        raise NotFound("There is no report of this year.")
    start, end = year_bounds(year)
    fills = JournalEntry.objects.filter(_FILL, brokerage_account=account)
    within = fills.filter(effective_at__gte=start, effective_at__lt=end)
    traded = within.filter(side="sell").values_list("instrument_id", flat=True).distinct()
    names = Instrument.objects.in_bulk(list(traded))
    sold = [
        SoldLot(names[instrument_id].symbol, piece, _is_long(piece))
        for instrument_id, booked in _facts(fills.filter(instrument_id__in=names)).items()
        for piece in history(fact for _, fact in booked).pieces
        if start <= piece.sold_at < end and _is_sale(piece)
    ]
    sold.sort(key=lambda row: (row.piece.sold_at, row.piece.sold, row.piece.acquired_at))
    return TaxYear(year, tuple(sold), _fees_paid(account, start, end))


def _fees_paid(account: BrokerageAccount, start: datetime, end: datetime) -> Decimal:
    """The fees of trades, and what a broker charged beside them."""
    within = JournalEntry.objects.filter(
        brokerage_account=account, effective_at__gte=start, effective_at__lt=end
    )
    sums = within.aggregate(
        of_fills=Sum("fee", filter=_FILL), charged=Sum("amount", filter=Q(kind=EntryKind.FEE))
    )
    return (sums["of_fills"] or ZERO) - (sums["charged"] or ZERO)


def _is_sale(piece: Piece) -> bool:
    return not piece.sold.startswith(BROUGHT) or piece.sold.startswith(BROUGHT_FEE)


def _is_long(piece: Piece) -> bool | None:
    if piece.bought.startswith(BROUGHT):
        return None
    acquired, sold = (at.astimezone(NEW_YORK) for at in (piece.acquired_at, piece.sold_at))
    return is_long_term(acquired.date(), sold.date())
