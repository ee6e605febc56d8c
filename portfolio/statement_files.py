"""Statements and tax reports as CSV files."""

from collections.abc import Iterator

from django.utils.text import slugify

from accounts.models import BrokerageAccount
from marketdata.domain.calendar import NEW_YORK
from portfolio.reports import SoldLot, Statement, TaxYear
from portfolio.statements import HEADER, csv_lines, entry_cells, entry_title
from speedtrade.lib.money import money, plain
from speedtrade.lib.times import rfc3339

STATEMENT_HEADER = (*HEADER, "description", "cash")
TAX_HEADER = (
    "description",
    "symbol",
    "quantity",
    "date acquired",
    "date sold",
    "proceeds",
    "cost",
    "gain",
    "term",
    "bought by",
    "sold by",
)


def file_name(account: BrokerageAccount, what: str) -> str:
    """'speedtrade-main-7-taxes-2026.csv': two accounts must not look alike in one folder."""
    return "-".join(
        ["speedtrade", slugify(account.label) or "account", str(account.pk), f"{what}.csv"]
    )


def statement_csv(made: Statement) -> Iterator[str]:
    """The opening balance, every booking with the cash after it, the closing balance."""
    return csv_lines(STATEMENT_HEADER, _statement_rows(made))


def _statement_rows(made: Statement) -> Iterator[list[str]]:
    blank = [""] * (len(HEADER) - 2)
    yield [rfc3339(made.month.start), "opening", *blank, "Opening balance", money(made.opening)]
    for entry in made.entries.iterator(chunk_size=1000):
        yield [*entry_cells(entry), entry_title(entry), money(made.cash_after(entry))]
    closing = "Closing balance" if made.ended else "Balance so far"
    yield [rfc3339(made.month.end), "closing", *blank, closing, money(made.closing)]


def taxes_csv(report: TaxYear) -> Iterator[str]:
    """One line for each piece of a lot that was sold; dates are those of New York.

    What was there before these books has no date acquired and no term.
    """
    return csv_lines(TAX_HEADER, map(_tax_row, report.sold))


def _tax_row(row: SoldLot) -> list[str]:
    piece = row.piece
    acquired, sold = (at.astimezone(NEW_YORK) for at in (piece.acquired_at, piece.sold_at))
    return [
        f"{plain(piece.qty)} {row.symbol}",
        row.symbol,
        plain(piece.qty),
        f"{acquired:%m/%d/%Y}" if row.term else "",
        f"{sold:%m/%d/%Y}",
        money(piece.proceeds),
        money(piece.cost),
        money(piece.gain),
        row.term.lower(),
        piece.bought,
        piece.sold,
    ]
