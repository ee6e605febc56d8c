"""Whatever staff read at the desk, and by whatever way, leaves a row in the audit."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client

from accounts.models import AuditEvent, BrokerageAccount, User
from speedtrade.tests import test_admin
from speedtrade.tests.test_admin import REASON, act, page, texts
from trading.models import Order
from trading.tests.desk import Desk

desk, support, viewer = test_admin.desk, test_admin.support, test_admin.viewer
everything = test_admin.everything


def looks(user: User | None = None) -> list[tuple[str, Any]]:
    """(target, data) of each look, in order."""
    rows = AuditEvent.objects.filter(action="admin.view").order_by("id")
    return [(row.target, row.data) for row in (rows.filter(actor=user) if user else rows)]


# ── other doors than the pages ──────────────────────────────────────────────
@pytest.mark.parametrize("model, field", [(BrokerageAccount, "user"), (Order, "instrument")])
def test_nothing_completes_names(desk: Desk, support: Client, model: Any, field: str):
    asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
    answer = support.get("/admin/autocomplete/", {**asked, "field_name": field, "term": "a"})
    assert answer.status_code == 404
    assert b"alice" not in answer.content


def test_no_page_needs_a_completion(db: None):
    for desk_of in admin.site._registry.values():
        for one in (desk_of, *desk_of.inlines):
            assert not one.autocomplete_fields and not one.raw_id_fields, one


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_no_other_method_draws_a_page(desk: Desk, support: Client, method: str):
    for address in (page(User, "changelist"), page(User, "change", desk.user.pk), "/admin/"):
        answer = support.generic(method, address)
        assert answer.status_code == 405, address
        assert b"alice" not in answer.content
    assert looks() == []


# ── every way to a page ─────────────────────────────────────────────────────
def test_to_ask_for_the_head_alone_is_a_look_too(desk: Desk, support: Client):
    """Its length says how many rows there are."""
    support.head(page(User, "changelist"), {"q": "alice"})
    support.head(page(User, "change", desk.user.pk))
    assert looks() == [("user:*", {"query": "q=alice"}), (f"user:{desk.user.pk}", {})]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"action": ""},
        {"action": "cancel"},
        {"action": "cancel", "_save": "1", ACTION_CHECKBOX_NAME: "1"},
        {ACTION_CHECKBOX_NAME: "1"},
        {"index": "0", "_save": "1"},
        {"select_across": "1", "action": "cancel"},
    ],
)
def test_a_post_that_is_no_act_is_refused(desk: Desk, support: Client, sent: dict[str, str]):
    answer = support.post(f"{page(Order, 'changelist')}?q=alice", sent)
    assert answer.status_code == 403
    assert b"alice" not in answer.content


def test_a_post_of_who_may_not_act_shows_no_list(desk: Desk, viewer: Client):
    assert viewer.post(page(Order, "changelist"), {"index": "0"}).status_code == 403


@pytest.mark.parametrize("sent", [{"action": ""}, {"action": "cancel"}])
def test_who_forgot_to_choose_is_told_so(desk: Desk, support: Client, sent: dict[str, str]):
    """By the list's own form, which knows of an `index`."""
    answer = support.post(page(Order, "changelist"), {**sent, "index": "0"})
    assert (answer.status_code, answer["Location"]) == (302, page(Order, "changelist"))
    assert "selected" in texts(answer)[0]


def test_a_list_that_is_shown_after_all_is_written_down(
    desk: Desk, support: Client, monkeypatch: pytest.MonkeyPatch
):
    """Whatever a POST may still be that Django answers with the list."""
    monkeypatch.setattr("speedtrade.lib.admin.SupportAdmin._check_post", lambda *_: None)
    answer = support.post(page(Order, "changelist"), {})
    assert answer.status_code == 200 and answer.context["cl"].result_count == 3
    assert looks() == [("order:*", {})]


@pytest.mark.parametrize("reason", [None, REASON, " "])
def test_the_rows_that_an_act_names_are_looked_at(desk: Desk, support: Client, reason: str | None):
    """To ask for an act names them, and so does its refusal: ids can be guessed."""
    filled = Order.objects.get(state="filled")
    act(support, Order, "cancel", filled, reason=reason)
    assert looks() == [(f"order:{filled.pk}", {})]
    rows = list(Order.objects.order_by("pk"))
    act(support, Order, "cancel", *rows, reason=reason)
    target, data = looks()[-1]
    assert target == "order:*"
    assert sorted(data["rows"]) == sorted(str(row.pk) for row in rows)


def test_an_act_on_all_that_a_search_finds_says_the_search(desk: Desk, support: Client):
    sent = {"action": "cancel", "select_across": "1", ACTION_CHECKBOX_NAME: "0"}
    answer = support.post(f"{page(Order, 'changelist')}?q=alice", sent)
    assert answer.content.count(b"Order #") == 3
    ((target, data),) = looks()
    assert (target, data["query"], len(data["rows"])) == ("order:*", "q=alice", 3)


def test_what_the_index_tells_of_acts_is_a_look(desk: Desk, support: Client):
    answer = support.get("/admin/")
    assert answer.context["latest"]
    assert looks() == [("auditevent:*", {})]


def test_the_name_on_the_page_that_asks_is_a_look(desk: Desk, support: Client):
    asked = support.get(f"/admin/accounts/user/{desk.user.pk}/view-as/")
    assert b"alice" in asked.content
    assert looks() == [(f"user:{desk.user.pk}", {})]


def test_the_way_to_the_history_of_a_row_is_a_look(desk: Desk, support: Client):
    order = Order.objects.first()
    support.get(page(Order, "history", order.pk))
    assert looks() == [(f"order:{order.pk}", {})]


def test_every_page_of_rows_is_written_down_by_itself(everything: dict[Any, Any], support: Client):
    for model, row in everything.items():
        desk_of: Any = admin.site._registry[model]
        wanted = {
            page(model, "changelist"): f"{model._meta.model_name}:*",
            page(model, "change", row.pk): desk_of.audit_target(row),
        }
        for address, target in wanted.items():
            before = len(looks())
            assert support.get(address).status_code == 200
            assert [seen for seen, _ in looks()[before:]] == [target], address


# ── what is written down ────────────────────────────────────────────────────
def test_nothing_hides_what_was_looked_for(desk: Desk, support: Client):
    padded = f"all={'A' * (settings.ADMIN_QUERY_MAX - 20)}&q=alice"
    assert support.get(f"{page(User, 'changelist')}?{padded}").status_code == 200
    assert looks() == [("user:*", {"query": padded})]


@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_a_query_too_long_to_be_kept_shows_nothing(desk: Desk, support: Client, method: str):
    padded = f"all={'A' * settings.ADMIN_QUERY_MAX}&q=alice"
    order = Order.objects.first()
    sent = {"action": "cancel", ACTION_CHECKBOX_NAME: order.pk} if method == "post" else None
    for model in (User, Order):
        address = f"{page(model, 'changelist')}?{padded}"
        answer = getattr(support, method)(address, sent if model is Order else None)
        assert answer.status_code in (400, 403)
        assert b"alice@" not in answer.content and b"Order #" not in answer.content
    assert looks() == []
