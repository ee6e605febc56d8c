"""The JSON doors of trading: shapes, filters, pages, refusals, and nobody else's rows."""

import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketdata.models import Instrument
from speedtrade.testing.cast import ApiClient, account_of
from trading.models import Order, OrderEvent
from trading.tests.desk import Desk

D = Decimal
LIMIT = {
    "symbol": "AAPL",
    "asset_type": "stock",
    "side": "buy",
    "order_type": "limit",
    "qty": "10",
    "limit_price": "95.00",
    "time_in_force": "gtc",
}
CONTRACT = {
    "id", "client_order_id", "account_id", "symbol", "asset_type", "side", "order_type",
    "time_in_force", "qty", "notional", "filled_qty", "avg_fill_price", "limit_price",
    "stop_price", "trail_price", "trail_percent", "status", "reject_reason", "submitted_at",
    "filled_at", "canceled_at", "created_at", "fills",
}  # fmt: skip
POSITION = {
    "symbol", "asset_type", "qty", "avg_price", "current_price", "unrealized_pl",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PLAIN = re.compile(r"-?\d+(\.\d+)?")


@pytest.fixture
def api(desk: Desk) -> ApiClient:
    return ApiClient(desk.user)


@pytest.fixture
def stranger(desk: Desk, charlie: Any) -> ApiClient:
    return ApiClient(charlie)


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, which must have this status and code and the house's shape."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer["Content-Type"].startswith("application/problem+json")
    assert set(body) == {"type", "title", "status", "detail", "code", "errors", "request_id"}
    return body


def fields(answer: Any) -> set[str]:
    return {error["field"] for error in problem(answer, 400, "invalid")["errors"]}


# ── placing ──────────────────────────────────────────────────────────────────
def test_a_new_order_has_every_field_of_the_contract(api: ApiClient, desk: Desk):
    answer = api.post("orders", LIMIT)
    order = answer.json()
    assert answer.status_code == 201
    assert set(order) >= CONTRACT
    assert {name: order[name] for name in LIMIT} == LIMIT
    assert order["account_id"] == desk.account.pk
    assert (order["status"], order["filled_qty"], order["fills"]) == ("pending_new", "0", [])
    nulls = {"notional", "avg_fill_price", "stop_price", "trail_price", "trail_percent"}
    nulls |= {"reject_reason", "submitted_at", "filled_at", "canceled_at"}
    assert {name for name in CONTRACT if order[name] is None} == nulls
    assert TIME.fullmatch(order["created_at"])


def test_a_filled_order_says_what_it_got(api: ApiClient, desk: Desk):
    desk.quote("99.99", "100.00", "4", "100", step="0.01")
    placed = desk.trade("buy", "10")
    order = api.get(f"orders/{placed.pk}").json()
    assert (order["status"], order["filled_qty"]) == ("filled", "10")
    assert order["avg_fill_price"] == "100.006"
    for name in ("submitted_at", "filled_at"):
        assert TIME.fullmatch(order[name])
    assert [(fill["qty"], fill["price"], fill["fee"]) for fill in order["fills"]] == [
        ("4", "100.00", "0.00"),
        ("6", "100.01", "0.00"),
    ]
    for fill in order["fills"]:
        assert set(fill) >= {"id", "qty", "price", "fee", "executed_at"}
        assert TIME.fullmatch(fill["executed_at"])


def test_numbers_travel_as_plain_strings(api: ApiClient, coins: Desk):
    placed = coins.trade("buy", "0.000021", symbol="BTC/USD", limit="50000.00")
    coins.trade("buy", notional="33.33", symbol="BTC/USD")
    for order in api.get("orders").json()["results"]:
        for name in ("qty", "notional", "filled_qty", "avg_fill_price", "limit_price"):
            assert order[name] is None or PLAIN.fullmatch(order[name]), (name, order[name])
    order = api.get(f"orders/{placed.pk}").json()
    assert (order["qty"], order["limit_price"]) == ("0.000021", "50000.00")
    assert order["fills"][0]["fee"] == "0.00105"


@pytest.mark.parametrize("spelling", ["BTC/USD", "BTC-USD", "BTCUSD", "btc-usd"])
def test_a_coin_may_be_spelled_in_three_ways(api: ApiClient, coins: Desk, spelling: str):
    body = {"symbol": spelling, "side": "buy", "order_type": "market", "notional": "100"}
    order = api.post("orders", body).json()
    assert (order["symbol"], order["asset_type"]) == ("BTC/USD", "crypto")
    assert (order["qty"], order["notional"], order["time_in_force"]) == (None, "100.00", "gtc")
    assert api.get(f"orders?symbol={spelling}").json()["results"][0]["id"] == order["id"]


def test_a_number_may_be_a_whole_json_number_but_no_float(api: ApiClient):
    assert api.post("orders", LIMIT | {"qty": 10}).status_code == 201
    assert fields(api.post("orders", LIMIT | {"qty": 1.5})) == {"qty"}


def test_the_same_key_gives_the_same_body(api: ApiClient):
    key = {"Idempotency-Key": "monday"}
    first = api.post("orders", LIMIT, **key)
    again = api.post("orders", LIMIT, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == 1
    problem(api.post("orders", LIMIT | {"qty": "11"}, **key), 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"qty": "10.500000", "limit_price": "95"},
        {"order_type": "market", "limit_price": None},
        {"order_type": "market", "limit_price": None, "qty": None, "notional": "33.3"},
    ],
)
def test_a_new_order_is_answered_as_it_will_be_read_without_reading_it(
    api: ApiClient, changes: dict[str, Any]
):
    body = {name: value for name, value in (LIMIT | changes).items() if value is not None}
    with CaptureQueriesContext(connection) as asked:
        answer = api.post("orders", body)
    assert answer.status_code == 201
    assert not [one["sql"] for one in asked if 'FROM "trading_fill"' in one["sql"]]
    assert answer.json() == api.get(f"orders/{answer.json()['id']}").json()


def test_a_client_order_id_is_a_key_too(api: ApiClient):
    body = LIMIT | {"client_order_id": "bot:2026-11-18.1"}
    first, again = api.post("orders", body), api.post("orders", body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["client_order_id"] == "bot:2026-11-18.1"
    problem(api.post("orders", body | {"qty": "11"}), 422, "idempotency_mismatch")
    other = {"Idempotency-Key": "another"}
    problem(api.post("orders", body, **other), 422, "client_order_id_taken")


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 201])
def test_an_odd_key_is_refused(api: ApiClient, key: str):
    answer = api.post("orders", LIMIT, **{"Idempotency-Key": key})
    assert fields(answer) == {"Idempotency-Key"}
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "change, wrong",
    [
        ({"symbol": None}, {"symbol"}),
        ({"symbol": ["AAPL"]}, {"symbol"}),
        ({"side": "hold"}, {"side"}),
        ({"side": None}, {"side"}),
        ({"order_type": "magic"}, {"order_type"}),
        ({"time_in_force": "soon"}, {"time_in_force"}),
        ({"asset_type": "bond"}, {"asset_type"}),
        ({"asset_type": "crypto"}, {"asset_type"}),
        ({"qty": None}, {"qty"}),
        ({"qty": "0"}, {"qty"}),
        ({"qty": "-1"}, {"qty"}),
        ({"qty": "1e3"}, {"qty"}),
        ({"qty": "NaN"}, {"qty"}),
        ({"qty": "١"}, {"qty"}),
        ({"qty": "1_000"}, {"qty"}),
        ({"qty": True}, {"qty"}),
        ({"qty": {"a": 1}}, {"qty"}),
        ({"qty": "1" * 19}, {"qty"}),
        ({"qty": "10", "notional": "100"}, {"qty"}),
        ({"qty": None, "notional": "100.001"}, {"notional"}),
        ({"limit_price": None}, {"limit_price"}),
        ({"limit_price": "99999999999"}, {"limit_price"}),
        ({"order_type": "market"}, {"limit_price"}),
        ({"stop_price": "90"}, {"stop_price"}),
        ({"trail_percent": "1"}, {"trail_percent"}),
        ({"extended_hours": "maybe"}, {"extended_hours"}),
        ({"client_order_id": "x" * 65}, {"client_order_id"}),
        ({"client_order_id": "a b"}, {"client_order_id"}),
        ({"client_order_id": "\x00"}, {"client_order_id"}),
        ({"account_id": "mine"}, {"account_id"}),
        ({"account_id": ""}, {"account_id"}),
        ({"account_id": True}, {"account_id"}),
        ({"account_id": 1.5}, {"account_id"}),
        ({"side": "x", "qty": "x", "limit_price": "x"}, {"side", "qty", "limit_price"}),
    ],
)
@pytest.mark.fault("F20")
def test_a_malformed_order_hears_which_fields_are_wrong(
    api: ApiClient, change: dict[str, Any], wrong: set[str]
):
    body = {name: value for name, value in (LIMIT | change).items() if value is not None}
    assert fields(api.post("orders", body)) == wrong
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"x"', "null", "NaN", '{"qty": NaN}', "[" * 5000, '{"a":' * 5000]
)
def test_a_body_that_is_no_json_object_is_refused(api: ApiClient, body: str):
    answer = api.post("orders", body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"


def test_a_dear_limit_sale_is_refused_and_not_a_crash(api: ApiClient, desk: Desk):
    """More than the price column holds: a tiny sale far above the market passes every cap."""
    desk.trade("buy", "1")
    body = LIMIT | {"side": "sell", "qty": "0.000001", "limit_price": "10000000000"}
    assert fields(api.post("orders", body)) == {"limit_price"}
    assert api.post("orders", body | {"limit_price": "9999999999.99"}).status_code == 201


@pytest.mark.parametrize(
    "change, code",
    [
        ({"symbol": "NOSUCH"}, (404, "unknown_symbol")),
        (
            {"order_type": "stop", "limit_price": None, "stop_price": "90"},
            (422, "order_type_unsupported"),
        ),
        ({"time_in_force": "opg"}, (422, "order_type_unsupported")),
        ({"limit_price": "95.005"}, (422, "price_off_grid")),
        ({"qty": "1.0000001"}, (422, "qty_off_grid")),
        ({"limit_price": "120.01"}, (422, "price_collar")),
        ({"qty": "5000"}, (422, "insufficient_buying_power")),
        ({"qty": "1000000"}, (422, "order_notional_limit")),
        ({"side": "sell"}, (422, "insufficient_position")),
        ({"account_id": 10**30}, (404, "not_found")),
        ({"account_id": -1}, (404, "not_found")),
    ],
)
def test_a_denied_order_hears_the_code(
    api: ApiClient, change: dict[str, Any], code: tuple[int, str]
):
    body = {name: value for name, value in (LIMIT | change).items() if value is not None}
    words = problem(api.post("orders", body), *code)
    assert words["detail"]
    assert not Order.objects.exists()


@pytest.mark.parametrize("path", ["orders", "portfolio/transfers"])
def test_the_account_may_stand_in_the_address_too(api: ApiClient, path: str):
    """Fails where it is not read there: the order of a script would go to the default account."""
    body = LIMIT if path == "orders" else {"direction": "deposit", "amount": "1"}
    own = account_of(api.user).pk
    problem(api.post(f"{path}?account_id={own + 1000}", body), 404, "not_found")
    problem(api.post(f"{path}?account_id={own + 1000}", body | {"account_id": own}), 400, "invalid")
    problem(api.post(f"{path}?account_id=", body), 400, "invalid")
    for given in (body, body | {"account_id": own}):
        assert api.post(f"{path}?account_id={own}", given).status_code == 201


@pytest.mark.parametrize("name", ["symbol", "side", "order_type"])
def test_a_field_of_spaces_is_an_empty_one(api: ApiClient, name: str):
    assert fields(api.post("orders", LIMIT | {name: "  "})) == {name}


@pytest.mark.parametrize(
    "legs",
    [
        {"order_class": "bracket"},
        {"take_profit": {"limit_price": "120"}},
        {"stop_loss": {"stop_price": "80"}},
        {"legs": [{}]},
    ],
)
def test_an_order_that_should_bring_others_with_it_is_not_placed_alone(
    api: ApiClient, legs: dict[str, Any]
):
    """Fails where they are left out in silence: a stop that was asked for would not be there."""
    assert fields(api.post("orders", LIMIT | legs)) == set(legs)
    assert not Order.objects.exists()
    assert api.post("orders", LIMIT | {"order_class": "simple"}).status_code == 201


def test_an_identical_order_is_no_question_in_the_api(api: ApiClient):
    assert [api.post("orders", LIMIT).status_code for _ in range(2)] == [201, 201]
    assert Order.objects.count() == 2


# ── reading ──────────────────────────────────────────────────────────────────
@pytest.fixture
def history(coins: Desk) -> dict[str, int]:
    """One order of each kind."""
    return {
        "filled": coins.trade("buy", "10").pk,
        "open": coins.trade("sell", "1", limit="110.00").pk,
        "canceled": coins.cancel(coins.trade("buy", "1", limit="90.00")).pk,
        "coin": coins.trade("buy", "0.01", symbol="BTC/USD", limit="40000.00").pk,
    }


@pytest.mark.parametrize(
    "query, found",
    [
        ("", ["coin", "canceled", "open", "filled"]),
        ("status=all", ["coin", "canceled", "open", "filled"]),
        ("status=open", ["coin", "open"]),
        ("status=closed", ["canceled", "filled"]),
        ("side=sell", ["open"]),
        ("asset_type=crypto", ["coin"]),
        ("symbol=AAPL", ["canceled", "open", "filled"]),
        ("symbol=AAPL&status=open&side=sell&asset_type=stock", ["open"]),
        ("symbol=BTC-USD&side=sell", []),
    ],
)
def test_orders_are_filtered_newest_first(
    api: ApiClient, history: dict[str, int], query: str, found: list[str]
):
    body = api.get(f"orders?{query}").json()
    assert [order["id"] for order in body["results"]] == [history[name] for name in found]
    assert set(body) == {"next", "previous", "results"}


@pytest.mark.parametrize("value", ["x", ""])
@pytest.mark.parametrize("name", ["status", "side", "asset_type", "account_id", "limit"])
def test_a_filter_that_makes_no_sense_is_refused(api: ApiClient, name: str, value: str):
    """One that is empty as well: a script that forgot its account must not mean another one."""
    assert fields(api.get(f"orders?{name}={value}")) == {name}


def test_an_unknown_symbol_in_a_filter_is_said(api: ApiClient):
    problem(api.get("orders?symbol=NOSUCH"), 404, "unknown_symbol")


def test_pages_neither_repeat_nor_lose_an_order_while_others_arrive(api: ApiClient, desk: Desk):
    """Seven orders, two a page, some of one instant; another arrives between the pages."""
    made = []
    for seconds in (1, 0, 1, 1, 0, 1, 1):  # the ties fall on the edges of pages
        desk.wait(seconds)
        made.append(desk.place("buy", "1", limit="90.00").pk)
    page = api.get("orders?limit=2").json()
    assert page["previous"] is None
    seen = [order["id"] for order in page["results"]]
    desk.wait(1)
    desk.place("buy", "1", limit="90.00")
    while page["next"]:
        page = api.get(page["next"].partition("/api/v1/")[2]).json()
        seen += [order["id"] for order in page["results"]]
    assert seen == made[::-1]
    assert page["previous"]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x"])
def test_an_odd_limit_is_told(api: ApiClient, desk: Desk, query: str):
    desk.place("buy", "1", limit="90.00")
    assert api.get(f"orders?{query}").status_code == 400


# "p=x", "p=" and a moment of no time zone; what is no base64 at all.
@pytest.mark.parametrize(
    "cursor", ["nonsense", "cD14", "cD0=", "!!!!", "ä", "cD0yMDI2LTAxLTAyKzAzOjA0OjA1"]
)
def test_a_cursor_that_is_none_is_no_page(api: ApiClient, desk: Desk, cursor: str):
    desk.place("buy", "1", limit="90.00")
    problem(api.get(f"orders?cursor={cursor}"), 404, "not_found")


def test_no_part_of_a_cursor_is_another_place(
    api: ApiClient, desk: Desk, clock: time_machine.Traveller, settings: Any
):
    settings.RATE_API_PER_USER = "600/minute"
    for _ in range(3):
        desk.place("buy", "1", limit="90.00")
        clock.shift(1.5)
    whole = parse_qs(urlsplit(api.get("orders?limit=1").json()["next"]).query)["cursor"][0]
    second = api.get(f"orders?limit=1&cursor={quote(whole)}").json()["results"]
    for length in range(1, len(whole)):
        answer = api.get(f"orders?limit=1&cursor={quote(whole[:length])}")
        assert answer.status_code == 404 or answer.json()["results"] == second, whole[:length]


def test_a_page_has_a_largest_size(api: ApiClient, settings):
    settings.RATE_API_PER_USER = "600/minute"
    assert api.get("orders?limit=100000").status_code == 200


def test_a_list_costs_the_same_for_one_order_and_for_many(
    api: ApiClient, desk: Desk, django_assert_max_num_queries
):
    for _ in range(6):
        desk.trade("buy", "1")
    with django_assert_max_num_queries(8):
        assert len(api.get("orders").json()["results"]) == 6


def test_placing_an_order_takes_no_more_statements_than_it_did(api: ApiClient, desk: Desk):
    """Each costs a round trip under the account's lock: one more needs a reason."""
    api.post("orders", LIMIT)  # pockets are made once
    with CaptureQueriesContext(connection) as queries:
        assert api.post("orders", LIMIT).status_code == 201
    asked = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(asked) <= 8, asked


# ── canceling ────────────────────────────────────────────────────────────────
def test_a_cancel_of_what_nobody_was_told_is_done_at_once(api: ApiClient, desk: Desk):
    order = desk.place("buy", "1", limit="90.00")
    answer = api("DELETE", f"orders/{order.pk}")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert TIME.fullmatch(answer.json()["canceled_at"])
    problem(api("DELETE", f"orders/{order.pk}"), 409, "order_final")


def test_a_cancel_of_a_working_order_is_accepted(api: ApiClient, desk: Desk):
    order = desk.trade("buy", "1", limit="90.00")
    answer = api("DELETE", f"orders/{order.pk}")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending_cancel")
    assert api("DELETE", f"orders/{order.pk}").status_code == 202
    desk.send(order)
    assert api.get(f"orders/{order.pk}").json()["status"] == "canceled"
    event = OrderEvent.objects.get(order=order, new_state="pending_cancel")
    assert (event.source, event.actor) == ("api", desk.user)


def test_a_filled_order_cannot_be_canceled_or_replaced(api: ApiClient, desk: Desk):
    order = desk.trade("buy", "1")
    problem(api("DELETE", f"orders/{order.pk}"), 409, "order_final")
    problem(api("PATCH", f"orders/{order.pk}", {"qty": "2"}), 409, "order_final")


# ── strangers ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("method, body", [("GET", None), ("DELETE", None), ("PATCH", {"qty": "2"})])
def test_a_stranger_finds_no_order(
    stranger: ApiClient, desk: Desk, method: str, body: dict[str, str] | None
):
    """Fails without the owner in the look-up."""
    order = desk.trade("buy", "1", limit="90.00")
    answer = stranger(method, f"orders/{order.pk}", body)
    words = problem(answer, 404, "not_found")
    gone = problem(stranger(method, "orders/999999999", body), 404, "not_found")
    assert words["detail"] == gone["detail"], "what is another's looks like what is not there"
    assert desk.fresh(order).state == "new"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_stranger_finds_no_position(stranger: ApiClient, desk: Desk, method: str):
    desk.trade("buy", "1")
    problem(stranger(method, f"positions/{desk.position().pk}"), 404, "not_found")
    assert desk.shares() == 1


def test_a_stranger_sees_and_places_nothing_in_another_account(stranger: ApiClient, desk: Desk):
    desk.trade("buy", "1")
    pk = desk.account.pk
    problem(stranger.get(f"orders?account_id={pk}"), 404, "not_found")
    problem(stranger.get(f"positions?account_id={pk}"), 404, "not_found")
    problem(stranger.post("orders", LIMIT | {"account_id": pk}), 404, "not_found")
    assert stranger.get("orders").json()["results"] == []
    assert stranger.get("positions").json() == []


@pytest.mark.parametrize("path", ["orders", "orders/1", "positions", "positions/1"])
def test_nobody_gets_in_without_a_token(desk: Desk, path: str):
    problem(ApiClient().get(path), 401, "not_authenticated")


@pytest.mark.parametrize(
    "path", ["orders/99999999999999999999999", "positions/99999999999999999999"]
)
def test_an_id_beyond_all_bounds_is_not_found(api: ApiClient, path: str):
    problem(api.get(path), 404, "not_found")


# ── positions ────────────────────────────────────────────────────────────────
def test_positions_are_listed_and_shown(api: ApiClient, coins: Desk):
    coins.trade("buy", "10")
    coins.trade("buy", "0.01", symbol="BTC/USD")
    both = api.get("positions").json()
    assert [position["symbol"] for position in both] == ["AAPL", "BTC/USD"]
    assert set(both[0]) >= POSITION
    one = api.get(f"positions/{both[0]['id']}").json()
    assert one == both[0]
    assert (one["qty"], one["avg_price"], one["current_price"]) == ("10", "100.00", "100.00")


def test_a_position_is_closed_with_a_market_order(api: ApiClient, desk: Desk):
    desk.trade("buy", "2.5")
    pk = desk.position().pk
    answer = api("DELETE", f"positions/{pk}", None, **{"Idempotency-Key": "close"})
    order = answer.json()
    assert answer.status_code == 201
    assert (order["side"], order["order_type"], order["qty"]) == ("sell", "market", "2.5")
    again = api("DELETE", f"positions/{pk}", None, **{"Idempotency-Key": "close"})
    assert (again.status_code, again.json()["id"]) == (200, order["id"])
    desk.work(Order.objects.get(pk=order["id"]))
    assert desk.shares() == 0
    problem(api.get(f"positions/{pk}"), 404, "not_found")
    problem(api("DELETE", f"positions/{pk}"), 404, "not_found")


def test_a_close_leaves_a_crumb_that_is_finer_than_the_step(api: ApiClient, desk: Desk):
    """Fails where the whole is sold as it is: of a broker's finer fills nothing could be closed."""
    desk.trade("buy", "2")
    Instrument.objects.update(qty_step=D("0.3"))
    order = api("DELETE", f"positions/{desk.position().pk}").json()
    assert order["qty"] == "1.8"


def test_the_retry_of_a_close_gets_its_order_when_the_position_is_gone(api: ApiClient, desk: Desk):
    desk.trade("buy", "2.5")
    pk = desk.position().pk
    order = api("DELETE", f"positions/{pk}", None, **{"Idempotency-Key": "close"}).json()
    desk.work(Order.objects.get(pk=order["id"]))
    again = api("DELETE", f"positions/{pk}", None, **{"Idempotency-Key": "close"})
    assert (again.status_code, again.json()["id"]) == (200, order["id"])
    desk.trade("buy", "1", key="buy")
    answer = api("DELETE", f"positions/{pk}", None, **{"Idempotency-Key": "buy"})
    problem(answer, 422, "idempotency_mismatch")


def test_a_sale_under_a_key_is_no_close_under_that_key(api: ApiClient, desk: Desk):
    """Fails where any market sale counts: nine of ten would be left, and "closed" was said."""
    desk.trade("buy", "10")
    desk.trade("sell", "1", key="mine")
    answer = api("DELETE", f"positions/{desk.position().pk}", None, **{"Idempotency-Key": "mine"})
    problem(answer, 422, "idempotency_mismatch")
    assert desk.shares() == 9


def test_shares_that_are_on_hold_cannot_be_closed(api: ApiClient, desk: Desk):
    desk.trade("buy", "2")
    desk.trade("sell", "1", limit="110.00")
    answer = api("DELETE", f"positions/{desk.position().pk}")
    problem(answer, 422, "insufficient_position")


def test_too_many_orders_in_a_minute_are_refused(api: ApiClient, settings):
    settings.RATE_ORDERS_PER_USER = "2/minute"
    answers = [api.post("orders", LIMIT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(problem(answers[2], 429, "rate_limited") and answers[2]["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["orders/", "positions/"])
def test_a_slash_at_the_end_changes_nothing(api: ApiClient, path: str):
    assert api.get(path).status_code == 200


def test_accounts_are_chosen_by_id(api: ApiClient, desk: Desk):
    pk = account_of(desk.user).pk
    assert api.post("orders", LIMIT | {"account_id": pk}).status_code == 201
    assert api.post("orders", LIMIT | {"account_id": str(pk)}).status_code == 201
    assert len(api.get(f"orders?account_id={pk}").json()["results"]) == 2
