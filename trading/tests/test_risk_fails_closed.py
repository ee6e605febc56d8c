"""A check that breaks refuses: whatever is asked before an order is written is made to raise.

The questions are read from the code, so a new one is here by itself.
"""

import ast
import inspect
import itertools
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.test import Client

from portfolio.models import Hold
from speedtrade.testing.cast import ApiClient, page_client
from speedtrade.testing.pages import page_text
from trading.domain import risk
from trading.models import Order, OrderEvent, Submission
from trading.services import orders, replacements
from trading.tests.desk import Desk
from trading.tests.test_pages import MARKET_BUY, reviewed

CANARY = "canary-that-nobody-may-see"
BUY = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "limit_price": "99", "qty": "1"}


def asked(module: ModuleType, function: Callable[..., Any], until: str = "") -> list[Any]:
    """The names of a module that a function of it calls before it calls `until`."""
    tree = ast.parse(inspect.getsource(function))
    calls = [
        (node.lineno, node.func.id)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    end = next((line for line, name in calls if name == until), 10**6)
    names = sorted({name for line, name in calls if line < end})
    found = [name for name in names if inspect.isfunction(getattr(module, name, None))]
    return [pytest.param(module, name, id=f"{module.__name__}.{name}") for name in found]


IN_RISK = asked(risk, risk.assess)
WHEN_PLACED = IN_RISK + asked(orders, orders._place, until="_new")
WHEN_REPLACED = IN_RISK + asked(replacements, replacements.order_replace, until="_successor")
#: Not asked of every order: what a broker takes, which the paper market does not restrict.
ELSEWHERE = {"_check_venue"}


def breaks(monkeypatch: Any, module: ModuleType, name: str) -> list[int]:
    """Let this function raise; the list grows with every call."""
    calls = itertools.count()
    seen: list[int] = []

    def broken(*args: Any, **given: Any) -> Any:
        seen.append(next(calls))
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(module, name, broken)
    return seen


def books(desk: Desk) -> list[Any]:
    """All that an order leaves behind, and what is put by for it."""
    return [
        list(Order.objects.order_by("pk").values()),
        list(OrderEvent.objects.order_by("pk").values()),
        list(Submission.objects.order_by("pk").values()),
        list(Hold.objects.order_by("pk").values()),
        desk.cash,
        desk.reserved,
    ]


def says_nothing(answer: Any) -> None:
    """A sentence and a request id, and nothing of what broke."""
    assert answer.status_code == 500
    words = answer.content.decode()
    for inside in (CANARY, "ZeroDivisionError", "Traceback", "trading/"):
        assert inside not in words
    assert answer.headers["X-Request-Id"] in words


def script_of(desk: Desk) -> ApiClient:
    script = ApiClient(user=desk.user)
    script.client.raise_request_exception = False
    return script


def web_of(desk: Desk) -> Client:
    browser = page_client(desk.user)
    browser.raise_request_exception = False
    return browser


def problem_says(answer: Any) -> None:
    says_nothing(answer)
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == "server_error" and body["errors"] == []
    assert body["detail"] == "Try again. If it stays, tell support the request id."
    assert body["request_id"] == answer.headers["X-Request-Id"]


def needs_a_broker(monkeypatch: Any, name: str) -> None:
    """Let the order be asked what a broker takes, where that is what breaks."""
    if name in ELSEWHERE:
        monkeypatch.setattr(
            "trading.selectors.facts.venue_of",
            lambda account: risk.Venue(
                "Test", frozenset(), frozenset(), frozenset(), True, fraction_tifs=None
            ),
        )


def test_the_checks_are_found_in_the_code():
    """One of each kind, so that the lists are not empty by a slip of the reader."""
    placed = {param.values[1] for param in WHEN_PLACED}
    assert {"_check_switches", "_check_funds", "_check_position", "_hold"} <= placed
    assert {"assess", "funds_now", "limits", "live_check", "market_now", "switches_now"} <= placed
    assert "assess" in {param.values[1] for param in WHEN_REPLACED}
    of_risk = {name for name in vars(risk) if name.startswith("_check_")}
    assert of_risk <= placed, "a check that assess does not ask"


@pytest.mark.parametrize(("module", "name"), WHEN_PLACED)
def test_a_broken_check_refuses_an_order_of_the_api(desk, monkeypatch, module, name):
    script, before = script_of(desk), books(desk)
    with monkeypatch.context() as patch:
        needs_a_broker(patch, name)
        seen = breaks(patch, module, name)
        problem_says(script.post("orders", {**BUY, "client_order_id": "again"}))
        assert seen, "it was not asked"
    assert books(desk) == before
    # Nothing half-done stands in the way: the same order goes when the check is whole.
    assert script.post("orders", {**BUY, "client_order_id": "again"}).status_code == 201
    desk.check()


@pytest.mark.parametrize(("module", "name"), WHEN_PLACED)
def test_a_broken_check_refuses_an_order_of_the_page(desk, monkeypatch, module, name):
    browser = web_of(desk)
    token, before = reviewed(browser), books(desk)
    with monkeypatch.context() as patch:
        needs_a_broker(patch, name)
        seen = breaks(patch, module, name)
        answer = browser.post("/orders/place", {"token": token})
        says_nothing(answer)
        assert "Something broke on our side" in page_text(answer)
        assert seen, "it was not asked"
    assert books(desk) == before
    assert browser.post("/orders/place", {"token": token}).status_code == 303


@pytest.mark.parametrize(("module", "name"), IN_RISK)
def test_a_broken_check_makes_no_review(desk, monkeypatch, module, name):
    browser, before = web_of(desk), books(desk)
    needs_a_broker(monkeypatch, name)
    assert breaks(monkeypatch, module, name) == []
    says_nothing(browser.post("/markets/AAPL/review", MARKET_BUY))
    assert books(desk) == before


@pytest.mark.parametrize("door", ["api", "page"])
@pytest.mark.parametrize(("module", "name"), WHEN_REPLACED)
def test_a_broken_check_leaves_the_old_order_as_it_is(desk, monkeypatch, module, name, door):
    old = desk.trade("buy", "1", limit="90.00", tif="gtc")
    before = books(desk)
    script, browser = script_of(desk), web_of(desk)
    needs_a_broker(monkeypatch, name)
    seen = breaks(monkeypatch, module, name)
    if door == "api":
        problem_says(script("PATCH", f"orders/{old.pk}", {"limit_price": "91"}))
    else:
        says_nothing(browser.post(f"/orders/{old.pk}/replace", {"limit_price": "91", "qty": "1"}))
    assert seen, "it was not asked"
    assert books(desk) == before
    desk.check()


def test_what_broke_is_in_the_log_with_the_request_id(desk, monkeypatch, caplog):
    breaks(monkeypatch, risk, "_check_funds")
    with caplog.at_level(logging.ERROR):
        answer = script_of(desk).post("orders", BUY)
    problem_says(answer)
    assert CANARY in caplog.text
