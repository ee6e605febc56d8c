"""The pages of the market, with and without JavaScript."""

import gzip
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketdata import panels, quote_store
from marketdata.models import WatchlistItem
from speedtrade.testing.cast import ApiClient, page_client
from speedtrade.testing.market import instrument, put_quote, quote

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def reader(alice: Any) -> Client:
    return page_client(alice)


@pytest.fixture
def market() -> None:
    instrument("AAPL", name="Apple Inc.")
    instrument("MSFT", name="Microsoft Corporation")
    instrument("BTC/USD", name="Bitcoin")
    now = timezone.now()
    put_quote(quote("AAPL", "101.99", "102.00", now=now, prev_close="100.00"))
    put_quote(quote("BTC/USD", "89.99", "90.00", now=now, prev_close="100.00"))


def shown(response: Any) -> list[str]:
    """The symbols of the table, as they stand in it."""
    return [row["instrument"].symbol for row in response.context["found"]]


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return str(response.content.decode())


def test_markets_lists_everything_with_its_price(reader: Client, market: None) -> None:
    text = text_of(reader.get("/markets"))
    assert all(f'href="/markets/{slug}"' in text for slug in ("AAPL", "MSFT", "BTC-USD"))
    assert "$102.00" in text and "+2.00%" in text and "−10.00%" in text
    assert 'data-symbol="BTC/USD" data-f="last"' in text


def test_movers_show_only_what_moved_that_way(reader: Client, market: None) -> None:
    context = reader.get("/markets").context
    assert [row["instrument"].symbol for row in context["gainers"]] == ["AAPL"]
    assert [row["instrument"].symbol for row in context["losers"]] == ["BTC/USD"]


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("?type=crypto", ["BTC/USD"]),
        ("?type=stock", ["AAPL", "MSFT"]),
        ("?type=x", ["AAPL", "BTC/USD", "MSFT"]),
    ],
)
def test_markets_can_be_narrowed_to_a_kind(
    reader: Client, market: None, query: str, symbols: list[str]
) -> None:
    assert shown(reader.get(f"/markets{query}")) == symbols


@pytest.mark.parametrize(
    ("sort", "symbols"),
    [
        ("-symbol", ["MSFT", "BTC/USD", "AAPL"]),
        ("-price", ["AAPL", "BTC/USD", "MSFT"]),
        ("price", ["BTC/USD", "AAPL", "MSFT"]),
        ("change", ["BTC/USD", "AAPL", "MSFT"]),
        ("nonsense", ["AAPL", "BTC/USD", "MSFT"]),
    ],
)
def test_markets_are_sorted_by_a_column_and_what_has_no_price_stands_last(
    reader: Client, market: None, sort: str, symbols: list[str]
) -> None:
    assert shown(reader.get("/markets", {"sort": sort})) == symbols


def test_a_sorted_column_says_so_and_its_link_turns_it_round(reader: Client, market: None) -> None:
    text = text_of(reader.get("/markets?type=stock&sort=-price"))
    assert 'href="?type=stock&amp;sort=price#all"' in text and "sorted, highest first" in text
    assert 'href="?type=stock&amp;sort=-change#all"' in text


def test_markets_come_page_by_page_and_stay_light(reader: Client, settings: Any) -> None:
    now, size = timezone.now(), settings.MARKETS_PAGE_SIZE
    quotes = []
    for number in range(120):
        instrument(f"T{number:03}", name=f"Some company number {number}")
        bid = f"{50 + number * 7 % 113}.{number % 90 + 10}"
        quotes.append(quote(f"T{number:03}", bid, bid, now=now, step="0"))
    quote_store.quotes_put(quotes)
    first, last = reader.get("/markets"), reader.get("/markets?page=3&sort=symbol")
    assert [len(shown(page)) for page in (first, last)] == [size, 120 - 2 * size]
    assert shown(last)[-1] == "T119" and "sort=symbol#all" in text_of(last)
    assert len(gzip.compress(first.content)) <= 30 * 1024


def test_a_market_without_symbols_says_what_will_be_there(reader: Client) -> None:
    assert "Nothing to trade yet" in text_of(reader.get("/markets"))


def test_a_part_of_markets_comes_alone(reader: Client, market: None) -> None:
    text = text_of(reader.get("/markets?sort=-price", headers=HTMX))
    assert text.lstrip().startswith('<section class="stack" id="all"') and "<html" not in text


def test_markets_asks_the_database_as_often_for_many_as_for_few(
    reader: Client, market: None, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        instrument(f"T{number}")
    with django_assert_max_num_queries(8):
        text_of(reader.get("/markets"))


def test_a_price_that_is_too_old_is_marked(reader: Client) -> None:
    instrument("AAPL")
    put_quote(quote("AAPL", now=timezone.now() - timedelta(minutes=1)))
    assert "data-stale" in text_of(reader.get("/markets"))
    put_quote(quote("AAPL", now=timezone.now(), seq=2))
    assert "data-stale" not in text_of(reader.get("/markets"))


def test_markets_stands_without_any_price(reader: Client, redis_away: None) -> None:
    instrument("AAPL")
    text = text_of(reader.get("/markets"))
    assert "AAPL" in text and "Nothing has risen today." in text and ">—</data>" in text


def test_search_finds_by_symbol_and_by_name(reader: Client, market: None) -> None:
    assert "AAPL" in text_of(reader.get("/search", {"q": "aap"}))
    found = text_of(reader.get("/search", {"q": "micro"}))
    assert "MSFT" in found and "1 result for" in found
    assert "Nothing found" in text_of(reader.get("/search", {"q": "zzz"}))


def test_search_answers_htmx_with_the_results_alone(reader: Client, market: None) -> None:
    response = reader.get("/search", {"q": "aap"}, headers=HTMX)
    text = text_of(response)
    assert text.lstrip().startswith('<section id="results"') and "<html" not in text
    assert "HX-Request" in response.headers["Vary"]


def test_what_was_searched_is_escaped(reader: Client) -> None:
    assert "<script>x" not in text_of(reader.get("/search", {"q": "<script>x"}))


def test_a_symbol_has_one_address(reader: Client, market: None) -> None:
    assert reader.get("/markets/btcusd").headers["Location"] == "/markets/BTC-USD"
    text = text_of(reader.get("/markets/BTC-USD"))
    assert "BTC/USD fell 10.00% today, from $100.00 to $90.00" in text
    assert "Charts by TradingView" in text and 'data-src="/markets/BTC-USD/bars"' in text


def test_a_symbol_without_a_price_has_a_page(reader: Client, market: None) -> None:
    assert "There is no price of MSFT yet." in text_of(reader.get("/markets/MSFT"))


def test_an_unknown_symbol_is_a_404_page(reader: Client) -> None:
    response = reader.get("/markets/NOPE")
    assert response.status_code == 404
    assert "We do not know the symbol" in response.content.decode()


def test_a_halted_symbol_says_so_and_why(reader: Client) -> None:
    instrument("GME", halted_at=timezone.now(), halt_reason="Waiting for news.")
    text = text_of(reader.get("/markets/GME"))
    assert "GME is halted" in text and "Waiting for news." in text


def test_other_apps_add_to_the_page_of_a_symbol(
    reader: Client, market: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "_PANELS", [])
    for name in ("one.html", "two.html"):
        panels.register_symbol_panel(
            lambda request, i, now, name=name: {"main_templates": [name], name: i}
        )
    context = panels.symbol_context(None, "AAPL", timezone.now())  # type: ignore[arg-type]
    assert context["main_templates"] == ["one.html", "two.html"] and context["two.html"] == "AAPL"


def test_the_order_book_shows_both_sides(reader: Client) -> None:
    instrument("AAPL")
    put_quote(quote("AAPL", now=timezone.now(), sizes=("100", "50")))
    assert "AAPL order book</h1>" in text_of(reader.get("/markets/AAPL/book"))
    text = text_of(reader.get("/markets/AAPL/book", headers=HTMX))
    assert (
        "<html" not in text
        and text.count("<tr><td") == 4
        and "$99.98" in text
        and "$100.01" in text
    )
    assert 'width="50.0"' in text and "style=" not in text


def test_a_chart_gets_the_bars_that_the_api_gives(reader: Client, alice: Any) -> None:
    instrument("AAPL")
    # Whole days that are over, so that no tick falls between the two questions.
    query = "?timeframe=1D&start=2026-01-05&end=2026-01-09&limit=3"
    answer = reader.get(f"/markets/AAPL/bars{query}").json()
    assert answer == ApiClient(alice).get(f"market/bars/AAPL{query}").json()
    assert len(answer["bars"]) == 3 and set(answer["bars"][0]) == {"t", "o", "h", "l", "c", "v"}


def test_a_chart_of_nonsense_is_refused(reader: Client) -> None:
    instrument("AAPL")
    assert reader.get("/markets/AAPL/bars?timeframe=7m").status_code == 400


def test_the_star_keeps_a_symbol_and_lets_it_go(reader: Client, market: None, alice: Any) -> None:
    watched = WatchlistItem.objects.filter(watchlist__user=alice, instrument__symbol="MSFT")
    answer = reader.post("/watchlist/add", {"symbol": "MSFT"}, headers=HTMX)
    assert 'aria-pressed="true"' in text_of(answer) and watched.count() == 1
    assert 'aria-pressed="true"' in text_of(reader.get("/markets/MSFT"))
    answer = reader.post("/watchlist/remove", {"symbol": "MSFT"}, headers=HTMX)
    assert 'aria-pressed="false"' in text_of(answer) and not watched.exists()


def test_the_star_works_without_javascript_and_stays_on_our_host(
    reader: Client, market: None
) -> None:
    answer = reader.post("/watchlist/add", {"symbol": "btcusd"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/markets/BTC-USD")
    answer = reader.post("/watchlist/add", {"symbol": "AAPL", "next": "/search"})
    assert answer.headers["Location"] == "/search"
    answer = reader.post("/watchlist/add", {"symbol": "AAPL", "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/markets/AAPL"


@pytest.mark.parametrize(
    "path", ["/markets", "/search", "/markets/AAPL", "/markets/AAPL/bars", "/markets/AAPL/book"]
)
def test_a_stranger_is_sent_to_the_log_in(client: Client, path: str) -> None:
    assert client.get(path).headers["Location"] == f"/login?next={path}"
