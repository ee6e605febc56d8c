"""The pages of trading as a browser without JavaScript meets them: ticket, review, orders."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.services.accounts import account_freeze
from marketdata.services.instruments import instrument_halt
from marketdata.services.watchlists import watchlist_add
from speedtrade.lib.money import CENT
from speedtrade.testing.cast import make_superuser, page_client
from speedtrade.testing.pages import page_text as text
from trading.desks import desk_of
from trading.domain.estimates import share_in_money, share_in_units
from trading.domain.orders import Changes, Side
from trading.domain.risk import Funds, Remaining, Rules, hold_left
from trading.models import Order
from trading.services.replacements import order_replace
from trading.tests.desk import Desk

MARKET_BUY = {
    "side": "buy",
    "order_type": "market",
    "unit": "shares",
    "amount": "5",
    "time_in_force": "day",
}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


def reviewed(web: Client, **changes: str) -> str:
    """The token of a reviewed ticket."""
    answer = web.post("/markets/AAPL/review", MARKET_BUY | changes)
    assert answer.status_code == 200, text(answer)
    return token_of(answer)


def token_of(answer: Any) -> str:
    found = re.search(r'name="token" value="([^"]+)"', answer.content.decode())
    assert found, text(answer)
    return found.group(1)


def place(web: Client, token: str, **more: str) -> Any:
    return web.post("/orders/place", {"token": token} | more)


# ── the ticket ───────────────────────────────────────────────────────────────
def test_the_page_of_a_symbol_has_the_ticket_beside_it(web: Client):
    page = web.get("/markets/AAPL")
    assert page.status_code == 200
    assert 'action="/markets/AAPL/review"' in page.content.decode()
    assert "$100,000.00 buying power" in text(page)


def test_an_address_fills_the_ticket_in(web: Client):
    page = web.get(
        "/markets/AAPL?side=sell&order_type=limit&limit_price=101.5&amount=7"
    ).content.decode()
    assert 'value="sell" checked' in page
    assert '<option value="limit" selected>' in page
    assert 'name="limit_price" inputmode="decimal" autocomplete="off" value="101.5"' in page
    assert 'placeholder="0" value="7"' in page


def test_nonsense_in_an_address_leaves_the_defaults(web: Client):
    page = web.get("/markets/AAPL?side=x&order_type=y&unit=z&share=7").content.decode()
    assert 'value="buy" checked' in page and '<option value="market" selected>' in page


@pytest.mark.parametrize(
    "asked, amount",
    [
        ({"side": "buy", "unit": "dollars", "share": "25"}, "25000"),
        ({"side": "buy", "unit": "dollars", "share": "100"}, "100000"),
        # A market order may cost up to 5 % more than the ask: 50,000 / 105.
        ({"side": "buy", "unit": "shares", "share": "50"}, "476.190476"),
        ({"side": "buy", "order_type": "limit", "limit_price": "80", "share": "100"}, "1250"),
    ],
)
def test_a_part_of_the_buying_power_is_counted_by_the_server(web: Client, asked, amount):
    page = web.post("/markets/AAPL/ticket", MARKET_BUY | asked)
    assert f'placeholder="0" value="{amount}"' in page.content.decode()
    share = asked["share"]
    again = MARKET_BUY | asked | {"amount": amount}
    again.pop("share")
    assert web.post("/markets/AAPL/review", again).status_code == 200, share


def test_all_of_a_position_is_sold_in_shares_whatever_the_unit(desk: Desk, web: Client):
    desk.trade(qty="3.5")
    page = web.get("/markets/AAPL?side=sell&unit=dollars&share=100").content.decode()
    assert 'placeholder="0" value="3.5"' in page
    assert 'name="unit" value="shares" checked' in page


def test_the_estimate_says_price_cost_fee_and_what_is_left(web: Client):
    said = text(web.post("/markets/AAPL/estimate", MARKET_BUY, headers=HTMX))
    assert "Estimated price $100.00" in said
    assert "Estimated cost $500.00" in said
    assert "Buying power after $99,500.00" in said


def test_the_estimate_walks_the_book_beyond_the_best_price(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "10", "10")
    said = text(web.post("/markets/AAPL/estimate", MARKET_BUY | {"amount": "20"}))
    assert "Estimated cost $2,000.10" in said and "more than the book shows" not in said
    said = text(web.post("/markets/AAPL/estimate", MARKET_BUY | {"amount": "30"}))
    assert "Estimated cost $3,000.20" in said and "more than the book shows" in said


def test_the_estimate_of_dollars_says_how_many_shares(web: Client):
    said = text(
        web.post("/markets/AAPL/estimate", MARKET_BUY | {"unit": "dollars", "amount": "50"})
    )
    assert "Estimated amount 0.5 shares" in said


def test_the_estimate_of_a_coin_has_its_fee(coins: Desk):
    asked = MARKET_BUY | {"amount": "0.1", "time_in_force": "gtc"}
    said = text(page_client(coins.user).post("/markets/BTC-USD/estimate", asked))
    assert "Fee $5.00" in said and "Estimated cost $5,005.00" in said


def test_the_estimate_says_beforehand_why_an_order_would_be_refused(web: Client):
    said = text(web.post("/markets/AAPL/estimate", MARKET_BUY | {"amount": "5000"}))
    assert "is missing" in said and "Estimated cost $500,000.00" in said


# ── the review ───────────────────────────────────────────────────────────────
def test_the_review_says_in_one_sentence_what_would_be_sent(desk: Desk, web: Client):
    page = web.post("/markets/AAPL/review", MARKET_BUY)
    assert "Buy 5 shares of AAPL at market, about $500.00." in text(page)
    assert "Held on top while open $25.00" in text(page)
    assert not Order.objects.exists()


def test_a_limit_order_is_reviewed_at_its_limit(web: Client):
    asked = MARKET_BUY | {"order_type": "limit", "limit_price": "95", "time_in_force": "gtc"}
    said = text(web.post("/markets/AAPL/review", asked))
    assert "Buy 5 shares of AAPL at $95.00 or less, about $475.00." in said
    assert "Until canceled" in said


@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"amount": ""}, "amount", "Say how much"),
        ({"amount": "five"}, "amount", "plain number"),
        ({"amount": "12,5"}, "amount", "plain number"),
        ({"amount": "5000"}, "amount", "is missing"),
        ({"amount": "0.0000001"}, "amount", "steps of 0.000001"),
        ({"side": "sell"}, "amount", "0 is free"),
        ({"order_type": "limit"}, "limit_price", "needs a limit price"),
        ({"order_type": "limit", "limit_price": "100.001"}, "limit_price", "steps of 0.01"),
        ({"order_type": "limit", "limit_price": "130"}, "limit_price", "beyond the market"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "fragment"])
def test_what_is_refused_comes_back_with_the_reason_at_its_field(
    web: Client, changes, field, words, headers
):
    answer = web.post("/markets/AAPL/review", MARKET_BUY | changes, headers=headers)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f'id="id_{field}_error"' in page
    assert words in text(answer)
    typed = (MARKET_BUY | changes)["amount"]
    assert f'placeholder="0" value="{typed}"' in page  # nothing typed is lost
    assert page.lstrip().startswith("<!doctype") is not bool(headers)


@pytest.mark.parametrize("amount, qty", [("1,000", "1000"), ("$5", "5"), (" 5 ", "5")])
def test_numbers_are_read_as_people_write_them(web: Client, amount, qty):
    unit = {"unit": "dollars"} if "$" in amount or "," in amount else {}
    place(web, reviewed(web, amount=amount, **unit))
    order = Order.objects.get()
    assert (order.qty or order.notional) == Decimal(qty)


def test_a_frozen_account_is_told_why_and_its_ticket_is_off(desk: Desk, web: Client):
    account_freeze(
        account_id=desk.account.pk, actor=make_superuser(), reason="Papers missing", now=desk.now
    )
    page = web.get("/markets/AAPL")
    assert "Papers missing" in text(page)
    assert 'disabled aria-describedby="ticket-blocked"' in page.content.decode()
    assert web.post("/markets/AAPL/review", MARKET_BUY).status_code == 422


def test_a_halted_symbol_takes_no_orders_and_says_so(desk: Desk, web: Client):
    instrument_halt(symbol="AAPL", actor=make_superuser(), reason="News", now=desk.now)
    assert "AAPL is halted: News" in text(web.get("/markets/AAPL/ticket"))
    assert web.post("/markets/AAPL/review", MARKET_BUY).status_code == 422


def test_without_a_fresh_price_a_market_order_waits_and_a_limit_order_goes(desk: Desk, web: Client):
    desk.wait(60)
    assert "no fresh price" in text(web.get("/markets/AAPL/ticket"))
    assert web.post("/markets/AAPL/review", MARKET_BUY).status_code == 422
    limit = MARKET_BUY | {"order_type": "limit", "limit_price": "99"}
    assert web.post("/markets/AAPL/review", limit).status_code == 200


# ── confirming ───────────────────────────────────────────────────────────────
def test_a_confirmed_review_is_an_order(web: Client):
    answer = place(web, reviewed(web))
    order = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{order.pk}")
    assert (order.side, order.qty, order.order_type) == ("buy", Decimal(5), "market")


def test_htmx_is_sent_to_the_order(web: Client):
    answer = web.post("/orders/place", {"token": reviewed(web)}, headers=HTMX)
    assert answer["HX-Redirect"] == f"/orders/{Order.objects.get().pk}"


def test_confirming_twice_is_one_order(web: Client):
    token = reviewed(web)
    first, second = place(web, token), place(web, token)
    assert first["Location"] == second["Location"]
    assert Order.objects.count() == 1


def test_a_review_that_waited_is_shown_again_and_then_counts(desk: Desk, web: Client):
    token = reviewed(web)
    desk.wait(61)
    desk.quote("99.99", "100.00")
    answer = place(web, token)
    assert answer.status_code == 422
    assert "waited for more than a minute" in text(answer)
    assert not Order.objects.exists()
    assert place(web, token_of(answer)).status_code == 303


def test_an_old_token_of_a_placed_order_leads_to_that_order(desk: Desk, web: Client):
    token = reviewed(web)
    first = place(web, token)
    desk.wait(600)
    assert place(web, token)["Location"] == first["Location"]


@pytest.mark.parametrize("ask, status", [("100.50", 303), ("100.51", 422), ("99.49", 422)])
def test_a_price_that_moved_too_far_is_shown_old_and_new(desk: Desk, web: Client, ask, status):
    token = reviewed(web)
    desk.quote("90.00", ask)
    answer = place(web, token)
    assert answer.status_code == status
    if status == 422:
        assert f"from $100.00 to ${ask}" in text(answer)
        assert not Order.objects.exists()
        assert place(web, token_of(answer)).status_code == 303


def test_the_same_order_again_is_a_question_and_not_a_refusal(desk: Desk, web: Client):
    place(web, reviewed(web))
    desk.wait(2)
    again = web.post("/markets/AAPL/review", MARKET_BUY)
    assert "You placed this very order 2 seconds ago" in text(again)
    unticked = place(web, token_of(again))
    assert unticked.status_code == 422 and Order.objects.count() == 1
    assert place(web, token_of(unticked), agree="on").status_code == 303
    assert Order.objects.count() == 2


def test_a_twin_that_came_after_the_review_is_asked_about_even_with_a_tick(web: Client):
    first, second = reviewed(web), reviewed(web)
    place(web, first)
    answer = place(web, second, agree="on")
    assert answer.status_code == 422 and "very order" in text(answer)


def test_a_limit_far_beyond_the_market_is_a_question(web: Client):
    token = reviewed(web, order_type="limit", limit_price="115")
    assert place(web, token).status_code == 422
    assert place(web, token, agree="on").status_code == 303


def test_a_review_of_somebody_else_is_worth_nothing(web: Client, charlie):
    answer = place(page_client(charlie), reviewed(web))
    assert answer.status_code == 400 and not Order.objects.exists()


@pytest.mark.parametrize("token", ["", "x", "eyJ1c2VyIjoxfQ:1abc:xyz"])
def test_a_forged_review_is_worth_nothing(web: Client, token):
    assert place(web, token).status_code == 400


def test_what_became_impossible_since_the_review_comes_back_to_the_ticket(desk: Desk, web: Client):
    token = reviewed(web, amount="900")
    desk.place(qty="900")
    answer = place(web, token, agree="on")
    assert answer.status_code == 422
    assert "is missing" in text(answer) and 'value="900"' in answer.content.decode()


# ── orders ───────────────────────────────────────────────────────────────────
def test_the_orders_are_open_closed_or_all_of_them(desk: Desk, web: Client):
    desk.trade(qty="5")
    desk.place(qty="1", limit="90")
    assert "Buy 1 AAPL" in text(web.get("/orders"))
    assert "Buy 5 AAPL" not in text(web.get("/orders"))
    assert "Buy 5 AAPL" in text(web.get("/orders?status=closed"))
    both = text(web.get("/orders?status=all"))
    assert "Buy 1 AAPL" in both and "Buy 5 AAPL" in both
    assert web.get("/orders?status=sideways&page=nine").status_code == 200


def test_no_orders_is_a_page_that_says_what_to_do(web: Client):
    assert "No open orders" in text(web.get("/orders"))
    assert "No orders yet" in text(web.get("/orders?status=all"))


def test_an_order_page_tells_its_life_and_why_each_fill_has_its_price(desk: Desk, web: Client):
    order = desk.trade(qty="5")
    said = text(web.get(f"/orders/{order.pk}"))
    for words in ("Placed", "Sent", "Accepted", "Filled", "alice, by the API"):
        assert words in said
    assert "Average price $100.00" in said
    assert "Bid and ask then $99.99 / $100.00" in said
    assert "Best displayed price first" in said
    assert order.client_order_id in said


def test_an_order_that_was_seen_already_is_not_swapped_again(desk: Desk, web: Client):
    order = desk.place(qty="1", limit="90")
    stamp = Order.objects.get(pk=order.pk).updated_at.isoformat()
    address = f"/orders/{order.pk}"
    assert web.get(address, {"seen": stamp}, headers=HTMX).status_code == 204
    fresh = web.get(address, {"seen": "long ago"}, headers=HTMX)
    assert fresh.status_code == 200 and b"<!doctype" not in fresh.content
    assert web.get(address, {"seen": stamp}).status_code == 200


@pytest.mark.parametrize("ended", [False, True])
def test_a_page_of_an_order_hears_of_a_late_fill_also_after_its_end(
    desk: Desk, web: Client, ended: bool
):
    order = desk.work(desk.place(qty="5", limit="90"))
    if ended:
        assert desk.cancel(order).state == "canceled"
    page = web.get(f"/orders/{order.pk}").content.decode()
    article = re.search(r'<article id="order"[^>]+>', page)
    assert article and f'hx-get="/orders/{order.pk}?seen=' in article[0]
    assert "st:order from:body, st:resync from:body" in article[0]
    assert ("st:pulse" in article[0]) is not ended, "nobody keeps asking for what has ended"
    assert ("queue last" in article[0]) is ended, "no beat makes up for news that is dropped"


def test_a_young_open_order_reloads_itself_without_javascript(desk: Desk, web: Client):
    order = desk.place(qty="1", limit="90")
    reload = '<noscript><meta http-equiv="refresh"'
    assert reload in web.get(f"/orders/{order.pk}").content.decode()
    market = desk.send(desk.place(qty="1"))
    assert market.state == "accepted" and reload in web.get(f"/orders/{market.pk}").content.decode()
    desk.wait(61)
    for one in (order, market):
        assert reload not in web.get(f"/orders/{one.pk}").content.decode()


def test_nothing_reloads_under_somebody_who_types_other_terms(desk: Desk, web: Client):
    order = desk.work(desk.place(qty="1", limit="90"))
    reload = '<meta http-equiv="refresh"'
    page = web.get(f"/orders/{order.pk}").content.decode()
    assert 'id="replace-form"' in page and reload not in page
    market = desk.send(desk.place(qty="1"))
    refused = web.post(f"/orders/{market.pk}/replace", {"qty": "nine"})
    assert refused.status_code == 422 and reload not in refused.content.decode()


def test_cancelling_goes_back_to_where_it_was_asked(desk: Desk, web: Client):
    order = desk.place(qty="1", limit="90")
    answer = web.post(f"/orders/{order.pk}/cancel", {"next": "/orders?status=open"})
    assert (answer.status_code, answer["Location"]) == (303, "/orders?status=open")
    assert Order.objects.get().state == "canceled"
    for asked in ("https://evil.example/", "abc", "?a"):
        elsewhere = web.post(f"/orders/{order.pk}/cancel", {"next": asked})
        assert elsewhere["Location"] == f"/orders/{order.pk}"


def test_cancelling_by_htmx_answers_with_the_event_that_refetches(desk: Desk, web: Client):
    order = desk.place(qty="1", limit="90")
    answer = web.post(f"/orders/{order.pk}/cancel", headers=HTMX)
    assert answer.status_code == 204
    assert "st:order" in answer["HX-Trigger"] and "canceled" in answer["HX-Trigger"]


def test_cancelling_too_late_says_so(desk: Desk, web: Client):
    order = desk.trade(qty="5")
    answer = web.post(f"/orders/{order.pk}/cancel", follow=True)
    assert "Too late: filled." in text(answer)


def test_the_panel_of_a_symbol_has_position_and_open_orders(desk: Desk, web: Client):
    desk.trade(qty="5")
    desk.place(qty="1", limit="90")
    said = text(web.get("/markets/AAPL/mine", headers=HTMX))
    assert "Your position" in said and "Average cost $100.00" in said
    assert "Buy 1 AAPL" in said


def test_what_was_held_over_night_follows_the_price_all_day(desk: Desk, web: Client):
    desk.trade(qty="5")
    page = web.get("/markets/AAPL/mine", headers=HTMX).content.decode()
    assert page.count('data-f="pl"') == 1, "what was bought today began at many prices"
    desk.wait(86_400)
    desk.quote("109.99", "110.00", prev_close="105.00")
    page = web.get("/markets/AAPL/mine", headers=HTMX).content.decode()
    assert 'data-f="pl" data-qty="5" data-cost="525"' in page


def test_trade_leads_to_the_symbol_that_was_ordered_last(desk: Desk, coins: Desk, web: Client):
    def where() -> str:
        return web.get("/trade").headers["Location"]

    assert where() == "/markets", "nothing was ordered, and no list has a symbol"
    watchlist_add(user=desk.user, symbol="AAPL", now=desk.now)
    assert where() == "/markets/AAPL#ticket"
    coins.place("buy", "0.01", symbol="BTC/USD", tif="gtc")
    assert where() == "/markets/BTC-USD#ticket"


# ── who sees what ────────────────────────────────────────────────────────────
def test_a_stranger_finds_no_order_of_mine(desk: Desk, charlie):
    order = desk.trade(qty="5")
    stranger = page_client(charlie)
    assert stranger.get(f"/orders/{order.pk}").status_code == 404
    assert stranger.post(f"/orders/{order.pk}/cancel").status_code == 404
    assert "Buy 5" not in text(stranger.get("/orders?status=all"))
    assert "Your position" not in text(stranger.get("/markets/AAPL"))


def test_an_order_number_beyond_all_numbers_is_not_found(web: Client):
    assert web.get(f"/orders/{10**30}").status_code == 404


@pytest.mark.parametrize(
    "method, address",
    [
        ("get", "/orders"),
        ("get", "/orders/1"),
        ("get", "/markets/AAPL/ticket"),
        ("get", "/markets/AAPL/mine"),
        ("post", "/markets/AAPL/review"),
        ("post", "/orders/place"),
    ],
)
def test_nobody_gets_in_without_a_login(desk: Desk, method, address):
    answer = getattr(page_client(), method)(address)
    assert answer.status_code == 302 and answer["Location"].startswith("/login")


def test_no_page_of_trading_asks_the_database_too_often(
    desk: Desk, web: Client, django_assert_max_num_queries
):
    for number in range(30):
        desk.instrument(f"S{number}")
    desk.trade(qty="5")
    for number in range(40):
        desk.place(qty=str(number + 1), limit="50")
    order = desk.trade(qty="1")
    for address in (
        "/markets/AAPL",
        "/markets/AAPL/ticket",
        "/orders",
        "/orders?status=all",
        f"/orders/{order.pk}",
    ):
        with django_assert_max_num_queries(25):
            assert web.get(address).status_code == 200, address


# ── words for what is not ordinary ───────────────────────────────────────────
def test_while_the_market_is_closed_an_order_is_queued_and_each_step_says_until_when(
    desk: Desk, web: Client, settings: Any
):
    settings.SIMULATED_MARKET_HOURS = "nyse"  # NOON is 7:00 in New York, a Wednesday
    until = "queued until Wed 9:30 ET"
    assert until in text(web.get("/markets/AAPL/ticket"))
    review = web.post("/markets/AAPL/review", MARKET_BUY)
    assert until in text(review) and "Queue buy order" in text(review)
    place(web, token_of(review))
    order = desk.send(Order.objects.get())
    page = text(web.get(f"/orders/{order.pk}"))
    assert until in page and "Queued" in page


def test_a_partial_fill_says_how_much_of_how_much(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "40")
    order = desk.trade(qty="100", limit="100")
    assert "Partially filled 40 of 100" in text(web.get("/orders"))
    page = text(web.get(f"/orders/{order.pk}"))
    assert "Filling 40 of 100" in page and "Filled 40 of 100 shares" in page
    desk.cancel(order, send=False)
    assert "Canceling, may still fill" in text(web.get(f"/orders/{order.pk}"))
    assert "Cancel</" not in web.get(f"/orders/{order.pk}").content.decode()


def test_an_order_in_dollars_counts_in_dollars(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "2")
    order = desk.trade(notional="500")
    assert "Partially filled $200.00 of $500.00" in text(web.get(f"/orders/{order.pk}"))
    assert "Buy $500.00 of AAPL" in text(web.get("/orders"))


@given(
    power=st.decimals("0", "10000000", places=8),
    price=st.decimals("0.01", "100000", places=2),
    share=st.sampled_from([Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal(1)]),
    fee=st.sampled_from([Decimal(0), Decimal("0.001")]),
)
def test_a_part_of_the_buying_power_never_holds_more_than_that_part(power, price, share, fee):
    rules = Rules("X", CENT, Decimal("0.000001"), Decimal(0), Decimal(0), True, False, fee)
    funds = Funds(power, Decimal(0), Decimal(0), Decimal(0), 0)

    def hold(qty: Decimal | None, notional: Decimal | None) -> Decimal:
        return hold_left(Remaining(Side.BUY, qty, notional, None, price, fee))

    units = share_in_units(Side.BUY, share, funds, rules, price)
    assert hold(units, None) <= power * share
    assert hold(units + 2 * rules.qty_step, None) > power * share  # and it is no needless step less
    money = share_in_money(share, funds, rules)
    assert hold(None, money) <= power * share < hold(None, money + 2 * CENT)


@pytest.mark.parametrize("ask", ["272.03", "0.07", "100.00"])
def test_the_most_that_fits_passes_at_the_market(desk: Desk, ask: str):
    """Fails where the button reckons without the tick that the worst price is rounded up to."""
    desk.quote(str(Decimal(ask) - CENT), ask)
    seen = desk_of(account=desk.account, instrument=desk.instrument(), now=desk.now)
    most = seen.share(side=Side.BUY, share=Decimal("0.9"), limit=None)
    desk.place("buy", str(most))
    assert desk.cash * Decimal("0.89999") < desk.reserved <= desk.cash * Decimal("0.9")


def test_a_replaced_order_and_its_successor_name_each_other(desk: Desk, web: Client):
    old = desk.trade(qty="5", limit="90")
    new = order_replace(
        order=old,
        changes=Changes(limit_price=Decimal("91")),
        quote=None,
        actor=desk.user,
        source="api",
        now=desk.now,
    )
    assert f"Its place takes order {new.pk}" in text(web.get(f"/orders/{old.pk}"))
    assert f"It replaces order {old.pk}" in text(web.get(f"/orders/{new.pk}"))
