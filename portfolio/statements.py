"""The books as a person reads them: what was realised, activity by day, a file to keep."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, Sum

from accounts.models import BrokerageAccount, BrokerKind
from portfolio.domain.pnl import Summary
from portfolio.models import (
    BROUGHT,
    BROUGHT_FEE,
    OPENING,
    EntryKind,
    JournalEntry,
    LedgerAccount,
    LedgerKind,
    Position,
)
from speedtrade.lib.formats import price_text, qty_text
from speedtrade.lib.money import ZERO, money, percent, plain
from speedtrade.lib.times import rfc3339

NEW_YORK = ZoneInfo("America/New_York")
SLICES = 6  # of the allocation, the rest of the positions in one of them
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Realized:
    """Profit of everything sold so far, before fees, and all fees paid."""

    profit: Decimal
    fees: Decimal


def realized_of(account: BrokerageAccount) -> Realized:
    """What was realised in an account, closed positions included.

    The fees are those of trades and what a broker charged beside them: the whole of their pocket.
    """
    rows = Position.objects.filter(brokerage_account=account)
    fees = LedgerAccount.objects.filter(
        brokerage_account=account, kind=LedgerKind.FEES, asset=account.currency
    ).values_list("balance", flat=True)
    return Realized(rows.aggregate(sum=Sum("realized_pl"))["sum"] or ZERO, fees.first() or ZERO)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the portfolio: a symbol, cash or all others; `share` in percent.

    `colour` is its place among those of a donut; cash always has the last one, grey.
    """

    name: str
    value: Decimal
    share: Decimal
    colour: int


def allocation(summary: Summary) -> list[Slice]:
    """Cash and the largest positions, largest first; [] for a portfolio that is worth nothing."""
    total = summary.portfolio_value
    if total <= 0:
        return []
    parts = [(row.held.symbol, row.market_value) for row in summary.positions]
    parts.sort(key=lambda part: part[1], reverse=True)
    shown, rest = parts[: SLICES - 2], parts[SLICES - 2 :]
    if len(rest) > 1:
        shown.append((f"{len(rest)} others", sum((value for _, value in rest), ZERO)))
    else:
        shown += rest
    rows = [(name, value, place) for place, (name, value) in enumerate(shown)]
    rows.append(("Cash", summary.cash_balance, SLICES - 1))
    return [
        Slice(name, value, percent(value, total, 2), colour)
        for name, value, colour in rows
        if value > 0
    ]


# ── activity ─────────────────────────────────────────────────────────────────
def by_day(entries: Iterable[JournalEntry]) -> list[tuple[date, list[JournalEntry]]]:
    """Entries grouped by the day in New York on which they were booked, order kept."""
    grouped = groupby(entries, key=lambda entry: entry.created_at.astimezone(NEW_YORK).date())
    return [(day, list(rows)) for day, rows in grouped]


def entry_title(entry: JournalEntry) -> str:
    """'Bought 5 AAPL at $100.00', 'Paper deposit'."""
    if entry.kind == EntryKind.FILL and entry.instrument is not None:
        verb = "Bought" if entry.side == "buy" else "Sold"
        if entry.reference.startswith(BROUGHT):
            verb = "Brought in" if entry.side == "buy" else "Taken out"
            verb = "Paid as a fee" if entry.reference.startswith(BROUGHT_FEE) else verb
        name = entry.instrument.symbol.partition("/")[0]
        price = price_text(entry.price, entry.instrument.price_tick)
        return f"{verb} {qty_text(entry.qty)} {name} at {price}"
    if entry.kind in {EntryKind.DEPOSIT, EntryKind.WITHDRAWAL}:
        if entry.brokerage_account.broker == BrokerKind.PAPER:
            return "Opening paper cash" if entry.reference == "opening" else f"Paper {entry.kind}"
        if entry.reference == OPENING:
            return "Cash at the start"
        if entry.reference.startswith(BROUGHT):
            return "Value of what came in" if entry.amount > 0 else "Cost of what went out"
    return EntryKind(entry.kind).label


def cash_after(entry: JournalEntry) -> Decimal | None:
    """The cash that an entry left, as the ledger wrote it down; None where it moved none.

    It reads the transfers with their pockets, which `activity_of` brings along.
    """
    left: tuple[int, Decimal] | None = None
    for move in entry.transfers.all():
        for pocket, version, balance in (
            (move.source, move.source_version, move.source_balance),
            (move.target, move.target_version, move.target_balance),
        ):
            if pocket.kind == LedgerKind.CASH and (left is None or version > left[0]):
                left = (version, balance)
    return left[1] if left else None


# ── a file to keep ───────────────────────────────────────────────────────────
HEADER = ("time", "type", "symbol", "side", "qty", "price", "fee", "amount", "order", "reference")


class _Echo:
    """csv writes into it and gets the line back."""

    def write(self, value: str) -> str:
        return value


def csv_safe(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: numbers as they are, text with a quote."""
    if value[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of CSV, one at a time; no cell of theirs is a formula."""
    writer = csv.writer(_Echo())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([csv_safe(cell) for cell in row])


def activity_csv(entries: QuerySet[JournalEntry]) -> Iterator[str]:
    """Facts of an account as lines of CSV, in the order in which they come."""
    rows = entries.prefetch_related(None).iterator(chunk_size=1000)
    return csv_lines(HEADER, map(entry_cells, rows))


def entry_cells(entry: JournalEntry) -> list[str]:
    """The cells of HEADER."""
    return [
        rfc3339(entry.effective_at),
        entry.kind,
        entry.instrument.symbol if entry.instrument else "",
        entry.side,
        plain(entry.qty) if entry.qty is not None else "",
        plain(entry.price, 2) if entry.price is not None else "",
        money(entry.fee),
        money(entry.amount),
        str(entry.order_ref or ""),
        entry.reference,
    ]
