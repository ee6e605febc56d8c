"""Fixtures of the trading tests: a desk with a clock of its own.

Django is imported inside the fixtures: this module is loaded before the settings exist.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # speedtrade.testing.market.NOON


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still at NOON until a test moves it."""
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def desk(clock: time_machine.Traveller, alice: Any) -> Any:
    """Alice at the paper venue, with AAPL at 99.99 / 100.00 and a hundred shares on each side."""
    from speedtrade.testing.cast import account_of
    from trading.tests.desk import Desk

    made = Desk(alice, account_of(alice), clock)
    made.quote("99.99", "100.00")
    return made


@pytest.fixture
def coins(desk: Any) -> Any:
    """The same desk, where BTC/USD costs 50,000."""
    desk.quote("49990.00", "50000.00", "2", symbol="BTC/USD")
    return desk
