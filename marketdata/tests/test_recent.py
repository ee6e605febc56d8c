"""What a tab looked at last stands first in the palette."""

import re
from typing import Any

import pytest
from django.test import Client

from marketdata.views import RECENT
from speedtrade.testing.cast import page_client
from speedtrade.testing.market import instrument

pytestmark = pytest.mark.django_db


def offered(web: Client, recent: str, q: str = "") -> tuple[list[str], int]:
    """(symbols of the palette in order, how many are marked as recent)."""
    asked = {"as": "options", "q": q, "recent": recent}
    html = web.get("/search", asked).content.decode()
    return re.findall(r'data-href="/markets/([^"]+)"', html), html.count(" Recent</span>")


@pytest.fixture
def web(alice: Any) -> Client:
    for symbol in ("AAPL", "KO", "BTC/USD"):
        instrument(symbol)
    return page_client(alice)


def test_the_palette_begins_with_what_was_looked_at_last(web: Client):
    assert offered(web, "AAPL,BTC/USD,KO") == (["AAPL", "BTC-USD", "KO"], 3)
    assert offered(web, "AAPL", "ko") == (["KO"], 0)


def test_a_starred_symbol_that_is_recent_is_offered_once(web: Client):
    for symbol in ("KO", "AAPL"):
        web.post("/watchlist/add", {"symbol": symbol})
    found, marked = offered(web, "AAPL")
    assert found[0] == "AAPL" and found.count("AAPL") == 1 and "KO" in found and marked == 1


def test_what_is_no_symbol_is_passed_over_and_so_is_what_is_too_much(web: Client):
    assert offered(web, "<script>,,NOSUCH,KO")[1] == 1
    for n in range(RECENT + 2):
        instrument(f"S{n}")
    assert offered(web, ",".join(f"S{n}" for n in range(RECENT + 2)))[1] == RECENT
