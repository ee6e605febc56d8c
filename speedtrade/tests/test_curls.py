"""The API call at the foot of a page: it is the right one, it works, and it is quoted."""

import json
import shlex
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve, reverse

from accounts.scopes import DOORS
from accounts.tests.test_api_keys import make_key
from speedtrade.lib.curls import API, CALLS, Call, call_body, call_path, curls_for
from speedtrade.testing.cast import ApiClient, account_of, page_client
from speedtrade.testing.market import instrument

NAMES = {"order_id": 7, "account_id": 7, "symbol": "AAPL"}
EACH = [pytest.param(call, id=f"{page} {call.words}") for page in CALLS for call in CALLS[page]]


def line_of(page: str, **changes: Any) -> str:
    given = {"origin": "http://here", "names": NAMES, "asked": {}, "account_id": 5}
    return curls_for(page, **{**given, **changes})[0].text


def words_of(line: str) -> list[str]:
    """What a shell makes of it, which joins lines that end with a backslash."""
    return shlex.split(line.replace("\\\n", " "))


@pytest.mark.parametrize("page", CALLS)
def test_each_page_of_the_table_is_one(page):
    names = {"marketdata:symbol": ["AAPL"], "trading:ticket": ["AAPL"]}
    numbered = page in ("trading:order", "accounts:broker")
    assert reverse(page, args=names.get(page, [1] if numbered else []))


@pytest.mark.parametrize("call", EACH)
def test_each_call_is_a_door_that_a_key_opens(call: Call):
    address = call_path(call, NAMES, {}, 5)
    match = resolve(address.partition("?")[0])
    assert hasattr(match.func.cls, call.method.lower())
    assert match.view_name in DOORS
    assert call.method == "GET" or call.method in DOORS[match.view_name]
    assert not call.body or json.loads(call_body(call, NAMES))


def test_the_line_is_what_a_shell_takes():
    words = words_of(line_of("trading:orders", asked={"status": "filled", "symbol": "AAPL"}))
    assert words == [
        "curl",
        "-H",
        "Authorization: Bearer $SPEEDTRADE_KEY",
        "http://here/api/v1/orders?status=closed&symbol=AAPL&account_id=5",
    ]


def test_what_somebody_typed_cannot_leave_its_quotes():
    wild = '\'; rm -rf $HOME `id` "$(id)" \n'
    words = words_of(line_of("marketdata:search", asked={"q": wild}))
    assert len(words) == 4 and words[3].startswith("http://here/api/v1/market/search?q=%27%3B+rm")
    assert not set("`$'\" \n") & set(words[3])


def test_a_long_search_is_not_repeated_whole():
    assert len(line_of("marketdata:search", asked={"q": "x" * 5000})) < 300


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("/dashboard", "portfolio?account_id={account}"),
        ("/portfolio", "portfolio/history?period=1M&amp;account_id={account}"),
        ("/orders?status=all", "orders?status=all&amp;account_id={account}"),
        ("/activity", "portfolio/activity?account_id={account}"),
        ("/markets/AAPL", "market/quotes/AAPL"),
        ("/settings/brokers", "accounts"),
    ],
)
def test_a_page_shows_its_call_with_its_account(alice, page, address):
    instrument("AAPL")
    shown = page_client(alice).get(page).content.decode()
    wanted = f"http://testserver{API}{address.format(account=account_of(alice).pk)}"
    assert wanted in shown and "$SPEEDTRADE_KEY" in shown


def test_a_page_without_a_call_and_a_stranger_see_none(alice):
    assert "SPEEDTRADE_KEY" not in page_client(alice).get("/settings").content.decode()
    assert "SPEEDTRADE_KEY" not in Client().get("/status").content.decode()


@pytest.mark.parametrize("page", ["portfolio:dashboard", "portfolio:activity", "accounts:brokers"])
def test_the_call_answers_a_key(alice, page):
    script = ApiClient(token=make_key(alice, scope="read")[1])
    for call in CALLS[page]:
        assert script.get(call_path(call, {}, {}, account_of(alice).pk)).status_code == 200
