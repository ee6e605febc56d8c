"""The data file: what is listed, and the laws each row keeps."""

import json
from collections import Counter
from decimal import Decimal

import pytest

from marketdata.domain.symbols import symbol_candidates
from marketdata.feeds.simulated import profiles
from marketdata.feeds.simulated.profiles import load_instruments, load_profiles
from marketdata.feeds.simulated.walk import MIN_TICKS

INSTRUMENTS = load_instruments()
by_symbol = pytest.mark.parametrize("spec", INSTRUMENTS, ids=lambda spec: spec.symbol)


def decimals(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))


def test_enough_stocks_and_coins_are_listed():
    count = Counter(spec.asset_type for spec in INSTRUMENTS)
    assert count["stock"] >= 65
    assert count["crypto"] >= 12
    known = {"AAPL", "MSFT", "NVDA", "SPY", "QQQ", "BRK.B", "BTC/USD", "ETH/USD", "DOGE/USD"}
    assert known <= set(load_profiles())


def test_no_symbol_stands_twice():
    assert max(Counter(spec.symbol for spec in INSTRUMENTS).values()) == 1


@by_symbol
def test_quantity_times_price_fits_eight_decimals(spec):
    assert decimals(spec.price_tick) + decimals(spec.qty_step) <= 8
    assert spec.min_qty > 0
    assert spec.min_qty % spec.qty_step == 0
    assert spec.min_notional > 0


@by_symbol
def test_the_listing_agrees_with_itself(spec):
    assert (spec.exchange == "CRYPTO") == (spec.asset_type == "crypto")
    assert spec.fractionable == (spec.qty_step < 1 or spec.asset_type == "crypto")
    assert not (spec.shortable and spec.asset_type == "crypto")
    assert spec.tradable
    assert spec.name and spec.sector
    assert spec.symbol in symbol_candidates(spec.symbol)
    assert ("/" in spec.symbol) == (spec.asset_type == "crypto")


@by_symbol
def test_the_profile_is_plausible(spec):
    profile = spec.profile
    assert profile.anchor_price % profile.price_tick == 0
    assert profile.anchor_price / profile.price_tick > 4 * MIN_TICKS
    assert profile.typical_size % profile.size_step == 0
    assert profile.size_step % spec.qty_step == 0
    assert 0.03 < profile.annual_volatility < 1.5
    assert 0 < profile.spread_bps < 20
    # A small order finds its size at the best price; a very large one does not.
    assert 10_000 < profile.anchor_price * profile.typical_size < 200_000
    assert profile.daily_volume > 50 * profile.typical_size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asset_type": "bond"}, "asset type"),
        ({"market_weight": "0.9", "sector_weight": "0.9"}, "more than the whole"),
        ({}, "stands twice"),
    ],
)
def test_a_bad_row_of_the_data_file_is_refused(tmp_path, monkeypatch, change, message):
    document = json.loads(profiles.DATA_FILE.read_text())
    row = document["instruments"][0]
    document["instruments"] = [row, row | change]
    broken = tmp_path / "instruments.json"
    broken.write_text(json.dumps(document))
    monkeypatch.setattr(profiles, "DATA_FILE", broken)
    with pytest.raises(ValueError, match=message):
        # Past the cache, which other tests share.
        load_instruments.__wrapped__()


def test_the_anchor_is_the_last_day_of_a_year(tmp_path, monkeypatch):
    document = json.loads(profiles.DATA_FILE.read_text()) | {"anchor_day": "2026-01-02"}
    broken = tmp_path / "instruments.json"
    broken.write_text(json.dumps(document))
    monkeypatch.setattr(profiles, "DATA_FILE", broken)
    with pytest.raises(ValueError, match="last day of a year"):
        load_instruments.__wrapped__()
