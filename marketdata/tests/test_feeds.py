"""Which feeds this installation runs."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ImproperlyConfigured

from marketdata.checks import feeds_exist
from marketdata.feeds.registry import feed_for, feed_named, feeds_running
from marketdata.models import Instrument
from speedtrade.lib.errors import Unavailable

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_the_simulated_feed_prices_what_it_knows_and_leaves_out_the_rest():
    feed = feed_for(Instrument(symbol="AAPL", feed="simulated"))
    assert feed.name == "simulated"
    assert feed.label == "Simulated"
    assert [quote.symbol for quote in feed.poll(["AAPL", "NOSUCH"], NOW)] == ["AAPL"]
    assert feed.bars("NOSUCH", "1m", start=None, end=NOW, limit=5, now=NOW) == []
    assert len(feed.bars("AAPL", "1m", start=None, end=NOW, limit=5, now=NOW)) == 5


def test_there_is_one_feed_of_each_name_in_a_process():
    assert feed_named("simulated") is feeds_running()[0]


def test_an_instrument_of_a_feed_that_is_not_run_here_is_unavailable():
    with pytest.raises(Unavailable):
        feed_for(Instrument(symbol="AAPL", feed="alpaca"))


def test_a_feed_that_does_not_exist_is_a_broken_setting(settings):
    with pytest.raises(ImproperlyConfigured, match="nosuch"):
        feed_named("nosuch")
    settings.MARKET_DATA_FEEDS = ["simulated", "nosuch"]
    assert [error.id for error in feeds_exist()] == ["marketdata.E001"]
    settings.MARKET_DATA_FEEDS = []
    assert [error.id for error in feeds_exist()] == ["marketdata.E001"]
    settings.MARKET_DATA_FEEDS = ["simulated"]
    assert feeds_exist() == []
