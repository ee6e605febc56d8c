"""What venues list becomes our instruments: which feed prices which, by whose rules."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketdata import quote_store
from marketdata.feeds.base import FeedFailed, FeedState, Listing
from marketdata.models import Instrument
from marketdata.services.instruments import instrument_halt, instruments_load
from marketdata.services.listings import claims_of, listings_apply
from marketdata.tests.factories import make_instrument, make_quote

pytestmark = pytest.mark.django_db
D = Decimal
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def listing(symbol, **changes):
    coin = "/" in symbol
    values = {
        "symbol": symbol,
        "name": "",
        "asset_type": "crypto" if coin else "stock",
        "exchange": "Kraken" if coin else "NASDAQ",
        "price_tick": D("0.1") if coin else D("0.01"),
        "qty_step": D("0.0000001") if coin else D("0.000001"),
        "min_qty": D("0.00005"),
        "min_notional": D("0.5"),
        "fractionable": True,
        "shortable": False,
    }
    return Listing(**{**values, **changes})


STOCKS = [listing("AAPL", name="Apple Inc. Common Stock"), listing("ZZTOP", name="ZZ Top Corp")]
COINS = [listing("BTC/USD"), listing("NEWCOIN/USD")]


@pytest.fixture
def all_three(settings):
    settings.MARKET_DATA_FEEDS = ["alpaca", "ccxt:kraken", "simulated"]
    instruments_load()


def row(symbol):
    return Instrument.objects.get(symbol=symbol)


def apply(alpaca=STOCKS, kraken=COINS):
    return listings_apply({"alpaca": alpaca, "ccxt:kraken": kraken})


def test_each_instrument_has_the_first_feed_that_lists_it(all_three):
    new, total = apply()
    assert (new, total) == (2, Instrument.objects.count())
    assert (row("AAPL").feed, row("BTC/USD").feed) == ("alpaca", "ccxt:kraken")
    assert (row("MSFT").feed, row("MSFT").tradable) == ("simulated", True)
    coin = row("BTC/USD")
    assert (coin.price_tick, coin.qty_step, coin.min_qty) == (D("0.1"), D("1e-7"), D("0.00005"))
    assert (coin.name, coin.exchange) == ("Bitcoin", "Kraken")
    assert (row("AAPL").name, row("ZZTOP").name) == ("Apple Inc.", "ZZ Top Corp")
    assert row("NEWCOIN/USD").name == "NEWCOIN"


def test_without_the_simulated_feed_what_no_venue_lists_is_not_tradable(all_three, settings):
    apply()
    settings.MARKET_DATA_FEEDS = ["alpaca", "ccxt"]
    apply()
    assert (row("MSFT").feed, row("MSFT").tradable) == ("", False)
    assert (row("AAPL").feed, row("AAPL").tradable) == ("alpaca", True)
    settings.MARKET_DATA_FEEDS = ["simulated"]
    instruments_load()
    assert {r.feed for r in Instrument.objects.filter(tradable=True)} == {"simulated"}
    assert (row("ZZTOP").feed, row("ZZTOP").tradable) == ("", False)


def test_a_fresh_installation_without_the_simulated_feed_trades_nothing_before_a_venue_answers(
    settings,
):
    settings.MARKET_DATA_FEEDS = ["alpaca"]
    new, total = instruments_load()
    assert new == total > 60
    assert not Instrument.objects.filter(tradable=True).exists()
    listings_apply({"alpaca": STOCKS})
    assert set(Instrument.objects.filter(tradable=True).values_list("symbol", flat=True)) == {
        "AAPL",
        "ZZTOP",
    }


def test_what_a_venue_drops_stays_and_never_becomes_a_simulated_price(all_three):
    apply()
    apply(alpaca=STOCKS[1:])
    assert (row("AAPL").feed, row("AAPL").tradable) == ("alpaca", False)
    apply()
    assert row("AAPL").tradable


@pytest.mark.parametrize("answer", [None, []])
def test_a_venue_that_does_not_answer_or_lists_nothing_keeps_what_it_has(all_three, answer):
    apply()
    apply(alpaca=answer, kraken=[*COINS, listing("THIRD/USD")])
    assert (row("AAPL").feed, row("AAPL").tradable) == ("alpaca", True)
    assert row("THIRD/USD").tradable


def test_a_restart_that_asks_no_venue_changes_nothing(all_three):
    apply()
    before = list(Instrument.objects.order_by("pk").values())
    assert instruments_load() == (0, len(before))
    assert list(Instrument.objects.order_by("pk").values()) == before


def test_rules_follow_the_venue_and_a_halt_stays(all_three, user):
    apply()
    instrument_halt(symbol="BTC/USD", actor=user, reason="news", now=NOW)
    apply(kraken=[listing("BTC/USD", min_qty=D("0.0002")), COINS[1]])
    coin = row("BTC/USD")
    assert (coin.min_qty, coin.halt_reason) == (D("0.0002"), "news")


def test_a_symbol_never_changes_its_kind(all_three):
    make_instrument("ODD", asset_type="crypto", feed="")
    apply(alpaca=[*STOCKS, listing("ODD")])
    assert (row("ODD").asset_type, row("ODD").feed) == ("crypto", "")


def test_the_quote_of_the_former_source_goes(all_three, django_capture_on_commit_callbacks):
    quote_store.quotes_put([make_quote("AAPL", "10", at=NOW), make_quote("MSFT", "10", at=NOW)])
    with django_capture_on_commit_callbacks(execute=True):
        apply()
    assert set(quote_store.quotes_all()) == {"MSFT"}


def test_thousands_of_assets_take_few_queries_and_none_when_nothing_changed(
    all_three, django_assert_max_num_queries
):
    many = [listing(f"X{number}", name=f"Number {number}") for number in range(5_000)]
    with django_assert_max_num_queries(30):
        assert apply(alpaca=[*STOCKS, *many])[0] == 5_002
    with django_assert_max_num_queries(4):
        assert apply(alpaca=[*STOCKS, *many])[0] == 0


class Vendor:
    name, label, hours = "alpaca", "Alpaca IEX", None

    def __init__(self, answer):
        self.answer = answer

    def start(self): ...
    def stop(self): ...
    def watch(self, watched, others): ...
    def poll(self, symbols, now): ...
    def bars(self, symbol, timeframe, *, start, end, limit, now): ...
    def state(self, now):
        return FeedState(True)

    def listings(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_vendor_that_fails_is_known_as_silent():
    assert claims_of([Vendor(STOCKS)]) == {"alpaca": STOCKS}
    assert claims_of([Vendor(FeedFailed("away"))]) == {"alpaca": None}
    assert claims_of([object()]) == {}
