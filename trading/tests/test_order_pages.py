"""The pages of orders: the list, one order's records, changing it, canceling one and all."""

import gzip
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from marketdata.models import Instrument
from speedtrade.lib.errors import Conflict
from speedtrade.testing.cast import page_client
from trading.models import Order, OrderEvent, Submission
from trading.selectors.orders import cancelable_counts, orders_page
from trading.services.cancels import orders_cancel_all
from trading.services.orders import order_cancel
from trading.tests.desk import Desk
from trading.tests.test_pages import HTMX, text
from trading.words import event_moment

D = Decimal
MANY = 50_000


@pytest.fixture
def web(desk: Desk) -> Client:
    return page_client(desk.user)


def crowd(desk: Desk, number: int, **changes: Any) -> None:
    """So many orders in the table, one a second, copied from a real one."""
    first = desk.place(qty="1", limit="50")
    copies = []
    for n in range(number):
        copy = Order(**{f.attname: getattr(first, f.attname) for f in Order._meta.fields})
        copy.pk, copy.client_order_id, copy.intent_key = None, f"copy-{n}", f"copy:{n}"
        copy.created_at = first.created_at - timedelta(seconds=n + 1)
        for name, value in changes.items():
            setattr(copy, name, value)
        copies.append(copy)
    Order.objects.bulk_create(copies, batch_size=5_000)


# ── the list ─────────────────────────────────────────────────────────────────
def test_the_tabs_are_open_filled_and_all_and_a_part_that_filled_counts(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "3")
    part = desk.trade(qty="5", limit="100")
    assert "3 of 5" in text(web.get("/orders"))
    assert "Buy 5 AAPL" not in text(web.get("/orders?status=filled"))
    desk.work(desk.cancel(part))
    assert "Canceled, 3 filled" in text(web.get("/orders?status=filled"))
    assert "Buy 5 AAPL" in text(web.get("/orders?status=closed"))
    assert "No open orders" in text(web.get("/orders"))


def test_a_symbol_filters_the_orders_in_any_spelling(desk: Desk, web: Client):
    desk.quote("50.00", "50.01", symbol="MSFT")
    desk.place(qty="1", limit="90")
    desk.place(qty="2", limit="40", symbol="MSFT")
    page = text(web.get("/orders?status=all&symbol=msft"))
    assert "Buy 2 MSFT" in page and "Buy 1 AAPL" not in page
    for odd in ("NOSUCH", "%00", "<b>"):
        assert "No orders here" in text(web.get(f"/orders?symbol={odd}"))


def test_pages_follow_each_other_without_a_gap(desk: Desk, web: Client):
    crowd(desk, 119)
    seen: list[str] = []
    address = "/orders?status=all"
    for _ in range(3):
        page = web.get(address).content.decode()
        seen += re.findall(r'class="quiet" href="/orders/(\d+)"', page)
        older = re.search(r'rel="next" href="\?([^"]+)"', page)
        address = "/orders?" + older.group(1).replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 120 and address == ""


def test_the_rows_of_orders_escape_what_is_not_ours(desk: Desk, web: Client):
    crowd(desk, 2)
    Instrument.objects.update(symbol="<q>")
    html = web.get("/orders", {"symbol": "", "x": '"><i>'}).content.decode()
    assert html.count("&lt;q&gt;</a>") == 3 and "<q>" not in html and "<i>" not in html


def test_a_page_of_orders_has_one_token_for_its_forms(desk: Desk, web: Client):
    crowd(desk, 3)
    html = web.get("/orders").content.decode().partition('id="orders"')[2].partition("</table>")[0]
    tokens = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', html)
    assert len(tokens) == html.count("<form") == 4 and len(set(tokens)) == 1


def test_an_order_of_somebody_else_is_no_place_to_start_from(desk: Desk, web: Client, charlie):
    order = desk.place(qty="1", limit="90")
    said = text(page_client(charlie).get(f"/orders?status=all&after={order.pk}"))
    assert "No orders yet" in said
    assert web.get("/orders?after=99999999999999999999&symbol=").status_code == 200


def test_fifty_thousand_orders_are_a_small_page_read_along_an_index(
    desk: Desk, web: Client, django_assert_max_num_queries
):
    crowd(desk, MANY, state="filled", filled_qty=D(1), filled_notional=D(50))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE trading_order")
    middle = Order.objects.get(client_order_id=f"copy-{MANY // 2}")
    for tab in ("all", "filled", "open"):
        with django_assert_max_num_queries(25):
            answer = web.get(f"/orders?status={tab}&after={middle.pk}")
        assert answer.status_code == 200
        assert len(gzip.compress(answer.content)) < 30_000
    plan = plan_of_page(desk, tab="filled", after=middle.pk)
    assert "order_newest" in plan and "Index Cond" in plan, plan
    assert "Seq Scan on trading_order" not in plan and "Sort" not in plan, plan


def plan_of_page(desk: Desk, **asked: Any) -> str:
    """How PostgreSQL would read one page of orders."""
    plans = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "created_at" in sql.partition("ORDER BY")[2]:
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        orders_page(desk.account, **asked)
    assert len(plans) == 1
    return plans[0]


# ── canceling ────────────────────────────────────────────────────────────────
def test_an_order_that_filled_in_part_asks_before_it_is_canceled(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "3")
    order = desk.trade(qty="5", limit="100")
    page = web.get(f"/orders/{order.pk}")
    assert "3 of 5 have filled and stay. Cancel the rest?" in text(page)
    answer = web.post(f"/orders/{order.pk}/cancel", follow=True)
    assert "Canceling…" in text(answer)
    desk.send(desk.fresh(order))
    said = text(web.get(f"/orders/{order.pk}"))
    assert "Canceled after 3 of 5 had filled. What filled stays yours" in said
    assert (
        "Order the rest" in said and "amount=2" in web.get(f"/orders/{order.pk}").content.decode()
    )


def test_a_cancel_that_lost_says_too_late_filled(desk: Desk, web: Client):
    order = desk.trade(qty="5", limit="90")
    web.post(f"/orders/{order.pk}/cancel")
    desk.market("89.98", "89.99")
    assert desk.fresh(order).state == "filled"
    assert "Too late: filled." in text(web.get(f"/orders/{order.pk}"))
    again = web.post(f"/orders/{order.pk}/cancel", headers=HTMX)
    assert "Too late: filled." in again["HX-Trigger"]


def test_canceling_all_lists_first_and_wants_the_word(desk: Desk, web: Client):
    desk.quote("50.00", "50.01", symbol="MSFT")
    for qty in ("1", "2"):
        desk.trade(qty=qty, limit="90")
    desk.place(qty="3", limit="40", symbol="MSFT")
    said = text(web.get("/orders/cancel-all"))
    assert "3 orders would end" in said and "AAPL 2 orders" in said and "MSFT 1 order " in said
    refused = web.post("/orders/cancel-all", {"confirm": "yes"})
    assert refused.status_code == 422 and "Nothing was canceled." in text(refused)
    assert Order.objects.filter(state="new").count() == 2
    done = web.post("/orders/cancel-all", {"confirm": " cancel "}, follow=True)
    assert "3 orders are being canceled." in text(done)
    assert cancelable_counts(desk.account) == []
    assert "There is nothing to cancel." in text(web.get("/orders/cancel-all"))


def test_canceling_all_goes_on_after_a_refusal_and_tells_it(desk: Desk):
    busy, free = desk.trade(qty="1", limit="90"), desk.trade(qty="2", limit="90")
    Order.objects.filter(pk=busy.pk).update(state="lost")
    done = orders_cancel_all(account=desk.account, actor=desk.user, now=desk.now)
    assert done.asked == 1 and [order.pk for order, _ in done.refused] == [busy.pk]
    assert desk.fresh(free).state == "pending_cancel"


def test_canceling_all_leaves_other_accounts_alone(desk: Desk, charlie):
    order = desk.trade(qty="1", limit="90")
    page_client(charlie).post("/orders/cancel-all", {"confirm": "CANCEL"})
    assert desk.fresh(order).state == "new"


# ── changing ─────────────────────────────────────────────────────────────────
KEY = "0123456789abcdef" * 2


def change(web: Client, order: Order, **typed: str) -> Any:
    given = {"qty": "5", "limit_price": "90", "time_in_force": "day", "key": KEY} | typed
    return web.post(f"/orders/{order.pk}/replace", given)


def test_an_order_is_changed_from_its_page_and_both_name_each_other(desk: Desk, web: Client):
    old = desk.trade(qty="5", limit="90")
    assert "does not pause it" in text(web.get(f"/orders/{old.pk}"))
    answer = change(web, old, limit_price="$91.50")
    new = Order.objects.get(replaces=old)
    assert (answer.status_code, answer["Location"]) == (303, f"/orders/{new.pk}")
    assert (new.limit_price, new.qty) == (D("91.5"), D(5))
    assert f"order {new.pk}" in text(web.get(f"/orders/{old.pk}"))
    assert f"order {old.pk}" in text(web.get(f"/orders/{new.pk}"))


def test_the_same_change_twice_is_one_order(desk: Desk, web: Client):
    old = desk.trade(qty="5", limit="90")
    first, second = change(web, old, qty="6"), change(web, old, qty="6")
    assert first["Location"] == second["Location"]
    assert Order.objects.filter(replaces=old).count() == 1
    assert change(web, old, qty="7", key="f" * 32).status_code == 422


@pytest.mark.parametrize(
    "typed, field, words",
    [
        ({"qty": "five"}, "qty", "plain number"),
        ({"qty": "5000"}, "qty", "is missing"),
        ({"limit_price": "90.001"}, "limit_price", "steps of 0.01"),
        ({"limit_price": "130"}, "limit_price", "beyond the market"),
        ({}, "", "Nothing would change"),
    ],
)
def test_a_change_that_cannot_be_keeps_what_was_typed(desk: Desk, web: Client, typed, field, words):
    old = desk.trade(qty="5", limit="90")
    answer = change(web, old, **typed)
    page = answer.content.decode()
    assert answer.status_code == 422 and words in text(answer)
    assert not field or f'id="id_{field}_error"' in page
    for value in typed.values():
        assert f'value="{value}"' in page
    assert f'value="{KEY}"' in page
    assert not Order.objects.filter(replaces=old).exists()


def test_what_filled_already_is_the_least_that_an_order_can_be_changed_to(desk: Desk, web: Client):
    desk.quote("99.99", "100.00", "3")
    old = desk.trade(qty="5", limit="100")
    page = web.get(f"/orders/{old.pk}")
    assert "Filled 3 of 5" in text(page)
    form = re.search(r'<form id="replace-form".*?</form>', page.content.decode(), re.DOTALL)
    assert form and "what has filled is part of it" in form[0]
    assert "3" not in re.sub("<[^>]+>", "", form[0]), "the form outlives the next fill"
    assert "more than what has filled" in text(change(web, old, qty="3", limit_price="100"))


def test_a_stranger_changes_nothing(desk: Desk, charlie):
    old = desk.trade(qty="5", limit="90")
    assert change(page_client(charlie), old, qty="6").status_code == 404


# ── records ──────────────────────────────────────────────────────────────────
def test_an_order_shows_its_raw_events_and_its_command_without_a_token(desk: Desk, web: Client):
    order = desk.trade(qty="5", limit="90")
    page = web.get(f"/orders/{order.pk}").content.decode()
    assert f'href="/orders/{order.pk}/events"' in page
    assert f"http://testserver/api/v1/orders/{order.pk}" in page
    assert "Bearer $TOKEN" in page and "&quot;limit_price&quot;: &quot;90&quot;" in page
    events = text(web.get(f"/orders/{order.pk}/events", headers=HTMX))
    for words in ("pending", "submitting", "new", "api", "placed"):
        assert words in events


def test_a_long_life_is_still_a_small_page(desk: Desk, web: Client):
    order = desk.trade(qty="5", limit="90")
    OrderEvent.objects.bulk_create(
        OrderEvent(order=order, at=desk.now, old_state="new", new_state="new", source="poll")
        for _ in range(1_000)
    )
    for address in (f"/orders/{order.pk}", f"/orders/{order.pk}/events"):
        assert len(gzip.compress(web.get(address).content)) < 30_000


# ── what is not ordinary ─────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("state", "says"), [("pending", "Not sent yet"), ("submitting", "Checking with the broker")]
)
def test_an_order_without_an_answer_says_why_after_five_seconds(
    desk: Desk, web: Client, state: str, says: str
):
    """Of one that waits here nobody was asked: the broker does not owe an answer."""
    order = desk.place(qty="5")
    Order.objects.filter(pk=order.pk).update(state=state)
    stamp = desk.fresh(order).updated_at.isoformat()
    assert says not in text(web.get(f"/orders/{order.pk}"))
    desk.wait(6)
    answer = web.get(f"/orders/{order.pk}", {"seen": stamp}, headers=HTMX)
    assert answer.status_code == 200 and says in text(answer)


@pytest.mark.parametrize(
    "state, more, words",
    [
        ("rejected", {"reject_code": "position_limit", "reject_reason": "too large"},
         "The broker refused it. Too large. Lower the order"),
        ("rejected", {"reject_code": "40310000"}, "It gave no reason. Change the order"),
        ("canceled", {}, "Canceled. Nothing was filled and nothing was charged."),
        ("expired", {}, "Expired. It was good for the day, and the market closed."),
        ("lost", {}, "It is never sent twice."),
        ("pending_replace", {}, "does not pause it"),
    ],
)  # fmt: skip
def test_each_way_to_end_is_said_in_plain_words(desk: Desk, web: Client, state, more, words):
    order = desk.trade(qty="5", limit="90")
    Order.objects.filter(pk=order.pk).update(state=state, **more)
    assert words in text(web.get(f"/orders/{order.pk}"))


def test_a_refused_order_leads_back_to_its_ticket_with_all_its_values(desk: Desk, web: Client):
    order = desk.trade(qty="5", limit="90", tif="gtc")
    Order.objects.filter(pk=order.pk).update(state="rejected", reject_reason="No.")
    page = web.get(f"/orders/{order.pk}").content.decode()
    query = "side=buy&amp;order_type=limit&amp;unit=shares&amp;amount=5&amp;limit_price=90"
    assert f'href="/markets/AAPL?{query}&amp;time_in_force=gtc#ticket"' in page
    assert "Change and try again" in page


def test_an_order_canceled_untold_is_refused_a_second_cancel(desk: Desk):
    order = desk.place(qty="1", limit="90")
    desk.cancel(order)
    assert not Submission.objects.filter(order=order, done_at=None).exists()
    with pytest.raises(Conflict):
        order_cancel(order=order, actor=desk.user, source="page", now=desk.now)


def test_a_reason_that_is_a_sentence_goes_on_with_who_gave_it(desk: Desk):
    event = desk.trade(qty="1", limit="90").events.last()
    event.reason = "The paper market does not take this order."
    assert event_moment(event).detail.startswith("The paper market does not take this order, by ")
