"""The JSON doors of the market."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from marketdata import quote_store
from marketdata.services.instruments import instruments_load
from marketdata.tests.factories import make_instrument, make_quote
from speedtrade.testing.cast import ApiClient

pytestmark = pytest.mark.django_db
SPELLINGS = ["BTC/USD", "BTC-USD", "BTCUSD", "BTC%2FUSD", "btc-usd", "BTC/USD/"]


@pytest.fixture
def priced():
    """AAPL and BTC/USD with a price of this moment."""
    now = timezone.now()
    make_instrument("AAPL", name="Apple Inc.")
    make_instrument("BTC/USD", name="Bitcoin")
    quote_store.quotes_put(
        [
            make_quote("AAPL", "200.00", at=now, spread="0.02", prev_close=Decimal("160.00")),
            make_quote("BTC/USD", "64000.10", at=now),
        ]
    )


@pytest.mark.parametrize(
    "path",
    [
        "market/quotes?symbols=AAPL",
        "market/quotes/AAPL",
        "market/bars/AAPL",
        "market/search?q=a",
        "market/movers",
        "market/orderbook/AAPL",
        "market/clock",
    ],
)
def test_every_door_wants_to_know_who_asks(path, priced):
    answer = ApiClient().get(path)
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("door", ["quotes", "bars", "orderbook"])
def test_a_symbol_may_be_written_in_any_way_inside_a_path(api, priced, door, spelling):
    answer = api.get(f"market/{door}/{spelling}")
    assert answer.status_code == 200
    assert answer.json()["symbol"] == "BTC/USD"


def test_a_quote_travels_in_exact_strings(api, priced):
    quote = api.get("market/quotes/aapl").json()
    expected = {"bid": "199.99", "ask": "200.01", "last": "200.00", "prev_close": "160.00"}
    assert {name: quote[name] for name in expected} == expected
    assert (quote["change"], quote["change_pct"]) == ("40.00", "25.0000")
    assert quote["stale"] is False
    assert quote["as_of"].endswith("Z")
    assert {"bid_size", "ask_size", "volume", "open", "day_high", "day_low"} <= set(quote)


def test_an_old_quote_says_that_it_is_stale(api, settings):
    make_instrument("AAPL")
    old = timezone.now() - settings.QUOTE_STALE_AFTER - timedelta(seconds=1)
    quote_store.quotes_put([make_quote("AAPL", "1", at=old)])
    assert api.get("market/quotes/AAPL").json()["stale"] is True
    assert api.get("market/orderbook/AAPL").json()["stale"] is True


def test_quotes_come_in_the_order_asked_for_each_once(api, priced):
    body = api.get("market/quotes?symbols=BTC/USD,AAPL,btc-usd").json()
    assert [quote["symbol"] for quote in body["quotes"]] == ["BTC/USD", "AAPL"]
    assert body["missing"] == []


def test_a_symbol_without_a_price_is_missing(api, priced):
    make_instrument("MSFT")
    body = api.get("market/quotes?symbols=AAPL,MSFT").json()
    assert [quote["symbol"] for quote in body["quotes"]] == ["AAPL"]
    assert body["missing"] == ["MSFT"]
    assert api.get("market/quotes/MSFT").status_code == 503


@pytest.mark.parametrize(
    "path",
    [
        "market/quotes/NOSUCH",
        "market/bars/NOSUCH",
        "market/orderbook/NOSUCH",
        "market/quotes?symbols=AAPL,NOSUCH",
        "market/quotes/A/B/C",
    ],
)
def test_an_unknown_symbol_is_404(api, priced, path):
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_symbol"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("market/bars/AAPL?timeframe=7m", "timeframe"),
        ("market/bars/AAPL?limit=0", "limit"),
        ("market/bars/AAPL?limit=1001", "limit"),
        ("market/bars/AAPL?limit=many", "limit"),
        ("market/bars/AAPL?start=yesterday", "start"),
        ("market/bars/AAPL?end=2026-13-01", "end"),
        ("market/bars/AAPL?end=2026-01-01T00:00:00", "end"),
        ("market/bars/AAPL?start=0001-01-01T00:00:00%2B14:00", "start"),
        ("market/bars/AAPL?start=2026-01-02&end=2026-01-01", "end"),
        ("market/quotes", "symbols"),
        ("market/quotes?symbols=,", "symbols"),
        ("market/quotes?symbols=" + ",".join(["A"] * 101), "symbols"),
        ("market/search", "q"),
        ("market/search?q=" + "a" * 61, "q"),
        ("market/movers?direction=sideways", "direction"),
        ("market/movers?direction=", "direction"),
        ("alerts?limit=many", "limit"),
        ("alerts?limit=0", "limit"),
        ("market/movers?asset_type=bond", "asset_type"),
    ],
)
def test_nonsense_in_the_query_is_a_400_that_names_the_field(api, priced, path, field):
    answer = api.get(path)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m", "1h", "1D"])
def test_bars_come_oldest_first_up_to_now(api, priced, timeframe):
    body = api.get(f"market/bars/AAPL?timeframe={timeframe}&limit=60").json()
    starts = [bar["t"] for bar in body["bars"]]
    assert len(starts) == 60
    assert starts == sorted(starts)
    assert datetime.fromisoformat(starts[-1]) <= timezone.now()
    for bar in body["bars"]:
        low, high = Decimal(bar["l"]), Decimal(bar["h"])
        assert low <= min(Decimal(bar["o"]), Decimal(bar["c"]))
        assert high >= max(Decimal(bar["o"]), Decimal(bar["c"]))


def test_bars_of_a_range_begin_inside_it(api, priced):
    path = (
        "market/bars/AAPL?timeframe=1h&start=2026-01-05T10:00:00Z&end=2026-01-05T12:00:00%2B00:00"
    )
    starts = [bar["t"] for bar in api.get(path).json()["bars"]]
    assert starts == ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z", "2026-01-05T12:00:00Z"]


@pytest.mark.parametrize("query", ["end=1800-01-01", "start=2200-01-01"])
def test_a_range_outside_of_time_has_no_bars(api, priced, query):
    assert api.get(f"market/bars/AAPL?{query}").json()["bars"] == []


def test_movers_are_sorted_both_ways_and_know_only_this_session(api):
    now = timezone.now()
    moved = {"UP": "120", "DOWN": "80", "FLAT": "100", "OLD": "500"}
    for symbol in moved:
        make_instrument(symbol)
    quote_store.quotes_put(
        make_quote(
            symbol,
            last,
            at=now - timedelta(days=2) if symbol == "OLD" else now,
            prev_close=Decimal(100),
        )
        for symbol, last in moved.items()
    )
    gainers = api.get("market/movers").json()
    assert gainers["direction"] == "gainers"
    assert [row["symbol"] for row in gainers["results"]] == ["UP", "FLAT", "DOWN"]
    losers = api.get("market/movers?direction=losers&limit=2").json()
    assert [row["symbol"] for row in losers["results"]] == ["DOWN", "FLAT"]
    assert {"name", "asset_type"} <= set(losers["results"][0])
    assert api.get("market/movers?asset_type=crypto").json()["results"] == []


@pytest.mark.parametrize("blank", ["%20", "%0C", "%C2%A0%20"])
def test_a_search_for_blanks_finds_nothing(api, priced, blank):
    answer = api.get(f"market/search?q={blank}")
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_search_answers_with_the_rules_of_an_instrument(api, priced):
    (found,) = api.get("market/search?q=app").json()["results"]
    assert found["symbol"] == "AAPL"
    assert (found["price_tick"], found["qty_step"]) == ("0.01", "0.000001")
    assert found["halted"] is False


def test_the_book_has_the_best_price_first(api, priced):
    book = api.get("market/orderbook/BTC-USD").json()
    assert book["bids"][0] == {"price": "64000.10", "size": "100"}
    assert book["asks"]


def test_the_clock_knows_both_markets(api, settings):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    body = api.get("market/clock").json()
    assert body["mode"] == "nyse"
    assert body["markets"]["crypto"]["is_open"] is True
    stock = body["markets"]["stock"]
    now = datetime.fromisoformat(body["timestamp"]).replace(tzinfo=UTC)
    opened = datetime.fromisoformat(stock["session_open"])
    closed = datetime.fromisoformat(stock["session_close"])
    assert stock["is_open"] is (opened <= now < closed)


def test_without_redis_prices_are_503_and_the_rest_goes_on(api, priced, redis_away):
    for path in ("market/quotes/AAPL", "market/quotes?symbols=AAPL", "market/orderbook/AAPL"):
        answer = api.get(path)
        assert answer.status_code == 503
        assert answer.json()["code"] == "unavailable"
    assert api.get("market/movers").json()["results"] == []
    assert api.get("market/search?q=a").status_code == 200
    assert api.get("market/bars/AAPL").status_code == 200


def test_a_feed_that_is_switched_off_is_503_for_bars(api, settings):
    make_instrument("AAPL", feed="alpaca")
    assert api.get("market/bars/AAPL").status_code == 503


def test_every_instrument_of_the_file_has_a_simulated_price(api):
    from marketdata.feeds.registry import feed_named
    from marketdata.models import Instrument

    instruments_load()
    symbols = list(Instrument.objects.values_list("symbol", flat=True))
    quotes = feed_named("simulated").poll(symbols, timezone.now())
    assert {quote.symbol for quote in quotes} == set(symbols)
    quote_store.quotes_put(quotes)
    body = api.get("market/quotes?symbols=" + ",".join(symbols[:100])).json()
    assert len(body["quotes"]) == min(100, len(symbols))
