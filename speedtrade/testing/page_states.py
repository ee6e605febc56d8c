"""The states that a page can be in: one template each, and where a browser meets each.

A template is `templates/states/_<state>.html`, its element has `data-state="<state>"`. The style
guide shows each, `templates/README.md` lists them, and the browser matrix goes through VISITS; a
test keeps the four alike.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from marketdata.domain.calendar import next_session

#: What the web server of another time is told, beside its time.
NYSE_HOURS = {"SIMULATED_MARKET_HOURS": "nyse"}


@dataclass(frozen=True, slots=True)
class Visit:
    """Who of `speedtrade.testing.states` sees a state where, and what it says there.

    `lever` is what a test must do to the product first, a function of tests/e2e/levers.py; nothing
    where the person's world is in that state already.
    """

    who: str
    address: str
    words: str
    lever: str = "nothing"


#: Two shapes of one state (a pill, a banner) are two visits.
VISITS: dict[str, tuple[Visit, ...]] = {
    "loading": (Visit("mixed", "/markets/AAPL", "", "bars_held"),),
    "empty": (
        Visit("empty", "/orders", "No open orders"),
        Visit("broke", "/dashboard", "There is nothing here yet"),
    ),
    "nothing": (Visit("empty", "/dashboard", "Nothing is waiting."),),
    "panel_error": (
        Visit("mixed", "/markets/AAPL", "Couldn't load order book. Request ", "book_refused"),
        Visit("mixed", "/markets/AAPL", "Couldn't load the chart. Request ", "bars_refused"),
    ),
    "market": (
        Visit("mixed", "/markets/AAPL", "Pre-market · opens ", "before_the_open"),
        Visit("mixed", "/markets", "Stocks after hours · opens ", "after_the_close"),
        Visit("mixed", "/dashboard", "Market closed · opens ", "at_night"),
        Visit("mixed", "/markets/BTC-USD", "Market open"),
    ),
    "queues": (Visit("mixed", "/markets/AAPL", "An order is queued until ", "at_night"),),
    "stale": (
        Visit("mixed", "/markets/ZOLD", "Not live"),
        Visit("mixed", "/markets/ZOLD/ticket?amount=1", "Market orders are refused"),
    ),
    "disconnected": (
        Visit("mixed", "/dashboard", "Live prices paused, reconnecting", "socket_refused"),
    ),
    "simulated": (
        Visit("nobody", "/", "Simulated"),
        Visit("mixed", "/markets/AAPL", "Simulated"),
    ),
    "account": (
        Visit("connected", "/settings/brokers/{error}", "This account has an error."),
        Visit("connected", "/portfolio?account_id={error}", "This account has an error."),
    ),
    "frozen": (Visit("frozen", "/dashboard", "This account is frozen. A document is missing."),),
    "halted": (Visit("mixed", "/markets/HYG", "HYG is halted. News is pending."),),
    "no_orders": (
        Visit("mixed", "/markets/HYG", "No orders here for now."),
        Visit("frozen", "/markets/AAPL", "No orders here for now."),
        Visit("mixed", "/markets/AAPL", "No orders here for now.", "trading_halted"),
    ),
    "maintenance": (
        Visit("mixed", "/dashboard", "Trading is halted: A drill.", "trading_halted"),
        Visit("empty", "/settings", "cancels still work", "trading_halted"),
    ),
}


def moments(now: datetime) -> dict[str, datetime]:
    """When the stock market is in a state, by the lever that goes there; at its next session."""
    session = next_session(now)
    return {
        "before_the_open": session.open - timedelta(hours=1),
        "after_the_close": session.close + timedelta(hours=1),
        "at_night": session.open - timedelta(hours=8),
    }
