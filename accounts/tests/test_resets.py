"""A second factor is taken away by two of the staff, and never by one."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, FactorReset, TrustedBrowser
from accounts.second_factor import codes_renew, has_factor
from accounts.services.devices import browser_trust
from accounts.services.resets import ANOTHER, factor_reset_approve, factor_reset_ask
from accounts.tests.test_api_keys import make_key
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.testing.cast import PASSWORD, ApiClient, give_app, make_user, page_client


@pytest.fixture
def dora(db: None) -> Any:
    """A colleague of Bob's."""
    return make_user("dora", staff=True)


@pytest.fixture
def asked(alice: Any, bob: Any) -> FactorReset:
    """Alice lost her phone, and Bob asked to take her second factor away."""
    give_app(alice)
    codes_renew(alice)
    return factor_reset_ask(user=alice, actor=bob, reason="She called.", now=timezone.now())


def approve(user: Any, actor: Any, **more: Any) -> Any:
    given = {"reason": "I called her back.", "now": timezone.now(), **more}
    return factor_reset_approve(user=user, actor=actor, **given)


def test_who_asked_does_not_approve(alice: Any, bob: Any, asked: FactorReset):
    with pytest.raises(Conflict, match=ANOTHER):
        approve(alice, bob)
    assert has_factor(alice)


def test_the_database_wants_two_as_well(bob: Any, asked: FactorReset):
    for changes in ({"approved_by": bob}, {"done_at": timezone.now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            FactorReset.objects.filter(pk=asked.pk).update(**changes)


def test_with_two_the_factor_and_all_that_is_open_go(
    alice: Any, bob: Any, dora: Any, asked: FactorReset
):
    browser_trust(user=alice, agent="", now=timezone.now())
    web, script, robot = page_client(alice), ApiClient(user=alice), make_key(alice)[1]
    approve(alice, dora)
    assert not has_factor(alice) and not TrustedBrowser.objects.exists()
    assert web.get("/settings").status_code == 302
    assert script.get("auth/me").status_code == 401
    assert ApiClient(token=robot).get("accounts").status_code == 401
    assert Client().post("/login", {"username": "alice", "password": PASSWORD}).status_code == 302
    rows = AuditEvent.objects.filter(action__startswith="user.factor_reset").order_by("pk")
    assert [(row.action, row.actor, row.reason) for row in rows] == [
        ("user.factor_reset_ask", bob, "She called."),
        ("user.factor_reset", dora, "I called her back."),
    ]
    with pytest.raises(Conflict):
        approve(alice, dora)


def test_the_audit_names_who_did_it_and_its_owner_reads_it(
    alice: Any, dora: Any, asked: FactorReset
):
    make_key(alice)
    browser_trust(user=alice, agent="", now=timezone.now())
    approve(alice, dora)
    ended = ("user.trust_end", "user.sessions_end", "key.revoke")
    rows = AuditEvent.objects.filter(action__in=ended, target=f"user:{alice.pk}")
    assert {(row.action, row.actor) for row in rows} == {(action, dora) for action in ended}
    assert len(rows) == 3
    alice.refresh_from_db()
    page = page_client(alice).get("/settings/security").content.decode()
    for words in (
        "A reset of the second factor asked for by support",
        "Second factor reset by support",
        "API key revoked by support",
    ):
        assert words in page
    assert "API key made by support" not in page


def test_a_question_lapses_after_a_day_and_needs_a_reason(
    alice: Any, bob: Any, dora: Any, asked: FactorReset
):
    with pytest.raises(Conflict):
        approve(alice, dora, now=asked.asked_at + timedelta(days=1))
    with pytest.raises(InvalidInput):
        approve(alice, dora, reason=" ")
    with pytest.raises(InvalidInput):
        factor_reset_ask(user=alice, actor=bob, reason="", now=timezone.now())
    assert has_factor(alice)


def test_nobody_is_asked_about_who_has_none(alice: Any, bob: Any):
    with pytest.raises(Conflict):
        factor_reset_ask(user=alice, actor=bob, reason="She called.", now=timezone.now())
    with pytest.raises(Conflict):
        approve(alice, bob)
