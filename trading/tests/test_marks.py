"""What the chart draws of one account: exact, its own, and no more than fits."""

import json
from typing import Any

import pytest
from django.test import Client

from speedtrade.testing.cast import page_client
from trading.tests.desk import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


def traded(desk: Desk) -> None:
    """Five shares bought at 100, one sold at 99.99, two more wanted at 90."""
    desk.quote("99.99", "100.00")
    desk.trade("buy", "5")
    desk.trade("sell", "1")
    desk.trade("buy", "2", limit="90")


def test_cost_working_orders_and_fills_come_as_exact_text(desk: Desk, web: Client) -> None:
    traded(desk)
    marks = web.get("/markets/AAPL/marks").json()
    assert marks["position"] == {"qty": "4", "avg_price": "100.00"}
    (order,) = marks["orders"]
    assert (order["side"], order["qty"], order["price"]) == ("buy", "2", "90.00")
    told = [(fill["side"], fill["qty"], fill["price"]) for fill in marks["fills"]]
    assert told == [("buy", "5", "100.00"), ("sell", "1", "99.99")]
    assert all(fill["t"].endswith("Z") for fill in marks["fills"])


def test_the_page_carries_the_same_marks(desk: Desk, web: Client) -> None:
    traded(desk)
    text = web.get("/markets/AAPL").content.decode()
    data = text.split('<script id="chart-marks" type="application/json">')[1].split("</script>")[0]
    assert json.loads(data) == web.get("/markets/AAPL/marks").json()
    assert f'data-marks-src="/markets/AAPL/marks?account_id={desk.account.pk}"' in text


def test_nobody_sees_the_marks_of_another(desk: Desk, bob: Any) -> None:
    traded(desk)
    marks = page_client(bob).get("/markets/AAPL/marks").json()
    assert marks == {"position": None, "orders": [], "fills": [], "alerts": []}


def test_another_symbol_has_no_part_in_them(desk: Desk, web: Client) -> None:
    traded(desk)
    desk.instrument("MSFT")
    assert web.get("/markets/MSFT/marks").json()["fills"] == []


def test_only_the_newest_fills_are_drawn(desk: Desk, web: Client, settings: Any) -> None:
    traded(desk)
    settings.CHART_FILLS = 1
    (fill,) = web.get("/markets/AAPL/marks").json()["fills"]
    assert fill["side"] == "sell"
