"""Fixtures of the portfolio tests: a clock, and books to write in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # speedtrade.testing.market.NOON


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still at NOON until a test moves it."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def ledger(clock: time_machine.Traveller, alice: Any) -> Any:
    """Alice's books: deposits, withdrawals and fills go in, figures come out."""
    from portfolio.tests.ledger import Ledger
    from speedtrade.testing.cast import account_of

    return Ledger(alice, account_of(alice), clock)
