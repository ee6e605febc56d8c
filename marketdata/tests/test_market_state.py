"""Which prices of a closed market are its last close."""

from datetime import UTC, datetime, timedelta

import pytest

from marketdata.selectors import CLOSE_SETTLES, market_clock
from speedtrade.testing.market import quote

OPEN = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)  # a Wednesday; Thursday is Thanksgiving
CLOSE = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
NIGHT = CLOSE + timedelta(hours=8)


@pytest.fixture(autouse=True)
def nyse(settings):
    settings.SIMULATED_MARKET_HOURS = "nyse"


def close_of(as_of, *, now=NIGHT, kind="stock"):
    return market_clock(now)[kind].close_of(quote("AAPL", now=as_of))


@pytest.mark.parametrize(
    "as_of",
    [
        OPEN,
        CLOSE - timedelta(milliseconds=250),  # the last tick of the simulated market
        CLOSE,
        CLOSE + timedelta(seconds=5),  # the auction that ends a session
    ],
)
def test_the_last_price_of_a_session_is_its_close(as_of):
    assert close_of(as_of) == CLOSE


@pytest.mark.parametrize(
    "as_of",
    [
        OPEN - timedelta(milliseconds=1),
        CLOSE + CLOSE_SETTLES,
        CLOSE + timedelta(hours=1),
    ],
)
def test_a_price_from_outside_the_session_is_no_close(as_of):
    assert close_of(as_of) is None


def test_before_the_open_a_price_that_moves_is_no_close():
    friday = datetime(2026, 11, 27, 13, 0, tzinfo=UTC)  # 8:00 in New York
    assert close_of(friday, now=friday) is None
    assert close_of(CLOSE, now=friday) == CLOSE


def test_an_open_market_has_no_close():
    now = CLOSE - timedelta(minutes=1)
    assert close_of(now, now=now) is None
    assert close_of(NIGHT, kind="crypto") is None
    assert market_clock(NIGHT)["stock"].close_of(None) is None
