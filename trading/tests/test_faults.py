"""Faults at the door of the API that nothing else here is about: locks that wait, odd bodies."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import BrokerageAccount
from portfolio.models import Hold
from speedtrade.testing.cast import ApiClient
from trading.models import Order
from trading.tests.desk import Desk
from trading.tests.test_api import LIMIT, problem

LOCK_WAIT = "200ms"  # in place of LOCK_TIMEOUT, so that the test is short


@contextmanager
def account_held(account: BrokerageAccount) -> Iterator[None]:
    """Somebody else holds the account's row until the end of the block."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            BrokerageAccount.objects.select_for_update().get(pk=account.pk)
            held.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join(10)


@pytest.mark.fault("F12")
@pytest.mark.django_db(transaction=True)
def test_a_lock_that_does_not_come_is_a_503_and_the_same_key_makes_the_order_later(desk: Desk):
    api = ApiClient(desk.user)

    def post() -> Any:
        return api.post("/orders", LIMIT, **{"Idempotency-Key": "once"})

    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
    with account_held(desk.account):
        answer = post()
        problem(answer, 503, "unavailable")
        assert int(answer["Retry-After"]) > 0
        assert not Order.objects.exists()
        assert not Hold.objects.exists()
    first, again = post(), post()
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.fault("F18", "F20")
@pytest.mark.parametrize(
    "body",
    [
        lambda: "[" * 60_000,
        lambda: '{"qty":' * 5_000 + "1" + "}" * 5_000,
        lambda: json.dumps({**LIMIT, **{f"field{n}": n for n in range(4_000)}}),
        lambda: json.dumps({**LIMIT, "qty": "9" * 50_000}),
        lambda: json.dumps(LIMIT).replace('"10"', "1e999"),
        lambda: json.dumps(LIMIT).replace('"10"', "NaN"),
        lambda: json.dumps(LIMIT).replace('"10"', "9" * 5_000),
        lambda: json.dumps({**LIMIT, "client_order_id": "\ud800"}),
        lambda: " " * 70_000 + json.dumps(LIMIT),
    ],
    ids=["deep", "deeper", "wide", "long", "overflow", "nan", "digits", "surrogate", "padded"],
)
def test_a_body_that_attacks_is_refused_in_words(desk: Desk, body: Callable[[], str]):
    api = ApiClient(desk.user)
    answer = api.client.post(
        "/api/v1/orders",
        body(),
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )
    assert answer.status_code in {400, 413}, answer.content
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not Order.objects.exists()
