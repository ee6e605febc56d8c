"""Support sees an account as its owner does: who may, what is written down, and no more."""

import re
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.services.staff import support_grant
from speedtrade.lib.formats import money_text
from speedtrade.testing import market
from speedtrade.testing.cast import account_of, make_user, page_client
from trading.models import Order
from trading.tests.desk import Desk

REASON = "They called and asked."
QUERY_BUDGET = 25


@pytest.fixture
def desk(alice: User) -> Any:
    with time_machine.travel(market.NOON, tick=False) as clock:
        made = Desk(alice, account_of(alice), clock)
        made.quote("99.99", "100.00")
        made.trade("buy", "10")
        made.work(made.place("buy", "5", limit="90.00"))
        yield made


@pytest.fixture
def support(bob: User) -> Client:
    support_grant(user=bob, actor=None, reason="He answers the phone.", now=timezone.now())
    return page_client(User.objects.get(pk=bob.pk))


def address(user: User) -> str:
    return reverse("admin:view_as", args=[user.pk])


def looks() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="admin.view_as"))


def test_a_reason_is_asked_before_anything_is_shown(desk: Desk, support: Client):
    asked = support.get(address(desk.user))
    blank = support.post(address(desk.user), {"reason": "  "})
    assert (asked.status_code, blank.status_code) == (200, 422)
    for answer in (asked, blank):
        assert 'name="reason"' in answer.content.decode()
        assert "AAPL" not in answer.content.decode()
    assert looks() == []


def test_the_figures_are_those_of_their_own_pages(desk: Desk, support: Client):
    shown = support.post(address(desk.user), {"reason": REASON})
    page = shown.content.decode()
    assert shown.status_code == 200
    assert "Read-only: you see what alice sees" in page
    own = page_client(desk.user).get("/dashboard").context
    seen = shown.context["accounts"][0]
    assert seen["summary"] == own["summary"]
    assert [order for order, _ in seen["orders"]] == list(own["orders"])
    assert list(seen["entries"])[:5] == list(own["entries"])
    for amount in (own["summary"].portfolio_value, own["summary"].buying_power):
        assert money_text(amount) in page


def test_each_look_is_in_the_audit_with_its_reason(desk: Desk, support: Client, bob: User):
    support.post(address(desk.user), {"reason": REASON})
    (event,) = looks()
    assert (event.actor, event.target, event.reason) == (bob, f"user:{desk.user.pk}", REASON)
    listed = reverse("admin:accounts_auditevent_changelist")
    for kind in ("", "?kind=reads"):
        assert event in support.get(f"{listed}{kind}").context["cl"].result_list


def test_nothing_is_shown_when_the_audit_cannot_be_written(
    desk: Desk, support: Client, monkeypatch: pytest.MonkeyPatch
):
    def full(**given: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("speedtrade.view_as.audit_record", full)
    with pytest.raises(RuntimeError):
        support.post(address(desk.user), {"reason": REASON})


def test_the_page_holds_no_form_but_the_way_out(desk: Desk, support: Client):
    page = support.post(address(desk.user), {"reason": REASON}).content.decode()
    main = page.partition('id="content-main"')[2]
    assert "<form" not in main and "<button" not in main and "<input" not in main
    assert re.findall(r'<form[^>]*action="([^"]+)"', page) in ([], ["/admin/logout/"])


@pytest.mark.parametrize("missing", settings.SUPPORT_VIEW_AS)
def test_one_missing_right_is_enough_to_see_nothing(desk: Desk, missing: str):
    user = make_user("vera", staff=True)
    names = [name.partition(".")[2] for name in settings.SUPPORT_VIEW_AS if name != missing]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = page_client(user)
    assert client.get(address(desk.user)).status_code == 403
    assert client.post(address(desk.user), {"reason": REASON}).status_code == 403
    assert looks() == []
    if missing != "accounts.view_user":
        page = client.get(reverse("admin:accounts_user_change", args=[desk.user.pk]))
        assert "view-as" not in page.content.decode()


def test_nobody_and_people_without_a_desk_are_kept_out(desk: Desk, charlie: User):
    for client, status in ((Client(), 302), (page_client(charlie), 302)):
        answer = client.post(address(desk.user), {"reason": REASON})
        assert answer.status_code == status and "alice" not in answer.content.decode()
    assert looks() == []


def test_a_user_that_is_not_there_is_a_404(desk: Desk, support: Client):
    assert support.get(reverse("admin:view_as", args=[999_999])).status_code == 404


def test_a_user_without_an_account_is_shown_as_such(desk: Desk, support: Client):
    user = User.objects.create(username="empty", email="empty@example.com")
    page = support.post(address(user), {"reason": REASON}).content.decode()
    assert "no account" in page


def test_the_page_of_a_user_leads_there(desk: Desk, support: Client):
    page = support.get(reverse("admin:accounts_user_change", args=[desk.user.pk]))
    assert f'href="{address(desk.user)}">View as user' in page.content.decode()


def test_many_orders_cost_no_more_queries(desk: Desk, support: Client):
    template = Order.objects.filter(state="new").get()
    for number in range(60):
        template.pk, template.client_order_id = None, f"copy-{number}"
        template.intent_key = f"copy-{number}"
        template.save(force_insert=True)
    with CaptureQueriesContext(connection) as queries:
        answer = support.post(address(desk.user), {"reason": REASON})
    assert answer.context["accounts"][0]["open_count"] == 61
    assert len(queries) <= QUERY_BUDGET
