"""Tables whose columns a person chooses: what there is, what is shown unless they chose.

The first column, the symbol, is in none of these: it always stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from speedtrade.lib.errors import FieldError, InvalidInput


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one table, in the order in which they stand: name -> head."""

    name: str
    columns: Mapping[str, str]
    usual: tuple[str, ...]

    def chosen(self, names: Iterable[str]) -> list[str]:
        """These columns in the order of the table; raises InvalidInput for one it does not have."""
        wanted = set(names)
        if unknown := sorted(wanted - self.columns.keys()):
            detail = f"This table has no column {unknown[0][:20]!r}."
            raise InvalidInput(detail, errors=[FieldError("column", "invalid", detail)])
        return [name for name in self.columns if name in wanted]

    def shown_to(self, kept: Mapping[str, list[str]]) -> tuple[str, ...]:
        """What somebody sees who keeps `kept` (table -> columns); a column that is gone is not."""
        names = kept.get(self.name)
        if names is None:
            return self.usual
        return tuple(name for name in self.columns if name in names)

    def choices(self, kept: Mapping[str, list[str]]) -> list[tuple[str, str, bool]]:
        """(name, head, is it shown) of each column, for the boxes to tick."""
        shown = self.shown_to(kept)
        return [(name, head, name in shown) for name, head in self.columns.items()]


HOLDINGS: Final = Table(
    "holdings",
    {
        "price": "Price",
        "cost": "Average cost",
        "paid": "Total cost",
        "value": "Value",
        "return": "Return",
        "day": "Today",
        "share": "Share",
        "realised": "Realised",
    },
    usual=("price", "cost", "value", "return", "day", "share"),
)
WATCHLIST: Final = Table(
    "watchlist",
    {
        "line": "Line of the day",
        "price": "Price and today",
        "bid": "Bid",
        "ask": "Ask",
        "range": "Day's range",
        "prev_close": "Previous close",
        "volume": "Volume",
    },
    usual=("line", "price", "bid", "ask", "volume"),
)
TABLES: Final = {table.name: table for table in (HOLDINGS, WATCHLIST)}
