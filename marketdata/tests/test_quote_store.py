"""The last quotes, in Redis."""

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from redis.exceptions import RedisError

from marketdata import quote_store
from marketdata.tests.factories import make_quote
from speedtrade.lib.redis import redis_client

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def test_a_quote_comes_back_as_it_went_in_depth_included():
    quote = make_quote("BTC/USD", "64000.10", at=NOW)
    quote_store.quotes_put([quote])
    assert quote_store.quote_get("BTC/USD") == quote
    assert quote_store.quotes_get(["BTC/USD", "NOSUCH"]) == {"BTC/USD": quote}
    assert quote_store.quotes_all() == {"BTC/USD": quote}


def test_a_batch_is_one_message_without_depth():
    pubsub = redis_client().pubsub()
    pubsub.subscribe(quote_store.TICKS_CHANNEL)
    assert pubsub.get_message(timeout=2)["type"] == "subscribe"
    quote_store.quotes_put([make_quote("AAPL", "1", at=NOW), make_quote("MSFT", "2", at=NOW)])
    wires = json.loads(pubsub.get_message(timeout=2)["data"])
    assert [wire["symbol"] for wire in wires] == ["AAPL", "MSFT"]
    assert all("bids" not in wire and "asks" not in wire for wire in wires)
    assert wires[1]["last"] == "2"
    assert pubsub.get_message(timeout=0.01) is None
    pubsub.close()


def test_an_empty_batch_still_beats():
    quote_store.quotes_put([], beat=NOW)
    assert quote_store.feed_heartbeat() == NOW


def test_interest_in_a_symbol_fades(settings):
    quote_store.watched_touch(["AAPL"], NOW - settings.WATCHED_FOR - timedelta(seconds=1))
    quote_store.watched_touch(["BTC/USD"], NOW - settings.WATCHED_FOR)
    assert quote_store.watched_symbols(NOW) == {"BTC/USD"}
    assert redis_client().zcard(quote_store.WATCHED_KEY) == 1


def test_what_is_no_quote_is_skipped_and_said(caplog):
    quote_store.quotes_put([make_quote("AAPL", "1", at=NOW)])
    redis_client().hset(quote_store.QUOTES_KEY, mapping={"BAD": '{"symbol": "BAD"}', "WORSE": "{"})
    assert set(quote_store.quotes_all()) == {"AAPL"}
    assert sum(record.getMessage() == "quote_unreadable" for record in caplog.records) == 2


def test_last_prices_are_those_of_the_quotes(caplog):
    quote = make_quote("SHIB/USD", "0.00001234", at=NOW)
    quote_store.quotes_put([make_quote("AAPL", "1", at=NOW), quote])
    bad = json.dumps({"last": "1e5", "prev_close": "1", "as_of": "2026-01-05T14:30:00Z"})
    redis_client().hset(quote_store.QUOTES_KEY, mapping={"BAD": bad, "WORSE": "{"})
    found = quote_store.last_prices(["BAD", "SHIB/USD", "NONE", "WORSE", "AAPL"])
    assert set(found) == {"SHIB/USD", "AAPL"}
    kept = quote_store.quotes_get(["SHIB/USD"])["SHIB/USD"]
    assert found["SHIB/USD"] == (kept.last, kept.prev_close, kept.as_of)
    assert sum(record.getMessage() == "quote_unreadable" for record in caplog.records) == 2


def test_without_redis_readers_get_nothing_and_writers_an_error(redis_away, caplog):
    assert quote_store.quote_get("AAPL") is None
    assert quote_store.quotes_all() == quote_store.last_prices(["AAPL"]) == {}
    assert quote_store.feed_heartbeat() is None
    quote_store.watched_touch(["AAPL"], NOW)
    assert "quote_store_away" in caplog.text
    with pytest.raises(RedisError):
        quote_store.quotes_put([make_quote("AAPL", "1", at=NOW)], beat=NOW)
    with pytest.raises(RedisError):
        quote_store.watched_symbols(NOW)


def test_numbers_keep_every_digit():
    quote = make_quote("SHIB/USD", "0.00001234", at=NOW)
    quote_store.quotes_put([quote])
    assert quote_store.quote_get("SHIB/USD").last == Decimal("0.00001234")


def test_after_a_failure_readers_do_not_ask_for_a_while(redis_away, caplog):
    assert quote_store.quote_get("AAPL") is None
    caplog.clear()
    assert quote_store.quotes_all() == {}
    assert "quote_store_away" not in caplog.text  # it was not asked


def test_the_readers_ask_again_after_the_pause(monkeypatch):
    quote_store.quotes_put([make_quote("AAPL", "1", at=NOW)])
    monkeypatch.setattr("speedtrade.lib.redis._rest_until", time.monotonic() + 60)
    assert quote_store.quote_get("AAPL") is None
    monkeypatch.setattr("speedtrade.lib.redis._rest_until", time.monotonic())
    assert quote_store.quote_get("AAPL") is not None
