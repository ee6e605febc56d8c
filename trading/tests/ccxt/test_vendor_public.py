"""The Kraken-like vendor tells prices in a way that the unmodified package understands."""

import time
from collections.abc import Iterator
from decimal import Decimal

import ccxt
import pytest

from speedtrade.testing.vendors.faults import drop_after, gateway, hang_after, refuse
from speedtrade.testing.vendors.kraken import KrakenVendor


@pytest.fixture
def vendor() -> Iterator[KrakenVendor]:
    with KrakenVendor() as vendor:
        yield vendor


@pytest.fixture
def kraken(vendor: KrakenVendor) -> ccxt.kraken:
    return ccxt.kraken({"urls": {"api": vendor.urls}, "enableRateLimit": False, "timeout": 3000})


def test_markets_carry_the_rules_of_each_pair(kraken: ccxt.kraken) -> None:
    kraken.load_markets()
    market = kraken.market("BTC/USD")
    assert market["id"] == "XXBTZUSD" and market["active"]
    assert market["precision"] == {"amount": 1e-8, "price": 0.1}
    assert market["limits"]["amount"]["min"] == 0.00005
    assert market["limits"]["cost"]["min"] == 0.5
    assert "DOGE/USD" in kraken.markets


def test_a_price_shows_in_the_ticker_and_in_the_book(
    vendor: KrakenVendor, kraken: ccxt.kraken
) -> None:
    vendor.price("BTC/USD", "50000", "50000.2")
    ticker = kraken.fetch_ticker("BTC/USD")
    assert (ticker["bid"], ticker["ask"], ticker["last"]) == (50000.0, 50000.2, 50000.0)
    book = kraken.fetch_order_book("BTC/USD", 2)
    assert [row[:2] for row in book["asks"]] == [[50000.2, 1.5], [50000.3, 3.0]]
    vendor.book("BTC/USD", [(Decimal(1), Decimal(2))], [(Decimal(3), Decimal(4))])
    assert kraken.fetch_order_book("BTC/USD")["bids"][0][:2] == [1.0, 2.0]
    assert set(kraken.fetch_tickers(["BTC/USD", "ETH/USD"])) == {"BTC/USD", "ETH/USD"}


def test_candles_and_trades_come_back_as_they_were_set(
    vendor: KrakenVendor, kraken: ccxt.kraken
) -> None:
    vendor.candles("ETH/USD", 1, [[60 * n, 1, 3, 0.5, 2, 7] for n in range(1, 1001)])
    bars = kraken.fetch_ohlcv("ETH/USD", "1m")
    assert len(bars) == 720 and bars[-1] == [60_000_000, 1, 3, 0.5, 2, 7]
    assert len(kraken.fetch_ohlcv("ETH/USD", "1m", since=59_940_000)) == 2
    assert kraken.fetch_ohlcv("ETH/USD", "5m") == []
    vendor.trade("ETH/USD", "2301.5", "0.25", "sell")
    [trade] = kraken.fetch_trades("ETH/USD")
    assert (trade["price"], trade["amount"], trade["side"]) == (2301.5, 0.25, "sell")


def test_the_clock_can_be_off_and_the_venue_can_be_shut(
    vendor: KrakenVendor, kraken: ccxt.kraken
) -> None:
    vendor.clock_offset = 10
    assert 8_000 < kraken.fetch_time() - time.time() * 1000 < 11_000
    vendor.status = "maintenance"
    assert kraken.fetch_status()["status"] == "maintenance"


def test_an_unknown_pair_is_refused_in_the_words_of_the_venue(kraken: ccxt.kraken) -> None:
    with pytest.raises(ccxt.ExchangeError, match="EQuery:Unknown asset pair"):
        kraken.publicGetTicker({"pair": "NOPE"})
    with pytest.raises(ccxt.ExchangeError, match="Unknown method"):
        kraken.publicGetSpread({"pair": "XBTUSD"})


def test_faults_hit_the_call_that_they_were_planned_for(
    vendor: KrakenVendor, kraken: ccxt.kraken
) -> None:
    kraken.load_markets()
    vendor.faults.add("Ticker", refuse("EAPI:Rate limit exceeded"), nth=2)
    kraken.fetch_ticker("BTC/USD")
    with pytest.raises(ccxt.DDoSProtection):
        kraken.fetch_ticker("BTC/USD")
    kraken.fetch_ticker("BTC/USD")
    for fault, error in (
        (drop_after(), ccxt.NetworkError),
        (hang_after(), ccxt.RequestTimeout),
        (gateway(502), ccxt.ExchangeNotAvailable),
        (gateway(504), ccxt.RequestTimeout),
    ):
        vendor.faults.add("Ticker", fault)
        with pytest.raises(error):
            kraken.fetch_ticker("BTC/USD")
    vendor.faults.clear()
    assert kraken.fetch_ticker("BTC/USD")["bid"]
