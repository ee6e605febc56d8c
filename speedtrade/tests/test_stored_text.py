"""Text that somebody stored is text on every page: markup in it is never markup of ours."""

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from accounts.models import AccountStatus, ApiKey, BrokerageAccount
from accounts.tests.test_api_keys import make_key
from marketdata.models import Instrument
from speedtrade.testing import market
from speedtrade.testing.cast import account_of, make_superuser, make_user, page_client
from speedtrade.testing.routes import ROUTES
from trading.models import Order
from trading.tests.desk import Desk

CORPUS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title><b onclick=alert(1)>",
)
#: What would be markup, had it come through.
LIVE = ("<script>alert(1)", "<img src=x", "<svg/onload", "<b onclick")
PAGES = [
    case.address for cases in ROUTES.values() for case in cases if case.answer("GET")[1] == 200
]


@pytest.fixture
def desk(db: Any) -> Iterator[Desk]:
    with time_machine.travel(market.NOON, tick=False) as clock:
        alice = make_user("alice")
        yield Desk(alice, account_of(alice), clock)


def soil(desk: Desk, text: str) -> dict[str, Any]:
    """Put the text wherever a text is kept, past every check; Alice's things by name."""
    desk.quote("99.99", "100.00")
    desk.trade("buy", "2")
    waiting = desk.work(desk.place("buy", "1", limit="50.00"))
    key, _ = make_key(desk.user, now=timezone.now())
    watchlist = desk.user.watchlists.get()
    Instrument.objects.update(name=text, halt_reason=text)
    Order.objects.update(reject_reason=text)
    ApiKey.objects.update(name=text)
    BrokerageAccount.objects.update(label=text, status_reason=text, status=AccountStatus.FROZEN)
    type(watchlist).objects.update(name=text)
    return {
        "account": desk.account.pk,
        "order": waiting.pk,
        "position": desk.position().pk,
        "watchlist": watchlist.pk,
        "alert": 0,
        "key": key.pk,
    }


def said_by(client: Any, address: str) -> str:
    answer = client.get(address)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    # A file or an answer of the API is no page: a browser makes no markup of it.
    return content.decode() if answer.headers["Content-Type"].startswith("text/html") else ""


@pytest.mark.parametrize("text", CORPUS)
def test_no_page_makes_markup_of_a_stored_text(desk, text):
    names, browser = soil(desk, text), page_client(desk.user)
    said = {page: said_by(browser, page.format_map(names)) for page in PAGES}
    staff = page_client(make_superuser())
    for model in ("accounts/brokerageaccount", "accounts/apikey", "trading/order"):
        said[f"admin {model}"] = said_by(staff, f"/admin/{model}/")
    assert [page for page, html in said.items() if any(mark in html for mark in LIVE)] == []
    # It was there to be found, as text.
    shown = [page for page, html in said.items() if "alert(1)" in html]
    assert len(shown) >= 12, shown
