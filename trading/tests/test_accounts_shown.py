"""With several accounts an order goes where its own page said, and its money frames its page."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount
from accounts.second_factor import factors_forget
from accounts.services.connections import account_connect
from accounts.services.syncs import account_activate
from accounts.sessions import FACTOR_AT
from speedtrade.lib import live
from speedtrade.testing.cast import ApiClient, give_app, page_client
from trading.models import Order
from trading.selectors.facts import limits
from trading.tests.desk import Desk

LIVE_FRAME = 'class="shell live"'


@pytest.fixture
def real(desk: Desk) -> BrokerageAccount:
    """Alice's live account, which her session shows."""
    give_app(desk.user)
    account = account_connect(
        user=desk.user,
        broker="alpaca",
        mode="live",
        key=BrokerKey("AKALICE", "s" * 40),
        confirm_live="live",
        now=timezone.now(),
    )
    account_activate(account_id=account.pk, now=timezone.now())
    account.refresh_from_db()
    return account


@pytest.fixture
def web(desk: Desk, real: BrokerageAccount) -> Client:
    browser = page_client(desk.user)
    browser.post("/settings/brokers/choose", {"account_id": real.pk})
    return browser


def test_the_ticket_of_a_live_account_says_so(web: Client, real: BrokerageAccount):
    page = web.get("/markets/AAPL").content.decode()
    ticket = page[page.index('id="ticket"') :]
    assert LIVE_FRAME in page and "live-mark" in ticket and "orders move real money" in ticket
    assert f'name="account_id" value="{real.pk}"' in ticket
    assert "No real money moves" not in page


def test_an_order_goes_to_the_account_that_its_ticket_named(desk: Desk, web: Client, real: Any):
    """The session shows the live account; the ticket was opened on paper, in another window."""
    typed = {"side": "buy", "order_type": "limit", "limit_price": "90", "unit": "shares"}
    typed |= {"amount": "1", "time_in_force": "day", "account_id": str(desk.account.pk)}
    review = web.post("/markets/AAPL/review", typed)
    page = review.content.decode()
    assert review.status_code == 200 and LIVE_FRAME not in page and ">PAPER</span>" in page
    placed = web.post("/orders/place", {"token": review.context["review"].token})
    order = Order.objects.get()
    assert placed.url == f"/orders/{order.pk}" and order.brokerage_account == desk.account
    assert LIVE_FRAME not in web.get(placed.url).content.decode()
    assert LIVE_FRAME in web.get("/orders").content.decode()
    assert web.get(f"/orders/{order.pk}/events").context["shown"] == desk.account


def test_all_orders_of_the_account_on_the_page_are_canceled_and_no_others(desk: Desk, web: Client):
    order = desk.work(desk.place("buy", "1", limit="90.00"))
    web.post("/orders/cancel-all", {"confirm": "CANCEL"})
    assert desk.fresh(order).is_open
    web.post("/orders/cancel-all", {"confirm": "CANCEL", "account_id": desk.account.pk})
    assert not desk.fresh(order).is_open or desk.fresh(order).state == "pending_cancel"


def test_programs_name_an_account_or_get_the_default_one(desk: Desk, real: BrokerageAccount):
    desk.trade("buy", "1")
    script = ApiClient(user=desk.user)
    lists = ("orders", "portfolio", "positions", "portfolio/positions", "portfolio/history")
    for path in (*lists, "portfolio/activity"):
        default = script.get(path).json()
        assert script.get(f"{path}?account_id={desk.account.pk}").json() == default, path
        assert script.get(f"{path}?account_id={real.pk}").json() != default, path
        assert script.get(f"{path}?account_id=0").status_code == 404, path


def test_live_figures_are_those_of_the_account_that_was_named(desk: Desk, real: Any, charlie: Any):
    desk.trade("buy", "1")
    held = [
        live.holdings_load(desk.user.pk, desk.now, account_id)
        for account_id in (None, desk.account.pk, real.pk)
    ]
    assert [one.symbols for one in held if one] == [("AAPL",), ("AAPL",), ()]
    assert live.holdings_load(charlie.pk, desk.now, desk.account.pk) is None


def test_the_cap_of_an_account_is_the_lower_of_two(
    desk: Desk, real: BrokerageAccount, settings: Any
):
    assert limits(desk.account) == limits()
    assert limits(real).max_day_notional == real.day_cap == settings.LIVE_DAY_CAP
    settings.RISK_MAX_DAY_NOTIONAL = real.day_cap - 1
    assert limits(real).max_day_notional == real.day_cap - 1
    assert not limits(real).own_day


ORDER = {"side": "buy", "order_type": "limit", "limit_price": "90", "unit": "shares"}
ORDER |= {"amount": "1", "time_in_force": "day"}
REFUSED = {"no factor": "Real money takes a second factor.", "not shown": "did not show it"}


@pytest.mark.parametrize("how", REFUSED)
def test_a_page_moves_real_money_only_behind_a_second_factor(desk: Desk, web: Client, how: str):
    """A review is refused, and so is a token that was got before."""
    typed = {**ORDER, "account_id": str(desk.account.pk)}
    token = web.post("/markets/AAPL/review", typed).context["review"].token
    BrokerageAccount.objects.filter(pk=desk.account.pk).update(broker="alpaca", mode="live")
    session = web.session
    del session[FACTOR_AT]
    session.save()
    if how == "no factor":
        factors_forget(desk.user)
    for answer in (
        web.post("/markets/AAPL/review", typed),
        web.post("/orders/place", {"token": token}),
    ):
        assert answer.status_code == 422 and REFUSED[how] in answer.content.decode()
    assert not Order.objects.exists()


def test_a_script_moves_real_money_only_with_a_second_factor(desk: Desk, real: BrokerageAccount):
    body = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "limit_price": "90", "qty": "1"}
    factors_forget(desk.user)
    answer = ApiClient(user=desk.user).post("orders", {**body, "account_id": real.pk})
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_missing")
    assert not Order.objects.exists()
    assert ApiClient(user=desk.user).post("orders", body).status_code == 201
