"""The end of an account: what trading keeps open, and what it hands over."""

import json
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.utils import timezone

from accounts.services.closing import closing_refusal, user_close
from accounts.services.exports import export_lines, export_names
from marketdata.services.alert_firing import alert_fire
from marketdata.services.alerts import alert_create
from marketdata.tests.factories import make_quote
from speedtrade.lib.errors import Conflict
from speedtrade.testing.cast import PASSWORD
from trading.domain.risk import Denied
from trading.tests.desk import Desk


def close(desk: Desk) -> Any:
    return user_close(user=desk.user, username="alice", password=PASSWORD, now=timezone.now())


def test_an_account_with_open_orders_does_not_close(desk: Desk):
    desk.quote("99.99", "100.00")
    for price in ("50.00", "51.00"):
        desk.work(desk.place("buy", "1", limit=price))
    assert closing_refusal(desk.user) == "2 orders of yours are open: cancel them first."
    with pytest.raises(Conflict, match="2 orders"):
        close(desk)
    assert desk.user.is_active


def test_a_closed_account_takes_no_order_that_is_still_under_way(desk: Desk):
    desk.quote("99.99", "100.00")
    assert not close(desk).is_active
    with pytest.raises(Denied):
        desk.place("buy", "1", limit="50.00")


def test_alerts_go_off_with_their_owner_and_are_in_the_file(desk: Desk):
    desk.quote("99.99", "100.00")
    asked = {"user": desk.user, "symbol": "AAPL", "direction": "above", "now": desk.now}
    waiting, fired = (alert_create(price=D(price), **asked) for price in ("150", "101"))
    over = make_quote("AAPL", "102", at=desk.now + timedelta(seconds=1))
    assert alert_fire(alert_id=fired.pk, quote=over, now=desk.now)
    rows = [json.loads(line) for line in export_lines(desk.user)]
    states = {row["id"]: row["state"] for row in rows if row["part"] == "alerts"}
    assert states == {waiting.pk: "waiting", fired.pk: "fired"}
    [said] = [row for row in rows if row["part"] == "alert_log"]
    assert (said["alert_id"], said["level"], said["price"]) == (fired.pk, "101.00", "102.00")
    close(desk)
    assert set(desk.user.alerts.values_list("state", flat=True)) == {"off"}


def test_the_file_of_a_person_has_orders_fills_and_bookings(desk: Desk):
    desk.quote("99.99", "100.00")
    desk.trade("buy", "2")
    rows = [json.loads(line) for line in export_lines(desk.user)]
    assert {row["part"] for row in rows} >= {"profile", "accounts", "positions", "activity"}
    [order] = [row for row in rows if row["part"] == "orders"]
    assert (order["symbol"], order["status"], order["fills"][0]["qty"]) == ("AAPL", "filled", "2")
    booked = [row["type"] for row in rows if row["part"] == "activity"]
    assert booked == ["deposit", "fill"]
    assert {"watchlist", "transfers", "orders"} <= set(export_names())
