"""The API under a fuzzer, as two users with tokens; the books and the neighbour afterwards.

`make fuzz EXAMPLES=n` looks longer. What is found here is mended in the product, and has a test of
its own beside the door.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.apps import apps

from accounts.models import User
from marketdata.services.alerts import alert_create
from portfolio.services.rebuild import ledger_differences
from speedtrade.testing import market
from speedtrade.testing.cast import ApiClient, account_of, make_user
from tests.fuzz import engine
from trading.tests.desk import Desk

pytestmark = pytest.mark.fuzz
EXAMPLES = int(os.environ.get("EXAMPLES", "4"))  # of each door and user, by dice
SEED = int(os.environ.get("SEED", "20261127"))
STEPS = 4  # of one chain of calls
MANY = "1000000/second"
RATES = [
    "RATE_LOGIN_PER_ADDRESS",
    "RATE_REGISTER_PER_ADDRESS",
    "RATE_WRONG_PASSWORD",
    "RATE_API_PER_USER",
    "RATE_ORDERS_PER_USER",
    "RATE_CONNECT_PER_USER",
]
#: What a user has, by the path from a row to its user.
ROWS = {
    "accounts.BrokerageAccount": "user",
    "marketdata.Alert": "user",
    "portfolio.CashTransfer": "brokerage_account__user",
    "portfolio.JournalEntry": "brokerage_account__user",
    "portfolio.LedgerAccount": "brokerage_account__user",
    "portfolio.Position": "brokerage_account__user",
    "trading.Order": "brokerage_account__user",
}
#: What may be none: nobody has one at first, or its owner could delete it.
GOING = {"portfolio.CashTransfer", "marketdata.Alert"}
SYMBOLS = ["AAPL", "BTC/USD", "BTC-USD"]


@pytest.fixture
def house(django_db_reset_sequences: None, settings: Any) -> Iterator[None]:
    """No rate ends the run, and no vendor is asked. The same ids each time: the dice see them."""
    for name in RATES:
        setattr(settings, name, MANY)
    settings.ALLOWED_HOSTS = ["localhost", "testserver"]
    settings.ALPACA_TRADING_URL = settings.ALPACA_LIVE_TRADING_URL = "http://127.0.0.1:1"
    yield


def things_of(name: str) -> tuple[User, dict[str, int]]:
    """A user who has one of each, and their ids by the names of the document."""
    desk: Any = Desk(make_user(name), None, None)  # type: ignore[arg-type] # on real time
    desk.account = account_of(desk.user)
    desk.quote("99.99", "100.00")
    desk.quote("49990.00", "50000.00", symbol="BTC/USD")
    assert desk.trade("buy", "2").state == "filled"
    alert = alert_create(
        user=desk.user, symbol="AAPL", direction="above", price=market.D(150), now=desk.now
    )
    return desk.user, {
        "account_id": desk.account.pk,
        "order_id": desk.work(desk.place("buy", "1", limit="50.00")).pk,
        "position_id": desk.position().pk,
        "alert_id": alert.pk,
    }


def rows_of(user: User) -> dict[str, list[Any]]:
    """Everything that belongs to a user, as it stands."""
    return {
        label: list(apps.get_model(label).objects.filter(**{path: user}).order_by("pk").values())
        for label, path in ROWS.items()
    }


def refused(found: engine.Outcome) -> str:
    return "\n\n".join([*found.errors, *found.failures.values()])


def test_nothing_that_the_document_allows_or_forbids_breaks_the_api(house):
    """0 failures of all checks, as Alice with what she has and as Charlie who knows her ids."""
    alice, hers = things_of("alice")
    charlie, his = things_of("charlie")
    known = {name: [number, his[name]] for name, number in hers.items()} | {"symbol": SYMBOLS}
    for user, neighbour, foreign in ((alice, charlie, his), (charlie, alice, hers)):
        before = rows_of(neighbour)
        assert all(before[label] for label in ROWS.keys() - GOING)
        found = engine.run(
            token=ApiClient(user=user).token,
            things=known,
            foreign=foreign,
            examples=EXAMPLES,
            steps=STEPS,
            seed=SEED,
        )
        print(f"{user}: {found.total} calls, {found.asked_foreign} with the neighbour's ids")
        assert not refused(found), refused(found)
        assert found.asked_foreign > 0 and found.opened_foreign == []
        assert rows_of(neighbour) == before
    assert [str(one) for one in ledger_differences()] == []


def doors_with_ids() -> list[Any]:
    paths = yaml.safe_load(engine.DOCUMENT.read_text("utf-8"))["paths"]
    return [
        pytest.param(method.upper(), path, id=f"{method} {path}")
        for path, methods in paths.items()
        for method in methods
        if "_id}" in path
    ]


BODIES = {
    "PATCH": {"label": "Mine now", "qty": "3"},
    "PUT": {"api_key": "PKX", "secret_key": "s" * 40},
}


@pytest.fixture
def neighbours(house: None) -> tuple[User, User, dict[str, int]]:
    alice, hers = things_of("alice")
    return alice, make_user("charlie"), hers


def test_each_door_with_an_id_tells_a_stranger_that_there_is_no_such_thing(neighbours):
    alice, charlie, hers = neighbours
    script, before = ApiClient(user=charlie), rows_of(alice)
    answers = {}
    for param in doors_with_ids():
        method, path = param.values
        for spelling in (path, f"{path}/"):
            answer = script(method, spelling.format(**hers), BODIES.get(method))
            answers[method, spelling] = (answer.status_code, answer.json()["code"])
    assert len(answers) >= 20
    assert set(answers.values()) == {(404, "not_found")}, answers
    assert rows_of(alice) == before
    own = ApiClient(user=alice)  # the doors are there
    assert own.get(f"orders/{hers['order_id']}").status_code == 200


@pytest.mark.parametrize(
    "door",
    [
        "orders",
        "positions",
        "portfolio",
        "portfolio/positions",
        "portfolio/positions/AAPL",
        "portfolio/history",
        "portfolio/activity",
    ],
)
def test_a_stranger_who_names_an_account_in_a_query_is_told_the_same(neighbours, door):
    _, charlie, hers = neighbours
    answer = ApiClient(user=charlie).get(f"{door}?account_id={hers['account_id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("door", "body"),
    [
        ("orders", {"symbol": "AAPL", "side": "buy", "order_type": "market", "qty": "1"}),
        ("portfolio/transfers", {"direction": "withdrawal", "amount": "1"}),
    ],
)
def test_a_stranger_who_names_an_account_in_a_body_changes_nothing(neighbours, door, body):
    alice, charlie, hers = neighbours
    before = rows_of(alice)
    answer = ApiClient(user=charlie).post(door, {**body, "account_id": hers["account_id"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert rows_of(alice) == before
