"""The pages of an account, as a browser without JavaScript sees them."""

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Palette, Theme, TokenFamily, User
from accounts.tokens import tokens_issue
from speedtrade.lib.htmx import PALETTES, THEMES
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, page_client
from speedtrade.testing.market import instrument

DASHBOARD = "/dashboard"
LOGIN = {"username": "alice", "password": PASSWORD}
DORA = {"username": "dora", "email": "dora@example.com", "password": PASSWORD, "paper": "on"}


def test_a_person_registers_and_is_in(db):
    browser = Client()
    assert browser.get("/register").status_code == 200
    answer = browser.post("/register", DORA)
    assert (answer.status_code, answer.url) == (302, DASHBOARD)
    assert browser.session[SESSION_KEY] == str(User.objects.get(username="dora").pk)


def test_a_refused_registration_shows_the_form_again_with_each_reason(alice):
    answer = Client().post("/register", {**DORA, "username": "ALICE", "password": "1"})
    assert answer.status_code == 422
    assert {"username", "password"} <= set(answer.context["form"].errors)
    page = answer.content.decode()
    assert "This name is taken." in page and "dora@example.com" in page
    assert PASSWORD not in page


def test_a_person_logs_in_and_out_again(alice):
    browser = Client()
    answer = browser.post("/login", LOGIN)
    assert (answer.status_code, answer.url) == (302, DASHBOARD)
    assert browser.get("/settings").status_code == 200
    old = browser.cookies["sessionid"].value
    assert browser.get("/logout").status_code == 405
    answer = browser.post("/logout")
    assert (answer.status_code, answer.url) == (302, "/")
    browser.cookies["sessionid"] = old
    assert browser.get("/settings").url == "/login?next=/settings"


def test_a_login_changes_the_session_id(alice):
    """A session planted before the log-in is worth nothing after it."""
    browser = Client()
    planted = browser.session
    planted["planted"] = "yes"
    planted.save()
    browser.cookies["sessionid"] = planted.session_key
    browser.post("/login", LOGIN)
    assert browser.cookies["sessionid"].value != planted.session_key
    attacker = Client()
    attacker.cookies["sessionid"] = planted.session_key
    assert attacker.get("/settings").status_code == 302


@pytest.mark.parametrize("door", ["/login", "/register"])
def test_who_is_in_is_sent_on(alice, door):
    assert page_client(alice).get(door).url == DASHBOARD
    assert page_client(alice).get(f"{door}?next=/orders").url == "/orders"


@pytest.mark.parametrize("door", ["/login", "/register"])
@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("/orders?status=open", "/orders?status=open"),
        ("http://testserver/orders", "http://testserver/orders"),
        ("https://evil.example/", DASHBOARD),
        ("//evil.example/", DASHBOARD),
        ("///evil.example/", DASHBOARD),
        ("/\\evil.example/", DASHBOARD),
        ("javascript:alert(1)", DASHBOARD),
        ("http:///evil.example", DASHBOARD),
        ("", DASHBOARD),
        # The name of no view, and no address: a redirect would look for one.
        ("abc", DASHBOARD),
        ("orders", DASHBOARD),
        ("?a", DASHBOARD),
    ],
)
def test_next_leads_to_our_own_host_only(alice, door, asked, leads_to):
    given = LOGIN if door == "/login" else DORA
    assert Client().post(door, {**given, "next": asked}).url == leads_to
    shown = Client().get(door, {"next": asked}).context["next"]
    assert shown == (asked if leads_to == asked else "")


@pytest.mark.parametrize("asked", ["abc", "orders", "?a", "https://evil.example/"])
@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("/settings/brokers/choose", DASHBOARD),
        ("/settings/columns/holdings", "/settings/appearance"),
        ("/settings/indicators", "/markets"),
        ("/watchlist/add", "/markets/AAPL"),
    ],
)
def test_no_form_leads_to_what_is_no_address_of_ours(alice, address, leads_to, asked):
    instrument("AAPL")
    account = account_of(alice).pk
    given = {"next": asked, "account_id": account, "symbol": "AAPL", "column": ["price"]}
    answer = page_client(alice).post(address, given)
    assert (answer.status_code, answer.url) in ((302, leads_to), (303, leads_to))


@pytest.mark.parametrize("door", ["/login", "/register"])
def test_who_is_in_and_asks_for_no_address_is_sent_home(alice, door):
    assert page_client(alice).get(f"{door}?next=abc").url == DASHBOARD


def test_a_stranger_is_sent_to_the_login_and_comes_back(alice):
    browser = Client()
    answer = browser.get("/settings")
    assert (answer.status_code, answer.url) == (302, "/login?next=/settings")
    assert browser.post(answer.url, LOGIN).url == "/settings"


def test_a_fragment_for_nobody_makes_htmx_load_the_login_page(db):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/markets/AAPL?range=1D"}
    answer = Client().get("/settings", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/login?next=/markets/AAPL%3Frange%3D1D"
    assert not answer.content


@pytest.mark.parametrize("wrong", ["http://[", "//[::1", "http://\u2100.example/", "x" * 5000])
@pytest.mark.parametrize("header", ["HX-Current-URL", "Referer", "Origin", "HX-Target"])
def test_a_header_that_is_no_address_is_no_fault(db, header, wrong):
    fragment, page = {"HX-Request": "true", header: wrong}, {header: wrong}
    answer = Client().get("/dashboard", headers=fragment)
    assert answer.status_code == 204 and answer.headers["HX-Redirect"].startswith("/login?next=")
    assert Client().get("/dashboard", headers=page).url == "/login?next=/dashboard"
    assert Client().post("/logout", headers=page).url == "/login?next=/logout"
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/logout", headers=page, secure=True).status_code == 403
    assert strict.get("/api/v1/auth/me", headers=page).status_code == 401


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "application/x-www-form-urlencoded; charset=utf-16"]
)
def test_nor_is_a_form_of_no_kind(alice, kind):
    """The page of the error names the account, which a form may choose."""
    browser = page_client(alice)
    for path, status in (("/no/such/page", 404), ("/settings/appearance", 400)):
        assert browser.generic("POST", path, "a=b", content_type=kind).status_code == status


def test_the_settings_show_the_profile_and_take_changes(alice):
    browser = page_client(alice)
    page = browser.get("/settings")
    assert page.context["profile_form"].initial == {"email": alice.email}
    answer = browser.post("/settings/profile", {"email": "new@example.com"})
    assert (answer.status_code, answer.url) == (302, "/settings")
    alice.refresh_from_db()
    assert alice.email == "new@example.com"


def test_the_theme_stays_after_logging_out(alice):
    User.objects.filter(pk=alice.pk).update(theme="dark")
    browser = Client()
    browser.post("/login", LOGIN)
    browser.post("/logout")
    assert browser.get("/login").context["theme"] == "dark"


def test_the_colours_of_gain_and_loss_stay_after_logging_out(alice, charlie):
    User.objects.filter(pk=alice.pk).update(palette="cb")
    browser = Client()
    browser.post("/login", LOGIN)
    browser.post("/logout")
    assert 'data-palette="cb"' in browser.get("/login").content.decode()
    browser.post("/login", {**LOGIN, "username": "charlie"})
    assert 'data-palette=""' in browser.get("/settings").content.decode()
    browser.post("/logout")
    assert 'data-palette=""' in browser.get("/").content.decode()


def test_every_palette_can_be_remembered():
    assert set(PALETTES) == set(Palette.values) and set(THEMES) == set(Theme.values)


def test_a_refused_profile_shows_the_settings_again(alice, charlie):
    browser = page_client(alice)
    answer = browser.post("/settings/profile", {"email": charlie.email})
    assert answer.status_code == 422
    assert "email" in answer.context["profile_form"].errors
    assert 'value="charlie@example.com"' in answer.content.decode()
    answer = browser.post("/settings/profile", {"email": ""})
    assert set(answer.context["profile_form"].errors) == {"email"}


def test_a_new_password_keeps_this_session_and_ends_all_others(alice):
    here, elsewhere = page_client(alice), page_client(alice)
    script = ApiClient(user=alice)
    change = {"current_password": PASSWORD, "new_password": "another-horse-7-battery"}
    answer = here.post(reverse("accounts:password"), change)
    assert (answer.status_code, answer.url) == (302, "/settings/security")
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings").status_code == 302
    assert script.get("auth/me").status_code == 401
    assert not TokenFamily.objects.filter(user=alice, revoked_at=None).exists()


def test_a_wrong_current_password_changes_nothing(alice):
    browser = page_client(alice)
    tokens_issue(user=alice, now=timezone.now())
    answer = browser.post(
        "/settings/password", {"current_password": "x", "new_password": "another-horse-7-battery"}
    )
    assert answer.status_code == 422
    assert "current_password" in answer.context["password_form"].errors
    assert browser.get("/settings/password").status_code == 200
    assert TokenFamily.objects.filter(user=alice, revoked_at=None).exists()


def test_a_page_never_repeats_a_password(alice):
    secret = "s3cret-that-was-typed"
    for path, fields in (
        ("/login", {"username": "alice", "password": secret}),
        ("/register", {**DORA, "username": "", "password": secret}),
    ):
        assert secret not in Client().post(path, fields).content.decode()
    answer = page_client(alice).post(
        "/settings/password", {"current_password": secret, "new_password": secret}
    )
    assert secret not in answer.content.decode()
