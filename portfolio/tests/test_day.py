"""Since when the day of an account counts: from the close that its quotes compare with."""

from decimal import Decimal
from typing import Any

import pytest

from portfolio.selectors import summary_get
from portfolio.tests.ledger import Ledger
from speedtrade.testing.market import put_quote, quote

D = Decimal
CLOSED, BEFORE = "2026-11-17T21:00:00Z", "2026-11-17T20:59:59Z"  # Tuesday, 16:00 in New York
OPEN = "2026-11-18T15:00:00Z"  # Wednesday, 10:00


def day_pl(ledger: Ledger, symbol: str, bought_at: str, now: str) -> Decimal:
    """10 bought at 105 after (or before) a close of 100; the last price is 106."""
    ledger.clock.move_to(bought_at)
    ledger.fill("buy", "10", "105", symbol=symbol)
    ledger.clock.move_to(now)
    put_quote(quote(symbol, "105.99", "106.00", now=ledger.now, prev_close="100.00"))
    return summary_get(account=ledger.account, now=ledger.now).day_pl


@pytest.mark.parametrize(
    "bought_at, won",
    [
        (BEFORE, "60"),  # held at the close: all that the price moved since
        (CLOSED, "10"),  # after hours, before the open and in the session: what it cost counts
        ("2026-11-18T13:00:00Z", "10"),
        ("2026-11-18T14:35:00Z", "10"),
    ],
)
def test_a_stock_bought_after_the_close_was_not_held_at_it(
    ledger: Ledger, settings: Any, bought_at: str, won: str
):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    assert day_pl(ledger, "AAPL", bought_at, OPEN) == D(won)


def test_before_the_open_the_day_is_still_that_of_the_last_session(ledger: Ledger, settings: Any):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    assert day_pl(ledger, "AAPL", BEFORE, "2026-11-18T13:00:00Z") == D(10)


@pytest.mark.parametrize("hours", ["nyse", "always"])
@pytest.mark.parametrize(
    "bought_at, won", [("2026-11-17T23:59:59Z", "60"), ("2026-11-18T00:00:00Z", "10")]
)
def test_the_day_of_a_coin_begins_at_midnight_utc(
    ledger: Ledger, settings: Any, hours: str, bought_at: str, won: str
):
    settings.SIMULATED_MARKET_HOURS = hours
    assert day_pl(ledger, "BTC/USD", bought_at, OPEN) == D(won)
