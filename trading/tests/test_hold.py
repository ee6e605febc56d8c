"""A large order of a live account is confirmed on purpose: the button held, or its symbol typed."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.exports import profile
from accounts.models import AuditEvent, BrokerageAccount, User
from accounts.services.preferences import user_preferences_change
from speedtrade.lib.errors import InvalidInput
from speedtrade.testing.cast import ApiClient, give_app, page_client
from trading.domain.orders import Changes, OrderState
from trading.models import BrokerLink, Order, Submission
from trading.reviews import change_is_large
from trading.tests.desk import Desk
from trading.tests.test_pages import MARKET_BUY, place, reviewed, text, token_of

D = Decimal
LIMIT_BUY = {"order_type": "limit", "limit_price": "100"}
ASKED = "Hold to place buy order"
REFUSED = "Nothing was sent: an order as large as this is confirmed on purpose. Type AAPL here"
HELD = {"confirmed": "hold"}


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


@pytest.fixture
def real(desk: Desk) -> Desk:
    """The desk of a live account whose broker has just spoken."""
    BrokerageAccount.objects.filter(pk=desk.account.pk).update(broker="alpaca", mode="live")
    BrokerLink.objects.create(
        brokerage_account=desk.account, created_at=desk.now, orders_at=desk.now
    )
    desk.account.refresh_from_db()
    give_app(desk.user)
    return desk


def from_on(desk: Desk, amount: str | None) -> None:
    wanted = None if amount is None else D(amount)
    user_preferences_change(user=desk.user, hold_from=wanted, now=desk.now)


def large(web: Client, amount: str = "5") -> str:
    """The token of a review that asks for a deliberate confirm."""
    answer = web.post("/markets/AAPL/review", MARKET_BUY | LIMIT_BUY | {"amount": amount})
    assert ASKED in text(answer), text(answer)
    return token_of(answer)


# ── from which amount ────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "own, qty, asks",
    [
        ("500", "4", False),
        ("499.99", "5", True),
        ("500", "5", True),
        ("500.01", "5", False),
        ("500", "6", True),
        ("0", "1", True),
        (None, "24", False),
        (None, "25", True),
        (None, "26", True),
    ],
)
def test_from_the_amount_on_a_press_of_the_button_is_not_enough(
    real: Desk, web: Client, own: str | None, qty: str, asks: bool
):
    from_on(real, own)
    answer = web.post("/markets/AAPL/review", MARKET_BUY | LIMIT_BUY | {"amount": qty})
    assert (ASKED in text(answer)) is asks
    assert (">Place buy order</button>" in answer.content.decode()) is not asks
    placed = place(web, token_of(answer))
    assert (placed.status_code, Order.objects.count()) == ((422, 0) if asks else (303, 1))
    assert (REFUSED in text(placed)) is asks


def test_the_house_says_from_which_amount_where_its_owner_does_not(
    real: Desk, web: Client, settings: Any
):
    settings.HOLD_TO_CONFIRM_FROM = D(500)
    assert real.user.hold_from is None
    assert place(web, large(web)).status_code == 422
    assert "A live order of $500.00 or more" in text(
        web.post("/markets/AAPL/review", MARKET_BUY | LIMIT_BUY)
    )


def test_an_order_in_dollars_is_asked_by_its_dollars(real: Desk, web: Client):
    from_on(real, "500")
    dollars = {"unit": "dollars", "amount": "500"}
    assert ASKED in text(web.post("/markets/AAPL/review", MARKET_BUY | dollars))
    dollars["amount"] = "499.99"
    assert ASKED not in text(web.post("/markets/AAPL/review", MARKET_BUY | dollars))


def test_a_paper_order_is_never_asked(desk: Desk, web: Client):
    from_on(desk, "0")
    token = reviewed(web, amount="500")
    assert place(web, token).status_code == 303 and Order.objects.count() == 1


def test_the_amount_counts_when_it_is_placed(real: Desk, web: Client):
    """A review that was opened before its owner lowered the amount asks all the same."""
    from_on(real, "501")
    token = reviewed(web, **LIMIT_BUY)
    from_on(real, "500")
    answer = place(web, token)
    assert answer.status_code == 422 and REFUSED in text(answer) and not Order.objects.exists()
    from_on(real, "501")
    assert place(web, token).status_code == 303


# ── how ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "proof",
    [HELD, {"word": "AAPL"}, {"word": " aapl "}, {"word": "no", **HELD}],
    ids=["held", "typed", "in any case", "held with a wrong word"],
)
def test_the_button_held_or_the_symbol_typed_places_it(
    real: Desk, web: Client, proof: dict[str, str]
):
    from_on(real, "500")
    token = large(web)
    first, again = place(web, token, **proof), place(web, token)
    assert first.status_code == 303 and Order.objects.count() == 1
    assert again.url == first.url, "an order that was placed is not asked for once more"


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"word": ""},
        {"word": "AAP"},
        {"word": "AAPLE"},
        {"word": "MSFT"},
        {"confirmed": "on"},
        {"confirmed": "HOLD "},
        {"confirmed": "hold it"},
    ],
)
def test_anything_else_is_refused_and_nothing_is_lost(
    real: Desk, web: Client, proof: dict[str, str]
):
    from_on(real, "500")
    token = large(web)
    answer = place(web, token, **proof)
    page = answer.content.decode()
    assert answer.status_code == 422 and REFUSED in text(answer) and not Order.objects.exists()
    assert f'name="word" value="{proof.get("word", "")}"' in page and 'aria-invalid="true"' in page
    assert "Buy 5 shares of AAPL" in text(answer)
    assert place(web, token_of(answer), **HELD).status_code == 303
    assert Order.objects.get().intent_key, "the key of the first review"


def test_what_was_typed_is_text_and_no_more(real: Desk, web: Client):
    from_on(real, "0")
    answer = place(web, large(web), word='"><script>' + "x" * 100)
    page = answer.content.decode()
    assert "<script>x" not in page and "x" * 40 not in page and "&quot;&gt;&lt;script&gt;" in page


def test_a_tick_is_kept_and_asked_for_first(real: Desk, web: Client):
    from_on(real, "0")
    far = MARKET_BUY | LIMIT_BUY | {"limit_price": "115"}
    token = token_of(web.post("/markets/AAPL/review", far))
    unticked = place(web, token, **HELD)
    assert unticked.status_code == 422 and REFUSED not in text(unticked)
    wrong = place(web, token, agree="on", word="x")
    assert 'name="agree" required checked' in wrong.content.decode() and REFUSED in text(wrong)
    assert place(web, token_of(wrong), agree="on", **HELD).status_code == 303


def test_a_review_at_a_new_price_is_confirmed_anew(real: Desk, web: Client):
    from_on(real, "0")
    token = token_of(web.post("/markets/AAPL/review", MARKET_BUY))
    real.quote("101.99", "102.00")
    moved = place(web, token, **HELD)
    assert moved.status_code == 422 and "The price moved" in text(moved) and ASKED in text(moved)
    assert place(web, token_of(moved)).status_code == 422 and not Order.objects.exists()


def test_scripts_place_by_their_own_contract(real: Desk):
    from_on(real, "0")
    body = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "limit_price": "100"}
    answer = ApiClient(user=real.user).post("orders", {**body, "qty": "5"})
    assert answer.status_code == 201, answer.json()


# ── other terms ──────────────────────────────────────────────────────────────
@pytest.fixture
def working(real: Desk) -> Order:
    """A live order of 5 at $90 that its broker works on."""
    from_on(real, "500")
    order = real.place(qty="5", limit="90")
    Submission.objects.filter(order=order).update(done_at=real.now)
    Order.objects.filter(pk=order.pk).update(state=OrderState.NEW)
    return real.fresh(order)


def change(web: Client, order: Order, **posted: str) -> Any:
    terms = {"qty": "5", "limit_price": "90", "time_in_force": order.time_in_force}
    return web.post(f"/orders/{order.pk}/replace", terms | posted)


@pytest.mark.parametrize(
    ("terms", "asks"),
    [
        ({"limit_price": "99.99"}, False),
        ({"limit_price": "100"}, True),
        ({"qty": "6"}, True),
        ({"qty": "4"}, False),
    ],
)
def test_other_terms_that_make_an_order_large_are_confirmed_on_purpose(
    working: Order, web: Client, terms: dict[str, str], asks: bool
):
    answer = change(web, working, **terms)
    assert answer.status_code == (422 if asks else 303)
    assert ("Hold to replace the order" in text(answer)) is asks
    assert Order.objects.count() == (1 if asks else 2)
    if asks:
        assert REFUSED not in text(answer), "nobody has typed a word yet"
        wrong = change(web, working, **terms, word="AAP")
        assert REFUSED in text(wrong) and Order.objects.count() == 1
        for name, value in terms.items():
            assert re.search(rf'name="{name}"[^>]* value="{value}"', wrong.content.decode())
        assert change(web, working, **terms, word="aapl").status_code == 303
        assert Order.objects.count() == 2


def test_other_terms_may_be_held_as_well_and_paper_is_not_asked(
    working: Order, real: Desk, web: Client
):
    assert change(web, working, qty="6", **HELD).status_code == 303
    BrokerageAccount.objects.filter(pk=real.account.pk).update(broker="paper", mode="paper")
    from_on(real, "0")
    paper = real.fresh(real.place(qty="1", limit="80"))
    Order.objects.filter(pk=paper.pk).update(state=OrderState.NEW)
    assert change(web, paper, qty="2", limit_price="80").status_code == 303


def test_other_terms_without_a_price_are_large(working: Order, real: Desk):
    working.limit_price = None
    asked = change_is_large(working, Changes(qty=D(1)), None, real.user)
    assert asked and not change_is_large(
        working, Changes(qty=D(1)), real.quote("99.00", "99.10"), real.user
    )


def test_while_closed_the_button_says_that_the_order_waits(real: Desk, web: Client, settings: Any):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    from_on(real, "0")
    assert "Hold to queue buy order" in text(
        web.post("/markets/AAPL/review", MARKET_BUY | LIMIT_BUY)
    )


# ── the setting ──────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "amount, passes",
    [
        ("0", True),
        ("1000000", True),
        ("1000000.01", False),
        ("-0.01", False),
        ("0.001", False),
        ("NaN", False),
    ],
)
def test_from_which_amount_may_be(desk: Desk, amount: str, passes: bool):
    try:
        from_on(desk, amount)
    except InvalidInput as error:
        assert not passes and error.errors[0].field == "hold_from"
    else:
        assert passes


def test_the_page_keeps_the_amount_and_writes_it_down(desk: Desk, charlie: User, web: Client):
    kept = {"order_unit": "shares", "hold_from": "$1,250"}
    for _ in range(2):
        assert web.post("/settings/trading", kept).status_code == 303
    for one in (desk.user, charlie):
        one.refresh_from_db()
    assert (desk.user.hold_from, charlie.hold_from) == (D(1250), None)
    assert 'name="hold_from" value="1250.00"' in web.get("/settings/trading").content.decode()
    row = AuditEvent.objects.get(action="user.hold_from")
    assert (row.actor, row.data) == (desk.user, {"from": None, "to": "1250"})
    assert next(profile(desk.user))["preferences"]["hold_from"] == "1250"
    web.post("/settings/trading", {"order_unit": "shares", "hold_from": ""})
    desk.user.refresh_from_db()
    assert desk.user.hold_from is None
    assert next(profile(desk.user))["preferences"]["hold_from"] is None


def test_zero_is_every_order_and_no_empty_field(desk: Desk, web: Client):
    web.post("/settings/trading", {"order_unit": "shares", "hold_from": "0"})
    desk.user.refresh_from_db()
    assert desk.user.hold_from == 0
    assert 'name="hold_from" value="0.00"' in web.get("/settings/trading").content.decode()


def test_other_choices_leave_the_amount_alone(desk: Desk):
    from_on(desk, "700")
    user_preferences_change(user=desk.user, order_unit="dollars", now=desk.now)
    desk.user.refresh_from_db()
    assert desk.user.hold_from == D(700)


@pytest.mark.parametrize("wrong", ["much", "-1", "0.001", "1000001"])
def test_an_amount_that_cannot_be_is_said_at_its_field(desk: Desk, web: Client, wrong: str):
    answer = web.post("/settings/trading", {"order_unit": "dollars", "hold_from": wrong})
    assert answer.status_code == 422 and set(answer.context["form"].errors) == {"hold_from"}
    assert f'value="{wrong}"' in answer.content.decode()
    desk.user.refresh_from_db()
    assert (desk.user.hold_from, desk.user.order_unit) == (None, "shares")


def test_the_database_refuses_an_amount_below_nothing(desk: Desk):
    with pytest.raises(IntegrityError, match="user_hold_from_not_below"), transaction.atomic():
        User.objects.update(hold_from=D("-0.01"))
