"""Who must have a second factor: the support desk, and whoever moves real money."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, BrokerageAccount
from accounts.services.factors import LIVE_WORDS
from accounts.sessions import CONFIRMED_AT, FACTOR_AT, STEP
from speedtrade.testing.cast import (
    PASSWORD,
    ApiClient,
    account_of,
    app_code,
    give_app,
    make_superuser,
    page_client,
)

LIVE = {
    "broker": "alpaca",
    "mode": "live",
    "api_key": "AKLIVEKEY0001",
    "secret_key": "s" * 40,
    "confirm_live": "live",
}


def password_only(user: Any) -> Client:
    """A browser whose session showed the password and no more."""
    web = Client()
    web.force_login(user)
    session = web.session
    session[CONFIRMED_AT] = timezone.now().timestamp()
    session.save()
    return web


def logged_in(user: Any, secret: str) -> Client:
    web = Client()
    web.post("/login", {"username": user.username, "password": PASSWORD})
    web.post("/login/code", {"code": app_code(secret)})
    return web


# ── the desk ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("address", ["/admin/", "/admin/accounts/user/", "/admin/login/"])
def test_the_desk_is_shut_to_a_password_alone(db, address):
    root = make_superuser()
    answer = password_only(root).get(address, follow=True)
    assert answer.redirect_chain[-1][0] == "/settings/security/app"
    assert not AuditEvent.objects.filter(action="admin.view").exists()


def test_the_desk_asks_who_has_an_app_for_its_code_and_for_nothing_less(db):
    root = make_superuser()
    secret, web = give_app(root), password_only(root)
    answer = web.get("/admin/accounts/user/")
    asked = "/settings/security/confirm?next=/admin/accounts/user/"
    assert answer.headers["Location"] == asked
    form = web.get(asked).content.decode()
    assert 'name="password"' not in form and 'name="code"' in form
    given = {"next": "/admin/accounts/user/"}
    assert (
        web.post("/settings/security/confirm", {**given, "password": PASSWORD}).status_code == 422
    )
    assert web.get("/admin/").status_code == 303
    given["code"] = app_code(secret)
    done = web.post("/settings/security/confirm", given)
    assert done.headers["Location"] == "/admin/accounts/user/"
    assert web.get("/admin/accounts/user/").status_code == 200


def test_an_act_of_the_desk_is_shut_to_a_password_alone(alice):
    web = password_only(make_superuser())
    act = {"action": "deactivate", "_selected_action": alice.pk, "reason": "x", "confirmed": "1"}
    assert web.post("/admin/accounts/user/", act).status_code == 303
    alice.refresh_from_db()
    assert alice.is_active


def test_confirming_by_password_does_not_open_the_desk(db):
    root = make_superuser()
    give_app(root)
    web = password_only(root)
    assert web.post("/settings/security/confirm", {"password": PASSWORD}).status_code == 422
    assert web.get("/admin/").status_code == 303


def test_a_factor_that_is_gone_opens_the_desk_no_more(db):
    root = make_superuser()
    web = logged_in(root, give_app(root))
    Authenticator.objects.filter(user=root).delete()
    assert FACTOR_AT in web.session
    assert web.get("/admin/").headers["Location"] == "/settings/security/app"


def test_who_logs_in_with_the_code_is_at_the_desk(db):
    root = make_superuser()
    web = logged_in(root, give_app(root))
    assert STEP not in web.session
    assert web.get("/admin/").status_code == 200


def test_the_last_factor_of_staff_stays(db):
    root = make_superuser()
    secret = give_app(root)
    row = Authenticator.objects.get(user=root)
    answer = logged_in(root, secret).post(f"/settings/security/{row.pk}/remove", follow=True)
    assert "Whoever works at the support desk has a second factor." in answer.content.decode()
    assert Authenticator.objects.filter(user=root, type="totp").exists()


# ── real money ──────────────────────────────────────────────────────────────
def test_a_live_account_is_connected_by_who_has_a_second_factor(alice):
    answer = ApiClient(user=alice).post("accounts", {**LIVE, "confirm_live": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_missing")
    page = page_client(alice).post("/settings/brokers/connect", LIVE, follow=True)
    assert page.redirect_chain[-1][0] == "/settings/security/app"
    assert LIVE_WORDS in page.content.decode()
    assert not BrokerageAccount.objects.filter(user=alice, mode="live").exists()
    paper = ApiClient(user=alice).post("accounts", {**LIVE, "mode": "paper"})
    assert paper.status_code == 201, "paper takes no second factor"


def test_connecting_and_a_new_key_ask_again_who_one_is(alice):
    web = page_client(alice)
    session = web.session
    del session["confirmed_at"]
    session.save()
    for address in ("/settings/brokers/connect", f"/settings/brokers/{account_of(alice).pk}/key"):
        answer = web.post(address, {**LIVE, "mode": "paper"})
        assert answer.headers["Location"].startswith("/settings/security/confirm?next=/settings/b")
    assert not BrokerageAccount.objects.filter(user=alice, broker="alpaca").exists()


def test_the_last_factor_stays_while_a_live_account_is_connected(alice):
    secret = give_app(alice)
    live = BrokerageAccount.objects.create(
        user=alice, label="Savings", broker="alpaca", mode="live", created_at=timezone.now()
    )
    web, row = logged_in(alice, secret), Authenticator.objects.get(user=alice)
    web.post(f"/settings/security/{row.pk}/remove")
    assert Authenticator.objects.filter(pk=row.pk).exists()
    BrokerageAccount.objects.filter(pk=live.pk).update(status="disconnected")
    web.post(f"/settings/security/{row.pk}/remove")
    assert not Authenticator.objects.filter(pk=row.pk).exists()
