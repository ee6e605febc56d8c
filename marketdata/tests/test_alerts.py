"""Price alerts: who may set which, what they say, and the doors to them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from marketdata import quote_store
from marketdata.alert_selectors import alert_marks, alert_rows, watches_all
from marketdata.alert_signal import alerts_version
from marketdata.domain.alerts import level_suggested
from marketdata.models import Alert, AlertFiring
from marketdata.services.alert_firing import alert_fire
from marketdata.services.alerts import (
    alert_create,
    alert_delete,
    alert_rearm,
    alert_switch_off,
    alerts_switch_off,
)
from marketdata.tests.factories import make_instrument, make_quote
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound, Unavailable
from speedtrade.lib.live import render_event
from speedtrade.testing.cast import ApiClient, make_user, page_client
from speedtrade.testing.pages import page_text

pytestmark = pytest.mark.django_db
D = Decimal
HTMX = {"HX-Request": "true"}


def price_put(symbol: str, last: str, ahead: int = 0) -> Any:
    """A quote of this moment, or some seconds later, where every reader finds it."""
    quote = make_quote(symbol, last, at=timezone.now() + timedelta(seconds=ahead))
    quote_store.quotes_put([quote])
    return quote


@pytest.fixture
def stock() -> Any:
    made = make_instrument("AAPL", name="Apple Inc.")
    price_put("AAPL", "231.00")
    return made


def put(user: Any, direction: str = "above", price: str = "240", **more: Any) -> Alert:
    asked = {"symbol": "AAPL", "direction": direction, "price": D(price), **more}
    return alert_create(user=user, now=timezone.now(), **asked)


def fire(alert: Alert, last: str = "240.12", ahead: int = 1) -> bool:
    quote = price_put(alert.instrument.symbol, last, ahead)
    return alert_fire(alert_id=alert.pk, quote=quote, now=timezone.now())


# ── setting one ──────────────────────────────────────────────────────────────
def test_an_alert_waits_for_its_price_from_the_quote_it_was_set_at(user, stock):
    alert = put(user, note="  sell   half ")
    assert (alert.state, alert.note, alert.fired_at) == ("waiting", "sell half", None)
    assert alert.seen_at == quote_store.quote_get("AAPL").as_of
    [watch] = watches_all()
    assert (watch.symbol, watch.level, watch.armed, watch.repeats) == ("AAPL", 240, True, False)


@pytest.mark.parametrize(
    ("direction", "price", "words"),
    [
        ("above", "230", "AAPL is at $231.00 already; “rises above” needs a higher price."),
        ("above", "231", "AAPL is at $231.00 already; “rises above” needs a higher price."),
        ("below", "231", "AAPL is at $231.00 already; “falls below” needs a lower price."),
        ("below", "300", "AAPL is at $231.00 already; “falls below” needs a lower price."),
        ("above", "240.001", "AAPL moves in steps of $0.01."),
        ("above", "0", "Write a price above zero."),
        ("above", "-1", "Write a price above zero."),
        ("above", "10000000000", "Write a price above zero."),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_in_words(user, stock, direction, price, words):
    with pytest.raises(InvalidInput) as refused:
        put(user, direction, price)
    assert [(one.field, one.detail) for one in refused.value.errors] == [("price", words)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("direction", "sideways"), ("repeat", "twice"), ("note", "x" * 81), ("note", "a\x07b")],
)
def test_other_nonsense_is_refused_at_its_field(user, stock, field, value):
    with pytest.raises(InvalidInput) as refused:
        put(user, **{field: value})
    assert [one.field for one in refused.value.errors] == [field]


def test_without_a_price_there_is_nothing_to_compare_with(user):
    make_instrument("AAPL")
    with pytest.raises(Unavailable, match="no price of AAPL"):
        put(user)


def test_the_same_alert_is_there_once_and_the_limit_holds(user, stock, settings):
    settings.ALERTS_LIMIT = 2
    put(user)
    with pytest.raises(InvalidInput, match="already"):
        put(user, repeat="every")
    put(user, "below", "200")
    with pytest.raises(Conflict, match="2 alerts"):
        put(user, price="250")


def test_the_database_refuses_what_the_services_would(user, stock):
    alert = put(user)
    for change in (
        {"direction": "up"},
        {"repeat": "twice"},
        {"state": "lost"},
        {"price": D(0)},
        {"state": "fired"},
        {"fired_at": timezone.now()},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Alert.objects.filter(pk=alert.pk).update(**change)


# ── changing one ─────────────────────────────────────────────────────────────
def test_an_alert_fires_logs_and_is_set_again_once_the_price_is_back(user, stock):
    alert = put(user)
    assert fire(alert)
    alert.refresh_from_db()
    assert (alert.state, alert.fired_price) == ("fired", D("240.12"))
    [said] = AlertFiring.objects.all()
    assert (said.level, said.price, said.alert_number) == (240, D("240.12"), alert.pk)
    with pytest.raises(InvalidInput, match="already"):
        alert_rearm(user=user, alert_id=alert.pk)
    price_put("AAPL", "235", 2)
    assert alert_rearm(user=user, alert_id=alert.pk).state == "waiting"
    assert alert_rearm(user=user, alert_id=alert.pk).state == "waiting"  # again is harmless


def test_a_late_quote_does_not_fire_an_alert_that_was_set_again(user, stock):
    alert = put(user)
    late = make_quote("AAPL", "240.50", at=timezone.now() + timedelta(seconds=1))
    assert fire(alert, ahead=2)
    price_put("AAPL", "235", 3)
    alert_rearm(user=user, alert_id=alert.pk)
    assert not alert_fire(alert_id=alert.pk, quote=late, now=timezone.now())


def test_what_was_said_outlives_the_alert_and_cannot_be_changed(user, stock):
    alert = put(user)
    fire(alert)
    alert_delete(user=user, alert_id=alert.pk)
    assert not Alert.objects.exists()
    for spoil in (AlertFiring.objects.all().delete, lambda: AlertFiring.objects.update(note="x")):
        with pytest.raises(IntegrityError), transaction.atomic():
            spoil()
    assert AlertFiring.objects.count() == 1


def test_one_that_is_off_does_not_fire(user, stock):
    alert = put(user)
    alert_switch_off(user=user, alert_id=alert.pk)
    assert not fire(alert) and not watches_all()
    price_put("AAPL", "231", 2)
    alert_rearm(user=user, alert_id=alert.pk)
    assert fire(alert, ahead=3)


def test_who_may_not_log_in_is_not_told(user, stock):
    alert = put(user)
    user.is_active = False
    user.save()
    assert not watches_all() and not fire(alert)


def test_all_of_a_user_are_switched_off_and_nobody_elses(user, stock):
    put(user)
    put(user, "below", "200")
    other = put(make_user("bob"))
    assert alerts_switch_off(user=user) == 2
    assert [watch.alert_id for watch in watches_all()] == [other.pk]


@pytest.mark.parametrize("act", [alert_delete, alert_rearm, alert_switch_off])
def test_nobody_touches_the_alert_of_another(user, stock, act):
    alert = put(user)
    with pytest.raises(NotFound):
        act(user=make_user("bob"), alert_id=alert.pk)


def test_each_change_hurries_the_feed(user, stock, django_capture_on_commit_callbacks):
    seen = {alerts_version()}
    with django_capture_on_commit_callbacks(execute=True):
        alert = put(user)
    seen.add(alerts_version())
    with django_capture_on_commit_callbacks(execute=True):
        alert_switch_off(user=user, alert_id=alert.pk)
    seen.add(alerts_version())
    with django_capture_on_commit_callbacks(execute=True):
        alert_delete(user=user, alert_id=alert.pk)
    seen.add(alerts_version())
    assert len(seen) == 4


# ── reading them ─────────────────────────────────────────────────────────────
def test_a_row_says_how_far_away_it_is_and_the_chart_draws_what_waits(user, stock):
    fired = put(user, price="235")
    fire(fired, "236")
    price_put("AAPL", "200", 2)
    put(user, price="210")
    rows = alert_rows(user)
    assert [(row.alert.state, row.away_pct) for row in rows] == [
        ("waiting", 5),
        ("fired", D("17.5")),
    ]
    assert [mark["price"] for mark in alert_marks(user, stock)] == ["210.00"]
    assert alert_marks(make_user("bob"), stock) == []


@pytest.mark.parametrize(
    ("last", "tick", "above", "below"),
    [
        ("231.47", "0.01", "244", "219"),
        ("64000.10", "0.01", "67300", "60800"),
        ("0.00001234", "0.00000001", "0.0000130", "0.0000117"),
        ("0.01", "0.01", "0.02", "0.01"),
        ("100", "0.05", "105", "95"),
    ],
)
def test_a_suggested_level_is_round_and_on_the_grid(last, tick, above, below):
    assert level_suggested("above", D(last), D(tick)) == D(above)
    assert level_suggested("below", D(last), D(tick)) == D(below)


def test_the_message_of_a_socket_is_its_owners_alone(user, stock):
    alert = put(user, note="Sell half.")
    fire(alert)
    message = render_event("alert", user.pk, alert.pk)
    assert message["type"] == "alert"
    assert message["alert"]["text"] == "AAPL rose above $240.00, now $240.12. Sell half."
    assert message["alert"]["state"] == "fired"
    assert render_event("alert", make_user("bob").pk, alert.pk) is None


# ── the API ──────────────────────────────────────────────────────────────────
def test_alerts_by_api(api, stock):
    body = {"symbol": "aapl", "direction": "above", "price": "240.00", "repeat": "every"}
    made = api.post("alerts", body)
    assert made.status_code == 201
    alert = made.json()
    assert alert == {
        "id": alert["id"],
        "symbol": "AAPL",
        "direction": "above",
        "price": "240.00",
        "repeat": "every",
        "note": "",
        "state": "waiting",
        "text": "AAPL rises above $240.00",
        "fired_at": None,
        "fired_price": None,
        "created_at": alert["created_at"],
    }
    assert api.get(f"alerts/{alert['id']}").json() == alert
    assert api.get("alerts?symbol=AAPL&state=waiting").json()["results"] == [alert]
    assert api.get("alerts?state=off").json()["results"] == []
    assert api.get("alerts?state=lost").status_code == 400
    assert api.get("alerts?state=").status_code == 400
    assert api("DELETE", f"alerts/{alert['id']}").status_code == 204
    assert api.get(f"alerts/{alert['id']}").status_code == 404


def test_the_api_refuses_with_the_field_and_the_words(api, stock):
    body = {"symbol": "AAPL", "direction": "above", "price": "230"}
    refused = api.post("alerts", body)
    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["field"], error["code"]) == ("price", "wrong_side")
    for wrong in ("1e3", 230.5, True):
        told = api.post("alerts", body | {"price": wrong}).json()
        assert told["errors"][0]["field"] == "price"
    assert api.post("alerts", body | {"symbol": "NOSUCH"}).json()["code"] == "unknown_symbol"
    assert {one["field"] for one in api.post("alerts", {}).json()["errors"]} == {
        "symbol",
        "direction",
        "price",
    }


def test_another_users_alert_is_not_there(user, stock):
    alert = put(user)
    bob = ApiClient(make_user("bob"))
    assert bob.get(f"alerts/{alert.pk}").status_code == 404
    assert bob("DELETE", f"alerts/{alert.pk}").status_code == 404
    assert bob.get("alerts").json()["results"] == []


# ── the pages ────────────────────────────────────────────────────────────────
FORM = {"symbol": "AAPL", "direction": "above", "price": "$240.00", "repeat": "once", "note": ""}


def test_the_page_begins_empty_and_fills_itself_in_from_its_address(user, stock):
    web = page_client(user)
    assert "No alerts yet" in page_text(web.get("/alerts"))
    page = web.get("/alerts?symbol=aapl&direction=below").content.decode()
    assert 'value="219.00"' in page and 'value="AAPL"' in page
    assert 'data-above="243.00"' in page
    assert web.get("/alerts?symbol=NOSUCH").status_code == 200


def test_a_form_sets_an_alert_and_goes_back_to_where_it_stood(user, stock):
    web = page_client(user)
    answer = web.post("/alerts", FORM)
    assert (answer.status_code, answer.url) == (303, "/alerts")
    answer = web.post("/alerts", FORM | {"price": "1,000", "here": "AAPL"})
    assert answer.url == "/markets/AAPL#alerts"
    text = page_text(web.get("/alerts"))
    assert "AAPL rises above $240.00" in text and "AAPL rises above $1,000.00" in text
    assert "Alert set: AAPL rises above $1,000.00." in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"price": "230"}, "AAPL is at $231.00 already"),
        ({"price": "12,5"}, "Write a plain number"),
        ({"price": ""}, "Write a price."),
        ({"symbol": "NOSUCH"}, "We do not know the symbol"),
        ({"symbol": ""}, "Write a symbol"),
    ],
)
def test_a_form_that_is_wrong_says_so_and_keeps_what_was_written(user, stock, change, words):
    web = page_client(user)
    for headers in ({}, HTMX):
        answer = web.post("/alerts", FORM | change, headers=headers)
        assert answer.status_code == 422
        assert words in page_text(answer)
        kept = (FORM | change)["price"]
        assert not kept or f'value="{kept}"' in answer.content.decode()
    assert not Alert.objects.exists()


def test_htmx_gets_the_form_anew_and_the_lists_are_told(user, stock):
    answer = page_client(user).post("/alerts", FORM | {"here": "AAPL"}, headers=HTMX)
    assert answer.status_code == 200
    assert set(answer.headers["HX-Trigger"].split('"')) >= {"st:alert", "st:say"}
    assert "<html" not in answer.content.decode() and "alert-form" in answer.content.decode()


def test_rows_are_switched_off_set_again_and_deleted(user, stock):
    web, alert = page_client(user), put(user)
    said = web.post("/alerts/rows", {"off": alert.pk}, follow=True)
    assert "The alert is off: AAPL rises above $240.00." in page_text(said)
    price_put("AAPL", "250", 1)
    refused = web.post("/alerts/rows", {"rearm": alert.pk})
    assert refused.status_code == 422 and "at $250.00 already" in page_text(refused)
    price_put("AAPL", "230", 2)
    assert web.post("/alerts/rows", {"rearm": alert.pk, "here": "AAPL"}).url.endswith("#alerts")
    gone = web.post("/alerts/rows", {"delete": alert.pk}, headers=HTMX)
    assert "data-focus" in gone.content.decode() and not Alert.objects.exists()
    assert web.post("/alerts/rows", {"delete": alert.pk}).status_code == 404
    assert web.post("/alerts/rows", {"delete": "x"}).status_code == 400


def test_the_page_of_a_symbol_has_its_alerts_and_the_log_says_what_was_seen(user, stock):
    make_instrument("MSFT")
    price_put("MSFT", "400")
    put(user)
    fired = put(user, price="235", note="look")
    fire(fired, "236")
    web = page_client(user)
    text = page_text(web.get("/markets/AAPL/alerts", headers=HTMX))
    assert "AAPL rises above $240.00" in text and "Fired" in text
    assert "None for MSFT yet." in page_text(web.get("/markets/MSFT/alerts", headers=HTMX))
    assert "AAPL rose above $235.00, now $236.00" in page_text(web.get("/alerts"))
