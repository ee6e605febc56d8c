"""No page asks the database more often because there is more to show.

Every page of the route table is fetched by somebody with few rows and by somebody with many.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from speedtrade.testing.routes import ROUTES

QUERIES_MOST = 25
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # speedtrade.testing.market.NOON
#: (positions, working orders, orders in all)
FEW, MANY = (10, 5, 20), (60, 50, 300)
PAGES = [
    case.address
    for cases in ROUTES.values()
    for case in cases
    if not case.json and case.answer("GET")[1] == 200
]


def somebody(name: str, size: tuple[int, int, int]) -> dict[str, Any]:
    """A user with so many rows: their client, and what their addresses are filled in with."""
    from accounts.models import User
    from accounts.selectors import account_for_user
    from marketdata.selectors import watchlist_default
    from portfolio.models import Position
    from speedtrade.testing.cast import page_client
    from speedtrade.testing.states import full_make

    positions, working, orders = size
    made = full_make(timezone.now(), name, positions=positions, working=working, orders=orders)
    user = User.objects.get(username=name)
    account = account_for_user(user=user)
    position = Position.objects.filter(brokerage_account=account).first()
    assert position is not None
    chosen = watchlist_default(user)
    assert chosen is not None
    names = {
        "order": made["filled"],
        "account": account.pk,
        "position": position.pk,
        "watchlist": chosen.pk,
    }
    return {"client": page_client(user), "names": names}


def prices_put() -> None:
    """A price for everything that can be traded."""
    from marketdata import quote_store
    from marketdata.models import Instrument
    from speedtrade.testing.market import quote

    now = timezone.now()
    quote_store.quotes_put(
        quote(symbol, now=now) for symbol in Instrument.objects.values_list("symbol", flat=True)
    )


def queries_of(who: dict[str, Any], path: str) -> list[str]:
    """The statements that one page costs them."""
    with CaptureQueriesContext(connection) as asked:
        response = who["client"].get(path.format(**who["names"]))
        b"".join(response.streaming_content) if response.streaming else response.content
    assert response.status_code == 200, path
    return [one["sql"] for one in asked]


@pytest.mark.django_db
@time_machine.travel(NOON)  # the table names months and years
def test_no_page_asks_more_often_when_there_is_more_to_show() -> None:
    from marketdata.services.instruments import instruments_load

    instruments_load()
    prices_put()
    few, many = somebody("few", FEW), somebody("many", MANY)
    wrong = []
    for path in PAGES:
        if set(re.findall(r"{(\w+)}", path)) - few["names"].keys():
            continue  # of a thing that this user has not got
        queries_of(few, path)  # what a process reads once does not count
        small, large = queries_of(few, path), queries_of(many, path)
        print(f"{path}: {len(small)}, {len(large)}")
        if len(large) > QUERIES_MOST or len(large) > len(small):
            wrong.append(f"{path}: {len(small)} queries with few rows, {len(large)} with many")
    assert not wrong, "\n".join(wrong)
