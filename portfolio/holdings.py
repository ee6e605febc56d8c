"""What is held, as pages and files show it: chosen, in order, with its instruments and lots."""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from django.db.models import QuerySet

from marketdata.domain.calendar import NEW_YORK
from marketdata.models import AssetType, Instrument
from marketdata.views import quote_rows, with_sparks
from portfolio.domain.gains import is_long_term
from portfolio.domain.pnl import PositionValue, Summary
from portfolio.models import BROUGHT, Lot, Position
from portfolio.statements import csv_safe
from speedtrade.lib.money import money, plain
from speedtrade.lib.times import rfc3339

#: ?sort= -> how; what is equal stands by symbol, so that a list keeps still.
SORTS: dict[str, Callable[[PositionValue], Any]] = {
    "value": lambda row: (-row.market_value, row.held.symbol),
    "symbol": lambda row: row.held.symbol,
    "return": lambda row: (-row.unrealized_pl_pct, row.held.symbol),
    "day": lambda row: (-row.day_pl, row.held.symbol),
}


def positions_sorted(
    summary: Summary, sort: str = "value", asset_type: str = ""
) -> list[PositionValue]:
    """The positions of one kind (or all) in order; an unknown order is by value."""
    rows = [row for row in summary.positions if asset_type in ("", row.held.asset_type)]
    return sorted(rows, key=SORTS.get(sort, SORTS["value"]))


def asset_type_known(text: str) -> str:
    """`text` where it is an asset type, else "" (all)."""
    return text if text in AssetType.values else ""


@dataclass(frozen=True, slots=True)
class Holding:
    """A position as a page shows it."""

    row: PositionValue
    instrument: Instrument
    spark: list[Any]
    closed_at: datetime | None


def holdings_shown(
    rows: Iterable[PositionValue], now: datetime, *, sparks: bool = False
) -> list[Holding]:
    """The rows with their instruments, and with the line of their day where asked; one query."""
    shown = list(rows)
    symbols = [row.held.symbol for row in shown]
    instruments = {one.symbol: one for one in Instrument.objects.filter(symbol__in=symbols)}
    lines = quote_rows(instruments.values(), now)
    if sparks:
        with_sparks(lines, now)
    priced = {line["instrument"].symbol: line for line in lines}
    return [
        Holding(
            row,
            instruments[row.held.symbol],
            priced[row.held.symbol].get("spark", []),
            priced[row.held.symbol]["closed_at"],
        )
        for row in shown
    ]


# ── lots ─────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class HeldLot:
    """An open lot with the days it has been held and what that is for the tax.

    `term` is empty where the lot was there before these books, which know no day of it.
    """

    lot: Lot
    days: int
    term: Literal["short", "long", ""]


def lots_open(position: Position) -> QuerySet[Lot]:
    """The open lots of a position, in the order in which they are sold."""
    return position.lots.filter(remaining__gt=0).order_by("opened_at", "reference")


def lots_held(lots: Iterable[Lot], now: datetime) -> list[HeldLot]:
    """Lots with their age; days are New York's."""
    today = _day(now)
    return [_held(lot, _day(lot.opened_at), today) for lot in lots]


def _held(lot: Lot, opened: date, today: date) -> HeldLot:
    if lot.reference.startswith(BROUGHT):
        return HeldLot(lot, 0, "")
    return HeldLot(lot, (today - opened).days, "long" if is_long_term(opened, today) else "short")


def _day(moment: datetime) -> date:
    return moment.astimezone(NEW_YORK).date()


# ── a file to keep ───────────────────────────────────────────────────────────
HEADER = (
    "symbol",
    "name",
    "asset_type",
    "qty",
    "reserved",
    "avg_price",
    "current_price",
    "market_value",
    "cost_basis",
    "unrealized_pl",
    "unrealized_pl_pct",
    "day_pl",
    "share_pct",
    "realized_pl",
    "fees",
    "opened_at",
    "stale",
    "as_of",
)


def holdings_csv(summary: Summary) -> str:
    """Every position as a line of CSV, the most valuable first."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(HEADER)
    for row in positions_sorted(summary):
        writer.writerow([csv_safe(cell) for cell in _cells(row, summary.as_of)])
    return file.getvalue()


def _cells(row: PositionValue, as_of: datetime) -> list[str]:
    held = row.held
    return [
        held.symbol,
        held.name,
        held.asset_type,
        plain(held.qty),
        plain(held.reserved),
        plain(row.avg_price, 2),
        plain(row.current_price, 2) if row.current_price is not None else "",
        money(row.market_value),
        money(held.cost_basis),
        money(row.unrealized_pl),
        plain(row.unrealized_pl_pct, 2),
        money(row.day_pl),
        plain(row.share_pct, 2),
        money(held.realized_pl),
        money(held.fees),
        rfc3339(held.opened_at) if held.opened_at else "",
        "yes" if row.stale else "no",
        rfc3339(as_of),
    ]
