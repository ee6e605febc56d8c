"""The pages of the market, with and without JavaScript."""

import gzip
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client
from django.utils import timezone

from marketdata import panels, quote_store
from marketdata.domain.ranges import RANGES
from marketdata.models import WatchlistItem
from marketdata.services.watchlists import watchlist_add
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


@pytest.mark.parametrize("more", [{}, {"as": "options"}])
def test_what_no_name_can_hold_finds_nothing(reader: Client, market: None, more: Any) -> None:
    """PostgreSQL stores no NUL, and refuses a statement that asks for one."""
    answer = reader.get("/search", {"q": "aap\x00", **more})
    assert answer.status_code == 200 and "AAPL" not in text_of(answer)


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


def test_a_star_that_is_taken_off_makes_no_list(reader: Client, market: None, alice: Any) -> None:
    alice.watchlists.all().delete()
    assert reader.post("/watchlist/remove", {"symbol": "MSFT"}, headers=HTMX).status_code == 200
    assert not alice.watchlists.exists()
    reader.post("/watchlist/add", {"symbol": "MSFT"}, headers=HTMX)
    assert [row.instrument.symbol for row in alice.watchlists.get().items.all()] == ["MSFT"]


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


# ── the page of a symbol when things are not as usual ───────────────────────
def test_a_tiny_and_a_huge_price_are_shown_to_their_last_digit(reader: Client) -> None:
    for symbol, tick, price, shown in (
        ("PEPE/USD", "0.00000001", "0.00001234", "$0.00001234"),
        ("BRK.A", "0.01", "712345.67", "$712,345.67"),
    ):
        instrument(symbol, price_tick=Decimal(tick))
        put_quote(quote(symbol, price, price, now=timezone.now(), step=tick, prev_close=price))
        text = text_of(reader.get(f"/markets/{symbol.replace('/', '-')}"))
        assert text.count(shown) > 5 and "did not move today" in text


def test_a_long_name_stands_whole(reader: Client) -> None:
    name = "The Very Long Name of a Company That Nobody Ever Shortened".ljust(60, "!")
    instrument("LONG", name=name)
    assert name in text_of(reader.get("/markets/LONG"))


def test_a_page_without_a_quote_says_what_is_missing(reader: Client, redis_away: None) -> None:
    instrument("AAPL")
    text = text_of(reader.get("/markets/AAPL"))
    assert "No price yet" in text and "There is no order book of AAPL yet." in text
    assert "Key statistics" in text and "Smallest order" in text
    assert "There is no order book" in text_of(reader.get("/markets/AAPL/book", headers=HTMX))


def test_a_dead_feed_is_said_beside_the_time_of_its_last_price(reader: Client) -> None:
    instrument("AAPL")
    put_quote(quote("AAPL", now=timezone.now() - timedelta(minutes=1)))
    text = text_of(reader.get("/markets/AAPL"))
    assert "data-stale" in text and "Not live" in text and "Last price" in text


def test_a_closed_market_says_when_it_opens(reader: Client, market: None, settings: Any) -> None:
    settings.SIMULATED_MARKET_HOURS = "nyse"
    with time_machine.travel("2026-11-21T12:00:00Z", tick=False):  # a Saturday
        text = text_of(reader.get("/markets/AAPL"))
    assert "Market closed · opens Mon 9:30 ET" in text and "Market open" not in text


@pytest.fixture
def closed(settings: Any) -> Any:
    """Thanksgiving 2026 after a Wednesday on which AAPL closed at 102; a coin trades on."""
    settings.SIMULATED_MARKET_HOURS = "nyse"
    at = datetime(2026, 11, 26, 15, tzinfo=UTC)
    instrument("AAPL", name="Apple Inc.")
    instrument("OLD", name="Forgotten Inc.")
    instrument("BTC/USD", name="Bitcoin")
    close = datetime(2026, 11, 25, 20, 59, 59, tzinfo=UTC)
    put_quote(quote("AAPL", "101.99", "102.00", now=close, prev_close="100.00"))
    put_quote(quote("OLD", "9.99", "10.00", now=close - timedelta(days=1), prev_close="10.00"))
    put_quote(quote("BTC/USD", "89.99", "90.00", now=at, prev_close="100.00"))
    with time_machine.travel(at, tick=False):
        yield


def test_a_price_of_a_closed_market_is_a_last_close_and_not_live(
    closed: None, reader: Client
) -> None:
    text = text_of(reader.get("/markets/AAPL"))
    assert "Last close Wed 16:00 ET" in text and "Not live" not in text
    assert 'data-hero-when="Wednesday"' in text and "AAPL rose 2.00% on Wednesday" in text
    assert 'data-words="on Wednesday"' in text and " data-closed" in text


def test_a_coin_is_live_while_the_exchange_is_closed(closed: None, reader: Client) -> None:
    text = text_of(reader.get("/markets/BTC-USD"))
    assert "Market open" in text and "Last close" not in text and "data-closed" not in text
    assert 'data-hero-when="Today"' in text and "fell 10.00% today" in text


def test_a_price_from_before_the_last_session_is_old_and_no_close(
    closed: None, reader: Client
) -> None:
    text = text_of(reader.get("/markets/OLD"))
    assert "Not live" in text and "Last close" not in text and "data-closed" not in text


def test_lists_mark_the_closes_among_their_prices(closed: None, reader: Client, alice: Any) -> None:
    mark = '<span class="at-close stale-only" title="Last close, Wed 16:00 ET">Close</span>'
    text = text_of(reader.get("/markets"))
    assert "Stocks closed · opens Fri 9:30 ET" in text and "Coins open" in text
    of_symbol = {
        slug: row
        for row in re.findall(r"<tr data-row.*?</tr>", text, re.DOTALL)
        for slug in re.findall(r'href="/markets/([^"]+)"', row)
    }
    assert mark in of_symbol["AAPL"]
    assert mark not in of_symbol["BTC-USD"] and mark not in of_symbol["OLD"]
    assert mark in text_of(reader.get("/search?q=AAPL"))
    watchlist_add(user=alice, symbol="AAPL", now=timezone.now())
    assert mark in text_of(reader.get("/watchlists", follow=True))


def test_on_the_evening_of_a_session_its_change_is_still_todays(
    reader: Client, settings: Any
) -> None:
    settings.SIMULATED_MARKET_HOURS = "nyse"
    instrument("AAPL")
    close = datetime(2026, 11, 25, 20, 59, 59, tzinfo=UTC)
    put_quote(quote("AAPL", "101.99", "102.00", now=close, prev_close="100.00"))
    with time_machine.travel(close + timedelta(hours=1), tick=False):
        text = text_of(reader.get("/markets/AAPL"))
    assert "After hours · opens Fri 9:30 ET" in text and 'data-hero-when="Today"' in text


def test_a_price_that_moved_after_the_close_is_no_close_and_not_of_a_later_day(
    closed: None, reader: Client
) -> None:
    after = datetime(2026, 11, 25, 22, tzinfo=UTC)
    put_quote(quote("AAPL", "104.99", "105.00", now=after, prev_close="100.00"))
    text = text_of(reader.get("/markets/AAPL"))
    assert "Not live" in text and "Last close" not in text and "data-closed" not in text
    assert 'data-hero-when="Wednesday"' in text and "AAPL rose 5.00% on Wednesday" in text


def test_a_halted_symbol_has_a_pill_and_a_banner(reader: Client) -> None:
    instrument("GME", halted_at=timezone.now(), halt_reason="Waiting for news.")
    text = text_of(reader.get("/markets/GME"))
    assert "Halted</span>" in text and "Orders can be canceled, not placed." in text


# ── the chart, its table, its indicators ────────────────────────────────────
@pytest.mark.parametrize("slug", ["BTC-USD", "AAPL"])
def test_a_day_of_the_table_is_the_day_of_its_session(
    reader: Client, market: None, slug: str
) -> None:
    with time_machine.travel(datetime(2026, 11, 25, 18, 0, tzinfo=UTC), tick=False):
        text = text_of(reader.get(f"/markets/{slug}/bars/table?range=3M", headers=HTMX))
    assert re.findall("Nov 2., 2026", text)[:2] == ["Nov 25, 2026", "Nov 24, 2026"]


@pytest.mark.parametrize("name", RANGES)
def test_every_range_has_bars_and_a_table(reader: Client, name: str) -> None:
    instrument("AAPL")
    with time_machine.travel("2026-11-18T15:00:00Z", tick=False):
        answer = reader.get(f"/markets/AAPL/bars?range={name}").json()
        table = text_of(reader.get(f"/markets/AAPL/bars/table?range={name}", headers=HTMX))
    assert answer["timeframe"] == RANGES[name].timeframe
    assert 1 <= len(answer["bars"]) <= settings.BARS_LIMIT
    assert "<html" not in table
    assert table.count("<tr><th") - 1 == min(len(answer["bars"]), settings.BARS_TABLE_ROWS)


def test_the_table_is_a_page_of_its_own_without_javascript(reader: Client) -> None:
    instrument("AAPL")
    text = text_of(reader.get("/markets/AAPL/bars/table?range=1M"))
    assert "AAPL prices</h1>" in text and '<a href="?range=1M" aria-current="page">' in text
    assert "The newest 100 of" in text


def test_a_symbol_without_bars_has_an_empty_table(reader: Client) -> None:
    instrument("NEWCO")
    assert reader.get("/markets/NEWCO/bars?range=1Y").json()["bars"] == []
    assert "No bars yet." in text_of(reader.get("/markets/NEWCO/bars/table?range=1Y"))


def test_indicators_come_aligned_with_the_bars(reader: Client) -> None:
    instrument("AAPL")
    answer = reader.get("/markets/AAPL/bars?range=1Y&indicators=sma20,bb20").json()
    assert list(answer["indicators"]) == ["sma20", "bb20"]
    values = answer["indicators"]["sma20"]["value"]
    assert len(values) == len(answer["bars"])
    assert values[:19] == [None] * 19 and all(isinstance(value, str) for value in values[19:])
    assert set(answer["indicators"]["bb20"]) == {"upper", "middle", "lower"}


def test_vwap_counts_from_the_open_wherever_a_range_begins(reader: Client) -> None:
    instrument("AAPL")
    asked = "/markets/AAPL/bars?timeframe=1h&indicators=vwap&end=2026-11-18T12:00:00Z&start="
    whole = reader.get(asked + "2026-11-18T00:00:00Z").json()["indicators"]["vwap"]["value"]
    late = reader.get(asked + "2026-11-18T07:00:00Z").json()["indicators"]["vwap"]["value"]
    assert len(whole) == 13 and late == whole[7:]
    days = reader.get(asked + "2026-11-17T00:00:00Z").json()["indicators"]["vwap"]["value"]
    assert days[24:] == whole


@pytest.mark.parametrize("query", ["range=9Y", "range=1M&indicators=magic", "indicators=magic"])
def test_a_range_or_indicator_that_does_not_exist_is_refused(reader: Client, query: str) -> None:
    instrument("AAPL")
    assert reader.get(f"/markets/AAPL/bars?{query}").status_code == 400


def test_the_lines_of_a_chart_are_remembered(reader: Client, market: None, alice: Any) -> None:
    chosen = {"indicators": ["rsi14", "sma20", "magic"], "next": "/markets/AAPL"}
    answer = reader.post("/settings/indicators", chosen)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/markets/AAPL")
    alice.refresh_from_db()
    assert alice.indicators == ["sma20", "rsi14"]
    text = text_of(reader.get("/markets/AAPL"))
    assert 'value="sma20" checked' in text and 'value="macd">' in text
    assert "chart needs-js tall" in text
    assert reader.post("/settings/indicators", {}, headers=HTMX).status_code == 204
    alice.refresh_from_db()
    assert alice.indicators == []
    away = reader.post("/settings/indicators", {"next": "https://evil.example/"})
    assert away.headers["Location"] == "/markets"


def test_the_page_of_a_symbol_brings_its_book_and_the_year(reader: Client) -> None:
    instrument("AAPL", sector="Technology")
    sizes = [str(size) for size in range(10, 22)]
    put_quote(quote("AAPL", now=timezone.now(), sizes=sizes))
    response = reader.get("/markets/AAPL")
    text = text_of(response)
    assert 'id="bid-10"' in text and 'id="bid-11"' not in text and 'id="ask-10"' in text
    assert "Spread" in text and ">0.01%</data>)" in text and "Technology" in text
    year = response.context["year"]
    assert year.low <= response.context["quote"].day_low and year.average_volume > 0


def test_the_page_of_a_symbol_stays_small_and_asks_little(
    reader: Client, django_assert_max_num_queries: Any
) -> None:
    instrument("AAPL")
    put_quote(quote("AAPL", now=timezone.now(), sizes=["100"] * 10))
    with django_assert_max_num_queries(25):
        response = reader.get("/markets/AAPL")
    assert len(gzip.compress(response.content)) < 30 * 1024
