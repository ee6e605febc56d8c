"""What its owner makes of an account: limits of their own, and no review of small orders."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, BrokerageAccount
from accounts.services.limits import account_limits_change
from accounts.services.preferences import user_preferences_change
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import ApiClient, page_client
from trading.domain.orders import Changes
from trading.domain.risk import Denied
from trading.models import Order
from trading.services.replacements import order_replace
from trading.tests.desk import Desk
from trading.tests.test_pages import MARKET_BUY, place, reviewed, text, token_of

D = Decimal
LIMIT_BUY = MARKET_BUY | {"order_type": "limit", "limit_price": "50"}
WHERE = "your own limit, in the settings under Trading"


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


def limited(desk: Desk, **caps: str) -> None:
    account_limits_change(
        account=desk.account,
        caps={name: D(cap) for name, cap in caps.items()},
        actor=desk.user,
        now=desk.now,
    )


# ── own limits ───────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "cap, qty, expected",
    [
        ("order_cap", "9.9999", ""),
        ("order_cap", "10", ""),
        ("order_cap", "10.0001", "order_notional_limit"),
        ("day_cap", "9.9999", ""),
        ("day_cap", "10", ""),
        ("day_cap", "10.0001", "day_notional_limit"),
    ],
)
def test_both_doors_refuse_what_is_beyond_an_own_limit(
    desk: Desk, web: Client, cap: str, qty: str, expected: str
):
    limited(desk, **{cap: "500"})
    body = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "limit_price": "50"}
    reviewing = web.post("/markets/AAPL/review", LIMIT_BUY | {"amount": qty})
    assert reviewing.status_code == (422 if expected else 200)
    answer = ApiClient(user=desk.user).post("orders", {**body, "qty": qty})
    assert answer.status_code == (422 if expected else 201), answer.json()
    if expected:
        assert answer.json()["code"] == expected and WHERE in answer.json()["detail"]
        assert WHERE in text(reviewing)
        assert not Order.objects.exists()


def test_the_days_limit_counts_what_was_placed_before(desk: Desk):
    limited(desk, day_cap="500")
    desk.place("buy", "6", limit="50.00")
    with pytest.raises(
        Denied, match=r"200.00 of what may be bought today \(\$500.00\) is left: your"
    ):
        desk.place("buy", "4.0001", limit="50.00")
    desk.place("buy", "4", limit="50.00")


def test_a_review_that_waits_meets_a_limit_that_was_lowered_meanwhile(desk: Desk, web: Client):
    token = reviewed(web, amount="2")
    limited(desk, order_cap="199.99")
    answer = place(web, token)
    assert answer.status_code == 422 and WHERE in text(answer)
    assert not Order.objects.exists()


def test_a_replacement_meets_the_limit_too(desk: Desk):
    order = desk.trade("buy", "4", limit="50.00")
    limited(desk, order_cap="300")
    with pytest.raises(Denied) as refusal:
        order_replace(
            order=order,
            changes=Changes(D("6.0001"), None, None),
            quote=None,
            actor=desk.user,
            source="page",
            now=desk.now,
        )
    assert refusal.value.code == "order_notional_limit"


def test_the_houses_limit_is_not_called_ones_own(desk: Desk, settings: Any):
    limited(desk, order_cap="500")
    settings.RISK_MAX_ORDER_NOTIONAL = D(300)
    with pytest.raises(Denied) as refusal:
        desk.place("buy", "7", limit="50.00")
    assert refusal.value.detail == "One order may be worth $300.00."


def test_nobody_elses_orders_meet_it(desk: Desk, charlie: Any):
    limited(desk, order_cap="1", day_cap="1")
    body = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "limit_price": "50"}
    answer = ApiClient(user=charlie).post("orders", {**body, "qty": "10"})
    assert answer.status_code == 201


# ── small orders without a review ────────────────────────────────────────────
@pytest.fixture
def skipping(desk: Desk) -> None:
    user_preferences_change(user=desk.user, review_below=D(500), now=desk.now)


def send(web: Client, key: str = "a" * 32, **changes: str) -> Any:
    return web.post("/markets/AAPL/review", LIMIT_BUY | {"key": key} | changes)


@pytest.mark.parametrize("amount, at_once", [("9.9999", True), ("10", False), ("10.0001", False)])
def test_an_order_below_the_amount_goes_at_once(
    desk: Desk, web: Client, skipping: None, amount: str, at_once: bool
):
    answer = send(web, amount=amount)
    assert Order.objects.count() == int(at_once)
    if at_once:
        order = Order.objects.get()
        assert (answer.status_code, answer.url) == (303, f"/orders/{order.pk}")
        assert (order.qty, order.limit_price, order.placed_by) == (D(amount), D(50), desk.user)
    else:
        assert answer.status_code == 200 and token_of(answer)


def test_by_default_every_order_is_reviewed(desk: Desk, web: Client):
    assert desk.user.review_below == 0
    answer = send(web, amount="1")
    assert answer.status_code == 200 and token_of(answer) and not Order.objects.exists()
    assert ">Review order</button>" in web.get("/markets/AAPL").content.decode()


def test_the_ticket_says_that_it_places(web: Client, skipping: None):
    page = web.get("/markets/AAPL").content.decode()
    assert ">Place order</button>" in page and "data-at-once" in page
    assert "Below $500.00 it goes at once" in text(web.get("/markets/AAPL/ticket"))


def test_a_live_account_is_always_reviewed(desk: Desk, web: Client, skipping: None):
    BrokerageAccount.objects.filter(pk=desk.account.pk).update(broker="alpaca", mode="live")
    page = web.get("/markets/AAPL/ticket").content.decode()
    assert ">Review order</button>" in page and "data-at-once" not in page
    answer = send(web, amount="1")
    assert answer.status_code != 303 and not Order.objects.exists()


def test_the_same_ticket_twice_is_one_order(desk: Desk, web: Client, skipping: None):
    first, second = send(web, amount="1"), send(web, amount="1")
    assert first.url == second.url and Order.objects.count() == 1
    other = send(web, key="b" * 32, amount="2")
    assert other.status_code == 303 and Order.objects.count() == 2


def test_a_ticket_that_was_placed_is_no_key_for_another_order(
    desk: Desk, web: Client, skipping: None
):
    send(web, amount="1")
    answer = send(web, amount="2")
    assert answer.status_code == 422 and "has become an order already" in text(answer)
    assert "a" * 32 not in answer.content.decode(), "it comes back with a key of its own"
    assert 'value="2"' in answer.content.decode() and Order.objects.count() == 1


def test_what_raises_a_question_is_reviewed_all_the_same(desk: Desk, web: Client, skipping: None):
    far = send(web, amount="1", limit_price="115")
    assert far.status_code == 200 and 'name="agree"' in far.content.decode()
    send(web, amount="1")
    twin = send(web, key="b" * 32, amount="1")
    assert twin.status_code == 200 and "Place it a second time?" in text(twin)
    assert Order.objects.count() == 1


def test_a_small_order_is_refused_as_any_other(desk: Desk, web: Client, skipping: None):
    limited(desk, order_cap="10")
    answer = send(web, amount="1")
    assert answer.status_code == 422 and WHERE in text(answer) and not Order.objects.exists()


def test_part_buttons_keep_the_key_of_the_ticket(web: Client):
    answer = web.post("/markets/AAPL/ticket", LIMIT_BUY | {"key": "c" * 32, "share": "25"})
    assert f'name="key" value="{"c" * 32}"' in answer.content.decode()


@pytest.mark.parametrize(
    "amount, passes",
    [("0", True), ("10000", True), ("10000.01", False), ("-0.01", False), ("0.001", False)],
)
def test_what_may_be_small(desk: Desk, amount: str, passes: bool):
    try:
        user_preferences_change(user=desk.user, review_below=D(amount), now=desk.now)
    except InvalidInput as error:
        assert not passes and error.errors[0].field == "review_below"
    else:
        assert passes


def test_the_page_keeps_the_amount_and_writes_it_down(desk: Desk, charlie: Any, web: Client):
    kept = {"order_unit": "shares", "review_below": "$250"}
    for _ in range(2):
        assert web.post("/settings/trading", kept).status_code == 303
    desk.user.refresh_from_db()
    charlie.refresh_from_db()
    assert (desk.user.review_below, charlie.review_below) == (D(250), D(0))
    assert 'value="250.00"' in web.get("/settings/trading").content.decode()
    row = AuditEvent.objects.get(action="user.review_below")
    assert (row.actor, row.data) == (desk.user, {"from": "0", "to": "250"})
    web.post("/settings/trading", {"order_unit": "shares", "review_below": ""})
    desk.user.refresh_from_db()
    assert desk.user.review_below == 0
