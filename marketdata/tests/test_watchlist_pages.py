"""The pages of the watchlists, without JavaScript and for htmx."""

import gzip
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from marketdata import quote_store
from marketdata.models import Watchlist, WatchlistItem
from marketdata.selectors import watchlist_items
from marketdata.services.watchlists import watchlist_add, watchlist_create
from speedtrade.testing.cast import page_client
from speedtrade.testing.market import instrument, put_quote, quote

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def reader(alice: Any) -> Client:
    return page_client(alice)


@pytest.fixture
def tech(alice: Any) -> Watchlist:
    """Three rows; the last has no price."""
    made = watchlist_create(user=alice, name="Tech", now=timezone.now())
    for symbol, bid in (("AAPL", "100.00"), ("MSFT", "300.00"), ("ZZZ", "")):
        instrument(symbol)
        watchlist_add(user=alice, symbol=symbol, now=timezone.now(), watchlist_id=made.pk)
        if bid:
            put_quote(quote(symbol, bid, bid, now=timezone.now()))
    return made


def text_of(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return str(response.content.decode())


def symbols(chosen: Watchlist) -> list[str]:
    return [item.instrument.symbol for item in watchlist_items(chosen)]


def row_of(chosen: Watchlist, symbol: str) -> int:
    return chosen.items.get(instrument__symbol=symbol).pk


def test_the_address_of_all_lists_leads_to_the_first(reader: Client, tech: Watchlist) -> None:
    first = tech.user.watchlists.order_by("position").first()
    assert first and first != tech
    assert reader.get("/watchlists").headers["Location"] == f"/watchlists/{first.pk}"


def test_without_a_list_the_page_says_how_to_make_one(reader: Client, alice: Any) -> None:
    alice.watchlists.all().delete()
    text = text_of(reader.get("/watchlists"))
    assert "No watchlist yet" in text and 'href="/watchlists/new"' in text


def test_a_list_shows_its_rows_with_prices_and_its_tab_as_current(
    reader: Client, tech: Watchlist
) -> None:
    text = text_of(reader.get(f"/watchlists/{tech.pk}"))
    assert f'<a href="/watchlists/{tech.pk}" aria-current="page">Tech</a>' in text
    assert text.index(">AAPL</a>") < text.index(">MSFT</a>") < text.index(">ZZZ</a>")
    assert 'data-symbol="AAPL" data-f="last"' in text and '<svg class="spark' in text
    assert 'href="/markets/AAPL#ticket"' in text and "<style" not in text


def test_an_empty_list_offers_a_symbol_to_begin_with(reader: Client, alice: Any) -> None:
    made = watchlist_create(user=alice, name="New", now=timezone.now())
    text = text_of(reader.get(f"/watchlists/{made.pk}"))
    assert "Nothing on this list yet" in text and f"/watchlists/{made.pk}/find?q=AAPL" in text


@pytest.mark.parametrize(
    ("sort", "order"),
    [("-price", "MSFT AAPL ZZZ"), ("price", "AAPL MSFT ZZZ"), ("-symbol", "ZZZ MSFT AAPL")],
)
def test_sorting_leaves_the_order_of_its_owner_alone(
    reader: Client, tech: Watchlist, sort: str, order: str
) -> None:
    answer = reader.get(f"/watchlists/{tech.pk}", {"sort": sort})
    assert [row["instrument"].symbol for row in answer.context["rows"]] == order.split()
    assert "Back to your own order" in text_of(answer) and "Move up" not in text_of(answer)
    assert symbols(tech) == ["AAPL", "MSFT", "ZZZ"]


def test_a_list_is_made_renamed_moved_and_deleted_by_plain_forms(
    reader: Client, alice: Any
) -> None:
    answer = reader.post("/watchlists/new", {"name": " 🚀  Moon "})
    made = Watchlist.objects.get(user=alice, name="🚀 Moon")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/watchlists/{made.pk}")
    assert "🚀 Moon" in text_of(reader.get(f"/watchlists/{made.pk}/edit"))
    reader.post(f"/watchlists/{made.pk}/edit", {"name": "Sun"})
    reader.post(f"/watchlists/{made.pk}/move", {"position": "0"})
    made.refresh_from_db()
    assert (made.name, made.position) == ("Sun", 0)
    assert "Delete Sun?" in text_of(reader.get(f"/watchlists/{made.pk}/delete"))
    assert Watchlist.objects.filter(pk=made.pk).exists()
    assert reader.post(f"/watchlists/{made.pk}/delete").headers["Location"] == "/watchlists"
    assert not Watchlist.objects.filter(pk=made.pk).exists()


def test_a_name_that_is_taken_is_refused_beside_the_field(reader: Client, tech: Watchlist) -> None:
    text = text_of(reader.post("/watchlists/new", {"name": "Tech"}), 422)
    assert "You have a watchlist “Tech” already." in text and 'value="Tech"' in text
    text = text_of(reader.post(f"/watchlists/{tech.pk}/edit", {"name": "Watchlist"}), 422)
    assert "already" in text


def test_a_list_too_many_is_refused_in_the_form(reader: Client, settings: Any) -> None:
    settings.WATCHLISTS_LIMIT = 1
    text = text_of(reader.post("/watchlists/new", {"name": "Two"}), 422)
    assert "You can keep 1 watchlists" in text


def test_rows_are_moved_and_removed_by_plain_forms(reader: Client, tech: Watchlist) -> None:
    door = f"/watchlists/{tech.pk}/rows"
    last = row_of(tech, "ZZZ")
    answer = reader.post(door, {"move": f"{last}:0"})
    to = f"/watchlists/{tech.pk}?row={last}#row-{last}"
    assert (answer.status_code, answer.headers["Location"]) == (303, to)
    assert symbols(tech) == ["ZZZ", "AAPL", "MSFT"]
    assert 'name="row-menu" open' in text_of(reader.get(to))
    answer = reader.post(f"{door}?sort=-price", {"remove": str(row_of(tech, "AAPL"))})
    assert answer.headers["Location"] == f"/watchlists/{tech.pk}?sort=-price"
    assert symbols(tech) == ["ZZZ", "MSFT"]
    assert reader.post(door, {"move": "x"}).status_code == 400
    assert reader.post(door, {"move": f"{last + 999}:0"}).status_code == 404


def test_the_buttons_of_a_page_say_where_each_row_would_go(reader: Client, tech: Watchlist) -> None:
    text = text_of(reader.get(f"/watchlists/{tech.pk}"))
    middle = row_of(tech, "MSFT")
    assert f'value="{middle}:0">Move up' in text and f'value="{middle}:2">Move down' in text
    assert len(re.findall(r'aria-disabled="true">Move (?:up|down)', text)) == 2


def test_htmx_gets_the_list_and_what_was_done_in_words(reader: Client, tech: Watchlist) -> None:
    door, last = f"/watchlists/{tech.pk}/rows", row_of(tech, "ZZZ")
    answer = reader.post(door, {"drop": f"{last}:0"}, headers=HTMX)
    text = text_of(answer)
    assert text.lstrip().startswith('<section id="watchlist"') and "<html" not in text
    assert 'name="row-menu" open' not in text  # a row that was dragged opens no menu
    said = json.loads(answer.headers["HX-Trigger"])
    assert said == {"st:say": {"text": "ZZZ is now number 1."}}
    answer = reader.post(door, {"remove": str(last)}, headers=HTMX)
    assert "ZZZ is off Tech." in answer.headers["HX-Trigger"] and "data-focus" in text_of(answer)


def test_symbols_are_found_and_added_once(reader: Client, tech: Watchlist) -> None:
    instrument("NVDA", name="Nvidia")
    page = f"/watchlists/{tech.pk}"
    text = text_of(reader.get(f"{page}/find", {"q": "nvi"}))
    assert "<html" in text and 'name="symbol" value="NVDA"' in text
    part = text_of(reader.get(f"{page}/find", {"q": "aapl"}, headers=HTMX))
    assert "<html" not in part and "On the list" in part and 'value="AAPL"' not in part
    assert text_of(reader.get(f"{page}/find", {"q": ""}, headers=HTMX)).strip() == ""
    for _ in range(2):
        answer = reader.post(f"{page}/put", {"symbol": "NVDA"})
        assert answer.headers["Location"] == f"{page}#row-{row_of(tech, 'NVDA')}"
    assert symbols(tech) == ["AAPL", "MSFT", "ZZZ", "NVDA"]
    assert reader.post(f"{page}/put", {"symbol": "NOSUCH"}).status_code == 404


def test_a_full_list_says_so_on_its_page(reader: Client, tech: Watchlist, settings: Any) -> None:
    settings.WATCHLIST_LIMIT = 3
    instrument("NVDA")
    for headers in ({}, HTMX):
        answer = reader.post(f"/watchlists/{tech.pk}/put", {"symbol": "NVDA"}, headers=headers)
        assert "a watchlist holds at most 3" in text_of(answer, 422)


def test_a_list_leaves_as_text_and_comes_back(reader: Client, tech: Watchlist) -> None:
    answer = reader.get(f"/watchlists/{tech.pk}/export")
    assert text_of(answer) == "AAPL\nMSFT\nZZZ\n"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="Tech.txt"'
    assert answer.headers["Content-Type"].startswith("text/plain")
    instrument("BTC/USD")
    door = f"/watchlists/{tech.pk}/import"
    answer = reader.post(door, {"symbols": "AAPL\nbtcusd\nwhat"}, follow=True)
    text = text_of(answer)
    assert "Added 1 symbol to Tech; 1 stood there already." in text
    assert "We do not know what." in text
    assert symbols(tech) == ["AAPL", "MSFT", "ZZZ", "BTC/USD"]
    text = text_of(reader.post(door, {"symbols": "nothing <b>here"}), 422)
    assert "We do not know nothing, &lt;b&gt;here." in text


def test_the_list_of_somebody_else_is_not_there(
    reader: Client, tech: Watchlist, charlie: Any
) -> None:
    stranger = page_client(charlie)
    for path in ("", "/find", "/edit", "/delete", "/export", "/import"):
        assert stranger.get(f"/watchlists/{tech.pk}{path}").status_code == 404
    for path in ("/put", "/rows", "/edit", "/move", "/delete", "/import"):
        body = {"symbol": "AAPL", "remove": "1", "name": "x", "position": "0", "symbols": "AAPL"}
        assert stranger.post(f"/watchlists/{tech.pk}{path}", body).status_code == 404


def test_a_list_of_a_hundred_asks_the_database_no_more_and_stays_light(
    reader: Client, tech: Watchlist, django_assert_max_num_queries: Any
) -> None:
    now = timezone.now()
    made = [instrument(f"T{number:02}", name=f"Some company {number}") for number in range(97)]
    WatchlistItem.objects.bulk_create(
        WatchlistItem(watchlist=tech, instrument=row, position=place)
        for place, row in enumerate(made, start=3)
    )
    prices = [f"{50 + place * 7 % 113}.{place % 90 + 10}" for place in range(97)]
    quote_store.quotes_put(
        [quote(row.symbol, bid, bid, now=now) for row, bid in zip(made, prices, strict=True)]
    )
    with django_assert_max_num_queries(8):
        answer = reader.get(f"/watchlists/{tech.pk}")
    assert text_of(answer).count("data-item=") == 100
    assert len(gzip.compress(answer.content)) <= 30 * 1024


def test_with_several_lists_the_star_has_a_box_for_each(
    reader: Client, tech: Watchlist, alice: Any
) -> None:
    first = alice.watchlists.exclude(pk=tech.pk).get()
    text = text_of(reader.get("/markets/AAPL"))
    assert f'id="star-{tech.pk}" value="{tech.pk}" checked' in text
    assert f'id="star-{first.pk}" value="{first.pk}" checked' not in text
    answer = reader.post("/watchlist/choose", {"symbol": "AAPL", "list": [first.pk]})
    assert answer.headers["Location"] == "/markets/AAPL"
    assert "AAPL" not in symbols(tech) and "AAPL" in symbols(first)
    both = {"symbol": "AAPL", "list": [first.pk, tech.pk]}
    assert reader.post("/watchlist/choose", both, headers=HTMX).status_code == 204
    assert symbols(tech) == ["MSFT", "ZZZ", "AAPL"]


@pytest.mark.parametrize(("written", "status"), [("9" * 5000, 400), ("x", 400), ("9" * 18, 404)])
def test_what_names_no_list_changes_none(
    reader: Client, tech: Watchlist, written: str, status: int
) -> None:
    """Python reads no number of more than 4,300 digits: that was a 500."""
    before = symbols(tech)
    body = {"symbol": "AAPL", "list": [tech.pk, written]}
    assert reader.post("/watchlist/choose", body).status_code == status
    assert symbols(tech) == before


def test_a_full_list_is_named_by_the_star(reader: Client, tech: Watchlist, settings: Any) -> None:
    settings.WATCHLIST_LIMIT = 3
    instrument("NVDA")
    body = {"symbol": "NVDA", "list": [tech.pk]}
    text = text_of(reader.post("/watchlist/choose", body, headers=HTMX), 422)
    assert "“Tech” would have 4 symbols" in text and "open" in text
    text = text_of(reader.post("/watchlist/choose", body, follow=True))
    assert "“Tech” would have 4 symbols" in text


def test_with_one_list_the_star_is_one_button(reader: Client, alice: Any) -> None:
    instrument("AAPL")
    assert "star-form" in text_of(reader.get("/markets/AAPL"))
