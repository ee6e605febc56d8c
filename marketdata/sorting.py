"""Rows of instruments in the order of a column, and the links that ask for it (`?sort=-price`).

A minus turns a column round. A row without a price stands last, whichever way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from marketdata.domain.quotes import Quote

COLUMNS: Final[dict[str, Callable[[Quote], Decimal]]] = {
    "price": lambda quote: quote.last,
    "change": lambda quote: quote.change_pct,
    "volume": lambda quote: quote.volume,
}
#: Column -> the number of a quote, as the store names it.
FIGURES: Final = {"price": "last", "change": "change_pct", "volume": "volume"}
NAMES: Final = ("symbol", *COLUMNS)


@dataclass(frozen=True, slots=True)
class SortLink:
    """The head of a column: where its link leads, and which way it is sorted now, if it is."""

    query: str
    way: str = ""
    down: bool = False

    @property
    def words(self) -> str:
        """For a screen reader, behind the name of the column."""
        return f", sorted, {self.way}" if self.way else ""


def sort_asked(text: str) -> str:
    """The order that an address asks for; "" for none that there is."""
    return text if text.removeprefix("-") in NAMES else ""


def sort_rows(rows: Sequence[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """{instrument, quote, …} by `sort`; as they are for ""."""
    column, down = sort.removeprefix("-"), sort.startswith("-")
    by_symbol = sorted(rows, key=lambda row: row["instrument"].symbol, reverse=sort == "-symbol")
    if column not in COLUMNS:
        return by_symbol if column else list(rows)
    value = COLUMNS[column]
    priced = [row for row in by_symbol if row["quote"] is not None]
    priced.sort(key=lambda row: value(row["quote"]), reverse=down)
    return priced + [row for row in by_symbol if row["quote"] is None]


def sort_symbols(
    symbols: Sequence[str], sort: str, figures: Callable[[str], Mapping[str, Decimal]]
) -> list[str]:
    """Symbols by `sort`, as `sort_rows` orders their rows; `figures` gives one number of each."""
    column, down = sort.removeprefix("-"), sort.startswith("-")
    by_symbol = sorted(symbols, reverse=sort == "-symbol")
    if column not in FIGURES:
        return by_symbol
    values = figures(FIGURES[column])
    priced = [symbol for symbol in by_symbol if symbol in values]
    priced.sort(key=lambda symbol: values[symbol], reverse=down)
    return priced + [symbol for symbol in by_symbol if symbol not in values]


def sort_links(sort: str, **keep: str) -> dict[str, SortLink]:
    """Column -> its link, which keeps `keep`; symbols go up first, numbers go down first."""
    links = {}
    for name in NAMES:
        on = sort.removeprefix("-") == name
        first = name if name == "symbol" else f"-{name}"
        other = name if first != name else f"-{name}"
        asked = other if sort == first else first
        kept = {key: value for key, value in keep.items() if value}
        way = ("highest first" if sort.startswith("-") else "lowest first") if on else ""
        if on and name == "symbol":
            way = "Z to A" if sort.startswith("-") else "A to Z"
        links[name] = SortLink(urlencode({**kept, "sort": asked}), way, sort.startswith("-"))
    return links
