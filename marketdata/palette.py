"""What the palette offers beside symbols: the pages of the house, each with its key."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """A page to go to: its words, the name of its address, its icon, its key."""

    title: str
    url_name: str
    icon: str
    keys: str = ""
    also: str = ""  # other words that people use for it


PLACES: Final = (
    Place("Dashboard", "portfolio:dashboard", "home", "g d", "home"),
    Place("Markets", "marketdata:markets", "markets", "g m", "stocks coins movers"),
    Place("Watchlists", "marketdata:watchlists", "star", "g w", "lists"),
    Place("Alerts", "marketdata:alerts", "bell", "g l", "notify price bell"),
    Place("Portfolio", "portfolio:portfolio", "portfolio", "g p", "holdings positions lots"),
    Place("Orders", "trading:orders", "orders", "g o", "history"),
    Place("Activity", "portfolio:activity", "activity", "g a", "ledger fills"),
    Place("Statements", "portfolio:statements", "activity", "", "months print csv"),
    Place("Taxes", "portfolio:taxes", "activity", "", "sales gains lots 8949 csv"),
    Place("Deposit or withdraw", "portfolio:transfers", "wallet", "", "cash transfer paper"),
    Place("Learn", "learn", "book", "", "help terms concepts what is"),
    Place("Developers", "accounts:developers", "account", "", "api keys curl scripts"),
    Place("Account and settings", "accounts:settings", "account", "", "theme password profile"),
)


def places_for(text: str) -> list[Place]:
    """The pages whose words begin with what was typed; all of them for nothing."""
    typed = text.strip().lower()
    return [
        place
        for place in PLACES
        if any(word.startswith(typed) for word in f"{place.title} {place.also}".lower().split())
    ]
