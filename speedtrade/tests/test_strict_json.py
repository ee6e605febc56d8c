"""What the API takes for a body: one JSON object, each of whose names is there once."""

import json
from typing import Any

import pytest

from speedtrade.testing.cast import ApiClient
from trading.models import Order
from trading.tests.conftest import clock, desk  # noqa: F401  # the fixtures

ORDER = {
    "symbol": "AAPL",
    "asset_type": "stock",
    "side": "buy",
    "order_type": "limit",
    "qty": "1",
    "limit_price": "95.00",
    "time_in_force": "gtc",
}
BODY = json.dumps(ORDER)
DUPLICATE = "duplicate"


@pytest.fixture
def api(desk: Any) -> ApiClient:  # noqa: F811
    return ApiClient(desk.user)


def with_more(text: str) -> str:
    """The order, and behind its last field `text`."""
    return f"{BODY[:-1]}, {text}}}"


def refusal(answer: Any) -> dict[str, str]:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "invalid"), body
    assert answer.headers["Content-Type"] == "application/problem+json"
    (error,) = body["errors"]
    return dict(error)


@pytest.mark.parametrize("again", ['"qty":"100"', '"qty":"1"', '"q\\u0074y":"100"', '"qty":null'])
def test_an_order_that_says_a_field_twice_is_none(api: ApiClient, again: str):
    """Whoever read it before us, a proxy or a log, may have taken the other quantity."""
    error = refusal(api.post("orders", with_more(again)))
    assert (error["field"], error["code"]) == ("qty", DUPLICATE)
    assert error["detail"] == "The body has this name twice. Send it once."
    assert not Order.objects.exists()
    assert api.post("orders", BODY).status_code == 201  # said once it is one


@pytest.mark.parametrize("inside", ['{"a":1,"a":2}', '[[{"b":{"a":1,"a":1}}]]'])
def test_so_is_one_that_says_it_twice_at_any_depth(api: ApiClient, inside: str):
    error = refusal(api.post("orders", with_more(f'"note":{inside}')))
    assert (error["field"], error["code"]) == ("a", DUPLICATE)
    assert not Order.objects.exists()


def test_one_name_in_two_objects_is_once_in_each(api: ApiClient):
    answer = api.post("orders", with_more('"note":{"qty":"1","b":{"qty":"2"}}'))
    assert DUPLICATE not in {error["code"] for error in answer.json().get("errors", [])}


@pytest.mark.parametrize("name", ["\\ud800", "é", "n" * 61])
def test_a_name_that_no_answer_could_carry_is_not_in_it(api: ApiClient, name: str):
    error = refusal(api.post("orders", with_more(f'"{name}":1,"{name}":2')))
    assert (error["field"], error["code"]) == ("", DUPLICATE)


def test_a_log_in_with_two_names_is_none(db: None):
    body = '{"username":"alice","password":"x","username":"bob"}'
    assert refusal(ApiClient().post("auth/login", body))["field"] == "username"


@pytest.mark.parametrize("field", ["symbol", "side", "client_order_id", "qty"])
@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "a\\udbff\\u0041"])
def test_half_a_pair_of_surrogates_is_no_text(api: ApiClient, field: str, half: str) -> None:
    """Fails where a message repeats it: no answer can carry it, and it was a 500."""
    text = json.dumps(ORDER | {field: "HERE"}).replace("HERE", half)
    assert api.post("orders", text).status_code == 400
    assert not Order.objects.exists()


def test_half_a_pair_in_a_choice_is_refused(api: ApiClient) -> None:
    text = '{"direction": "\\ud800", "amount": "1"}'
    assert api.post("portfolio/transfers", text).status_code == 400


def test_a_whole_pair_is_a_letter(api: ApiClient) -> None:
    text = json.dumps(ORDER | {"symbol": "\U0001f600"})
    assert api.post("orders", text).status_code in (400, 404)
