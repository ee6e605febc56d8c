"""The ticket beyond its arithmetic: where it begins, what it warns of, hours, odd instruments."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import signing
from django.test import Client

from accounts.services.accounts import account_freeze
from accounts.services.preferences import user_preferences_change
from marketdata.selectors import market_clock
from marketdata.services.instruments import instrument_halt
from speedtrade.testing.cast import make_superuser, page_client
from trading.cautions import age_short, age_words, closed_words, holiday_name, span
from trading.models import Order
from trading.reviews import SALT
from trading.tests.desk import Desk
from trading.tests.test_pages import MARKET_BUY, place, reviewed, text, token_of

D = Decimal


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


def estimated(web: Client, symbol: str = "AAPL", **changes: str) -> str:
    return text(web.post(f"/markets/{symbol}/estimate", MARKET_BUY | changes))


# ── where it begins ──────────────────────────────────────────────────────────
def test_a_ticket_begins_with_the_unit_that_its_user_prefers(desk: Desk, web: Client):
    desk.user.order_unit = "dollars"
    desk.user.save()
    page = web.get("/markets/AAPL").content.decode()
    assert 'name="unit" value="dollars" checked' in page
    asked = web.get("/markets/AAPL?unit=shares").content.decode()
    assert 'name="unit" value="shares" checked' in asked


def test_the_type_of_the_last_order_is_where_the_next_ticket_begins(desk: Desk, web: Client):
    token = reviewed(web, order_type="limit", limit_price="95")
    assert '<option value="market" selected>' in web.get("/markets/AAPL").content.decode()
    place(web, token)
    desk.user.refresh_from_db()
    assert desk.user.order_type == "limit"
    assert '<option value="limit" selected>' in web.get("/markets/AAPL").content.decode()


def test_a_type_that_is_not_offered_any_more_begins_as_market(desk: Desk, web: Client):
    desk.user.order_type = "stop"
    desk.user.save()
    assert '<option value="market" selected>' in web.get("/markets/AAPL").content.decode()


@pytest.mark.parametrize("side, words", [("buy", "$100.00 ask"), ("sell", "$99.99 bid")])
def test_before_an_amount_the_estimate_shows_the_price_of_the_side(web: Client, side, words):
    assert f"Estimated price {words}" in estimated(web, side=side, amount="")


def test_the_line_of_the_buying_power_fills_all_of_it_in(web: Client):
    page = web.get("/markets/AAPL").content.decode()
    assert 'class="link use-all for-buy" name="share" value="100"' in page
    assert 'class="link use-all for-sell" name="share" value="100"' in page
    filled = web.post("/markets/AAPL/ticket", MARKET_BUY | {"share": "100", "unit": "dollars"})
    assert 'value="100000"' in filled.content.decode()


# ── what it warns of ─────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "limit, words",
    [
        ("115", "15.00% above the market at $100.00: it will fill at once. More than 20.00%"),
        ("85", "15.00% below the market at $100.00: it may never fill"),
        ("105", ""),
        ("95", ""),
    ],
)
def test_a_limit_beyond_half_the_collar_is_warned_of_with_its_number(web: Client, limit, words):
    said = estimated(web, order_type="limit", limit_price=limit)
    assert words in said and ("The limit is" in said) is bool(words)


@pytest.mark.parametrize("amount, warned", [("250", False), ("251", True)])
def test_a_purchase_that_is_much_of_the_portfolio_is_warned_of(web: Client, amount, warned):
    said = estimated(web, amount=amount)
    assert ("AAPL would be 25.10% of your portfolio." in said) is warned
    review = text(web.post("/markets/AAPL/review", MARKET_BUY | {"amount": amount}))
    assert ("of your portfolio" in review) is warned


def test_what_is_held_already_counts_towards_the_concentration(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "1000")
    desk.trade(qty="200")
    assert "would be 3" in estimated(web, amount="100")
    assert "of your portfolio" not in estimated(web, side="sell", amount="100")


def test_too_little_names_need_have_and_difference(desk: Desk, web: Client):
    desk.trade(qty="3")
    said = estimated(web, side="sell", amount="5")
    assert "sells 5 AAPL, 3 is free: 2 is missing" in said
    said = estimated(web, amount="5000")
    assert "needs $525,000.00, buying power is $99,700.00: $425,300.00 is missing" in said


def test_dollars_of_what_has_no_parts_are_counted_in_whole_shares(desk: Desk, web: Client):
    desk.instrument("BRK", fractionable=False, qty_step=D(1), min_qty=D(1))
    desk.quote("99.99", "100.00", symbol="BRK")
    dollars = {"unit": "dollars", "amount": "350"}
    words = "That buys 3 whole shares for about $300.00."
    assert words in estimated(web, "BRK", **dollars)
    assert words in text(web.post("/markets/BRK/review", MARKET_BUY | dollars))
    few = {"unit": "dollars", "amount": "50"}
    assert "trades in whole shares: that buys none" in estimated(web, "BRK", **few)


# ── prices that are old ──────────────────────────────────────────────────────
def test_an_old_price_says_its_age_and_offers_a_limit_with_all_that_was_typed(
    desk: Desk, web: Client
):
    desk.wait(120)
    page = web.get("/markets/AAPL/ticket")
    assert "the last one is 2 minutes old" in text(page)
    assert "Use a limit order at $100.00" in text(page)
    typed = MARKET_BUY | {"amount": "7", "at_limit": "1"}
    offered = web.post("/markets/AAPL/ticket", typed).content.decode()
    assert '<option value="limit" selected>' in offered and 'value="100"' in offered
    assert 'placeholder="0" value="7"' in offered
    refused = web.post("/markets/AAPL/review", MARKET_BUY)
    assert refused.status_code == 422 and "use a limit order" in text(refused)


def test_the_review_says_how_old_its_price_is(desk: Desk, web: Client):
    desk.wait(3)
    review = web.post("/markets/AAPL/review", MARKET_BUY)
    heard = '<span class="vh">3 seconds old</span>'
    assert f'<span aria-hidden="true">3 s old</span>{heard}' in review.content.decode()


# ── hours ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "now, words",
    [
        ("2026-11-18T12:00", "closed. An order is queued until Wed 9:30 ET, in 2 h 30 min."),
        ("2026-11-26T17:00", "closed for Thanksgiving. An order is queued until Fri 9:30 ET"),
        ("2026-11-26T17:00", "That day is a half day: it closes at 13:00 ET."),
        ("2026-11-21T14:30", "until Mon 9:30 ET, in 2 days."),
        ("2026-12-25T14:30", "for Christmas. An order is queued until Mon 9:30 ET, in 3 days."),
        ("2026-11-18T14:29", "in 1 min."),
    ],
)  # fmt: skip
def test_a_closed_market_says_until_when_and_why(settings: Any, now: str, words: str):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert words in closed_words(market_clock(moment)["stock"], moment)


def test_each_holiday_of_a_year_has_its_name():
    days = [date(2026, m, d) for m, d in ((1, 1), (1, 19), (2, 16), (4, 3), (5, 25), (9, 7))]
    assert [holiday_name(day) for day in days] == [
        "New Year",
        "Martin Luther King Day",
        "Washington's Birthday",
        "Good Friday",
        "Memorial Day",
        "Labor Day",
    ]
    assert holiday_name(date(2026, 11, 27)) == "" and holiday_name(date(2025, 1, 9)) == "the day"


def test_spans_and_ages_are_said_in_words(clock: Any):
    assert span(timedelta(days=1, hours=2)) == "1 day 2 h" and span(timedelta(0)) == "1 min"
    now = datetime(2026, 11, 18, 12, tzinfo=UTC)
    times = [now - timedelta(seconds=s) for s in (0, 1, 59, 60, 7_200, 172_800)]
    assert [age_words(at, now) for at in times] == [
        "less than a second old",
        "1 second old",
        "59 seconds old",
        "1 minute old",
        "2 hours old",
        "2 days old",
    ]
    short = ["<1 s old", "1 s old", "59 s old", "1 min old", "2 h old", "2 d old"]
    assert [age_short(at, now) for at in times] == short


def test_while_closed_the_review_and_its_button_say_that_the_order_waits(
    desk: Desk, web: Client, settings: Any
):
    settings.SIMULATED_MARKET_HOURS = "nyse"
    words = "order is queued until Wed 9:30 ET, in 2 h 30 min."
    ticket = text(web.get("/markets/AAPL/ticket"))
    assert "Review order to queue" in ticket
    review = text(web.post("/markets/AAPL/review", MARKET_BUY))
    assert "Queue buy order" in review and "Nothing is queued before you say so" in review
    for page in (ticket, review):
        assert words in page and page.count("9:30 ET") == 1 and "Place buy" not in page


LAST_MINUTE = datetime(2026, 11, 18, 20, 59, 40, tzinfo=UTC)  # of the session in New York
MINUTE_BEFORE = datetime(2026, 11, 18, 14, 29, 40, tzinfo=UTC)  # the session opens


def turning(desk: Desk, settings: Any, begins: datetime) -> Client:
    """A browser half a minute before the market opens or closes."""
    settings.SIMULATED_MARKET_HOURS = "nyse"
    desk.clock.move_to(begins)
    desk.quote("99.99", "100.00")
    return page_client(desk.user)


def turn(desk: Desk) -> None:
    desk.wait(30)
    desk.quote("99.99", "100.00")


@pytest.mark.parametrize(
    "begins, before, after, says",
    [
        (LAST_MINUTE, "Place", "Queue", "has closed since you looked: the order would be queued"),
        (MINUTE_BEFORE, "Queue", "Place", "has opened since you looked: the order would not wait"),
    ],
)
def test_a_market_that_turned_since_the_review_is_said_before_anything_is_sent(
    desk: Desk, settings: Any, begins: datetime, before: str, after: str, says: str
):
    web = turning(desk, settings, begins)
    review = web.post("/markets/AAPL/review", MARKET_BUY)
    assert f"{before} buy order" in text(review) and "since you looked" not in text(review)
    turn(desk)
    answer = place(web, token_of(review))
    assert answer.status_code == 422 and not Order.objects.exists()
    assert says in text(answer) and f"{after} buy order" in text(answer)
    assert place(web, token_of(answer)).status_code == 303


@pytest.mark.parametrize(
    "begins, before, after", [(LAST_MINUTE, "Place", "Queue"), (MINUTE_BEFORE, "Queue", "Place")]
)
def test_an_order_without_a_review_gets_one_where_the_market_has_turned_since_the_ticket(
    desk: Desk, settings: Any, begins: datetime, before: str, after: str
):
    user_preferences_change(user=desk.user, review_below=D(1000), now=desk.now)
    web = turning(desk, settings, begins)
    page = web.get("/markets/AAPL/ticket").content.decode()
    said = re.findall(r'name="waits" value="(\d)"', page)
    assert f">{before} order</button>" in page and len(said) == 1
    ticket = MARKET_BUY | {"key": "a" * 32, "waits": said[0]}
    turn(desk)
    answer = web.post("/markets/AAPL/review", ticket)
    assert answer.status_code == 200 and not Order.objects.exists()
    assert "since you looked" in text(answer) and f"{after} buy order" in text(answer)
    assert place(web, token_of(answer)).status_code == 303


def test_an_order_without_a_review_goes_while_the_market_is_as_its_ticket_said(
    desk: Desk, settings: Any
):
    user_preferences_change(user=desk.user, review_below=D(1000), now=desk.now)
    web = turning(desk, settings, LAST_MINUTE)
    ticket = MARKET_BUY | {"key": "a" * 32, "waits": "0"}
    assert web.post("/markets/AAPL/review", ticket).status_code == 303


def test_a_review_of_before_it_said_so_is_placed_as_it_is(desk: Desk, web: Client):
    values = signing.loads(reviewed(web), salt=SALT)
    del values["waits"]
    assert place(web, signing.dumps(values, salt=SALT)).status_code == 303


def test_what_is_free_is_fetched_anew_when_an_order_changes_it(desk: Desk, web: Client):
    def free() -> str:
        page = web.get("/markets/AAPL/ticket").content.decode()
        assert page.count('id="free"') == 1 and "st:free delay:300ms" in page
        asks = re.search(r'<span hidden hx-get="/markets/AAPL/ticket" [^>]+>', page)
        assert asks and 'hx-select="#free"' in asks[0] and 'hx-target="#free"' in asks[0]
        assert "st:order from:body" in asks[0] and "st:resync from:body" in asks[0]
        assert "hx-sync" in asks[0], "or it would hold the form: a review asked for is dropped"
        return page[page.index('id="free"') : page.index("</div>", page.index('id="free"'))]

    before = free()
    assert "$100,000.00</data> buying power" in before and "to sell" in before
    desk.work(desk.place("buy", "5", limit="90.00"))
    assert "buying power" in free() and free() != before


# ── odd numbers and names ────────────────────────────────────────────────────
def test_a_huge_amount_and_a_tiny_price_keep_every_digit(desk: Desk, web: Client):
    step = D("0.000000001")
    desk.instrument("PEPE/USD", price_tick=D("0.00000001"), qty_step=step, min_qty=step)
    desk.quote("0.00001233", "0.00001234", "9000000", symbol="PEPE/USD", step="0.00000001")
    asked = {"amount": "1000000.123456789", "time_in_force": "gtc"}
    said = text(web.post("/markets/PEPE-USD/review", MARKET_BUY | asked))
    assert "Buy 1,000,000.123456789 PEPE at market, about $12.34." in said
    assert "$0.00001234" in said
    answer = web.post("/markets/PEPE-USD/review", MARKET_BUY | asked)
    place(web, token_of(answer))
    order = desk.work(Order.objects.get())
    assert order.filled_qty == D("1000000.123456789")
    for address in ("/orders?status=all", f"/orders/{order.pk}"):
        assert "Buy 1,000,000.123456789 PEPE" in text(web.get(address))


def test_a_name_of_sixty_letters_is_shown_whole(desk: Desk, web: Client):
    name = "The Quite Unreasonably Long Name of a Company of Sixty Chars"
    desk.instrument("LONG", name=name)
    desk.quote("9.99", "10.00", symbol="LONG")
    order = desk.place(qty="1", limit="9", symbol="LONG")
    for address in ("/markets/LONG/ticket", f"/orders/{order.pk}"):
        assert name in text(web.get(address))


def test_a_halted_symbol_and_a_frozen_account_disable_the_ticket_with_the_reason(
    desk: Desk, web: Client
):
    off = 'disabled aria-describedby="ticket-blocked"'
    root = make_superuser()
    instrument_halt(symbol="AAPL", actor=root, reason="News pending", now=desk.now)
    page = web.get("/markets/AAPL/ticket")
    assert off in page.content.decode() and "AAPL is halted: News pending" in text(page)
    desk.quote("9.99", "10.00", symbol="MSFT")
    account_freeze(account_id=desk.account.pk, actor=root, reason="Papers", now=desk.now)
    page = web.get("/markets/MSFT/ticket")
    assert off in page.content.decode() and "Papers" in text(page)
    assert "Open orders can still be canceled" in text(page)
