"""However a person writes a symbol, we find it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.symbols import symbol_candidates, symbol_slug


@pytest.mark.parametrize("text", ["BTC/USD", "BTC-USD", "BTCUSD", "btc_usd", " btc/usd "])
def test_every_way_to_write_a_coin_finds_it(text):
    assert "BTC/USD" in symbol_candidates(text)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("AAPL", ("AAPL",)),
        ("aapl", ("AAPL",)),
        ("BRK.B", ("BRK.B",)),
        ("brk-b", ("BRK-B", "BRK.B")),
        ("BTC/USDT", ("BTC/USDT",)),
        ("BTCUSDT", ("BTCUSDT", "BTC/USDT")),
        ("USD", ("USD",)),
    ],
)
def test_candidates_come_most_literal_first(text, candidates):
    assert symbol_candidates(text) == candidates


@pytest.mark.parametrize("text", ["", " ", "A B", "A/B/C", "/USD", "ß", "٣", "A" * 25, "<b>"])
def test_what_cannot_be_a_symbol_has_no_candidates(text):
    assert symbol_candidates(text) == ()


@given(st.text())
def test_any_text_is_answered(text):
    for candidate in symbol_candidates(text):
        assert candidate.isascii()
        assert candidate == candidate.upper()


def test_the_slug_of_a_symbol_leads_back_to_it():
    assert symbol_slug("BTC/USD") == "BTC-USD"
    assert symbol_slug("BRK.B") == "BRK.B"
    assert "BTC/USD" in symbol_candidates(symbol_slug("BTC/USD"))
