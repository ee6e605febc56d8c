"""Which columns of the holdings and of a watchlist a person sees."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.services.preferences import user_columns_change
from marketdata.services.watchlists import watchlist_add, watchlist_create
from portfolio.tests.test_pages import Owner
from speedtrade.lib.columns import HOLDINGS, TABLES, WATCHLIST
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import page_client
from speedtrade.testing.market import instrument, put_quote, quote

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Trigger": "columns"}


@pytest.fixture
def web(alice: Any) -> Client:
    """Alice holds AAPL and watches it."""
    owner = Owner(alice)
    owner.fill("buy", "3", "100")
    owner.price("130.00")
    return owner.web


@pytest.fixture
def listed(alice: Any) -> str:
    """The address of a list of two symbols."""
    made = watchlist_create(user=alice, name="Mine", now=timezone.now())
    for symbol, bid in (("KO", "100.00"), ("MSFT", "300.00")):
        instrument(symbol)
        watchlist_add(user=alice, symbol=symbol, now=timezone.now(), watchlist_id=made.pk)
        put_quote(quote(symbol, bid, bid, now=timezone.now()))
    return f"/watchlists/{made.pk}"


def heads(html: str, table: str) -> list[str]:
    """The heads of a wide table; what only a phone shows is not one."""
    found = re.search(rf'<table class="[^"]*{table}.*?</thead>', html, re.DOTALL)
    assert found
    cells = re.findall(r"<th([^>]*)>(.*?)</th>", found[0], re.DOTALL)
    bare = [re.sub(r"<[^>]*>|\s+", " ", cell) for at, cell in cells if "only-narrow" not in at]
    return [" ".join(text.split()) for text in bare]


def test_holdings_show_the_usual_columns_until_somebody_chooses(web: Client):
    html = web.get("/portfolio").content.decode()
    usual = ["Symbol", "Price", "Average cost", "Value", "Return", "Today", "Share"]
    assert heads(html, "holdings") == usual


def test_chosen_columns_of_holdings_are_kept_and_reset(alice: Any, web: Client):
    sent = {"column": ["realised", "paid"], "next": "/portfolio?sort=day"}
    answer = web.post("/settings/columns/holdings", sent)
    assert (answer.status_code, answer.url) == (303, "/portfolio?sort=day")
    html = web.get(answer.url).content.decode()
    assert heads(html, "holdings") == ["Symbol", "Total cost", "Realised"]
    assert 'value="paid" checked' in html and 'value="price">' in html
    alice.refresh_from_db()
    assert alice.columns == {"holdings": ["paid", "realised"]}
    web.post("/settings/columns/holdings", {"reset": "1", "column": ["paid"]})
    alice.refresh_from_db()
    assert alice.columns == {}


def test_the_symbol_stays_when_every_box_is_empty_and_so_does_the_card_of_a_phone(web: Client):
    web.post("/settings/columns/holdings", {})
    html = web.get("/portfolio").content.decode()
    assert heads(html, "holdings") == ["Symbol"]
    assert re.search(r'<td class="num strong only-narrow">', html)


def test_a_hidden_column_can_still_be_sorted_by(web: Client, listed: str):
    web.post("/settings/columns/watchlist", {"column": ["bid"]})
    html = web.get(f"{listed}?sort=-price").content.decode()
    assert heads(html, "watch") == ["Symbol", "Bid", "Actions"]
    rows = re.findall(r'<tr id="row-\d+".*?class="quiet">(\w+)<', html, re.DOTALL)
    assert rows == ["MSFT", "KO"]


def test_a_watchlist_can_show_the_range_of_the_day_and_the_close_before(web: Client, listed: str):
    web.post("/settings/columns/watchlist", {"column": ["prev_close", "range"]})
    found = heads(web.get(listed).content.decode(), "watch")
    assert found == ["Symbol", "Day's range", "Prev. close", "Actions"]


@pytest.mark.parametrize("table", TABLES)
def test_a_column_that_is_not_there_is_refused_and_nothing_changes(
    alice: Any, web: Client, table: str
):
    answer = web.post(f"/settings/columns/{table}", {"column": ["price", "nonsense"]})
    assert answer.status_code == 400 and "nonsense" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.columns == {}
    with pytest.raises(InvalidInput):
        user_columns_change(user=alice, table=TABLES[table], names=["password"], now=timezone.now())


def test_a_table_that_is_not_there_is_not_found(web: Client):
    assert web.post("/settings/columns/users", {"column": ["price"]}).status_code == 404


def test_the_way_back_never_leads_to_another_house(web: Client):
    answer = web.post("/settings/columns/holdings", {"next": "https://elsewhere.example/"})
    assert answer.url == "/settings/appearance"


def test_htmx_finds_the_table_behind_the_redirect_and_the_focus_on_its_chooser(web: Client):
    sent = {"column": ["price"], "next": "/portfolio"}
    answer = web.post("/settings/columns/holdings", sent, headers=HTMX, follow=True)
    html = answer.content.decode()
    assert 'id="holdings"' in html and "<html" not in html
    assert 'id="columns-holdings" data-focus' in html


def test_one_table_knows_nothing_of_the_other(alice: Any, charlie: Any, web: Client, listed: str):
    web.post("/settings/columns/holdings", {"column": ["price"]})
    web.post("/settings/columns/watchlist", {"column": ["ask"]})
    alice.refresh_from_db()
    charlie.refresh_from_db()
    assert alice.columns == {"holdings": ["price"], "watchlist": ["ask"]}
    assert charlie.columns == {}
    assert HOLDINGS.shown_to(charlie.columns) == HOLDINGS.usual
    assert WATCHLIST.shown_to({"watchlist": ["gone", "ask"]}) == ("ask",)
    assert page_client(charlie).get(listed).status_code == 404
