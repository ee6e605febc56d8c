"""The settings as a browser without JavaScript meets them."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, BrokerageAccount, TokenFamily, User
from accounts.services import guards
from accounts.services.closing import user_close
from accounts.services.preferences import user_preferences_change
from accounts.services.users import user_sessions_end
from accounts.tokens import tokens_issue
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, page_client

SECTIONS = ("", "/trading", "/appearance", "/notifications", "/security", "/data")
LOOK = {"theme": "dark", "palette": "cb", "density": "compact", "flashes": "", "shortcuts": "on"}
CLOSING = {"username": "alice", "password": PASSWORD}


@pytest.fixture
def web(alice: Any) -> Client:
    return page_client(alice)


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_marks_itself_and_leads_to_the_others(
    web: Client, section: str, django_assert_max_num_queries: Any
):
    with django_assert_max_num_queries(25):
        html = web.get(f"/settings{section}").content.decode()
    for other in SECTIONS:
        mark = ' aria-current="page"' if other == section else ""
        assert f'<a href="/settings{other}"{mark}>' in html


# ── preferences ──────────────────────────────────────────────────────────────
def test_the_look_is_saved_and_shown_again(alice: Any, web: Client):
    answer = web.post("/settings/appearance", LOOK)
    assert (answer.status_code, answer.url) == (303, "/settings/appearance")
    alice.refresh_from_db()
    assert (alice.theme, alice.palette) == ("dark", "cb")
    assert alice.density == "compact"
    assert (alice.flashes, alice.paused, alice.shortcuts) == (False, False, True)
    cookie = web.cookies["theme"]
    assert cookie.value == "dark" and cookie["httponly"] and cookie["samesite"] == "Lax"
    html = web.get("/settings/appearance").content.decode()
    assert 'data-theme="dark"' in html and "Saved." in html
    assert 'value="cb"' in html and html.count("checked") == 4  # theme, palette, density, shortcuts
    assert 'data-density="compact"' in html


def test_the_unit_of_a_ticket_is_saved(alice: Any, web: Client):
    assert web.post("/settings/trading", {"order_unit": "dollars"}).status_code == 303
    alice.refresh_from_db()
    assert alice.order_unit == "dollars" and alice.theme == "system"


def test_what_no_toast_is_wanted_of_stands_on_every_page(alice: Any, charlie: Any, web: Client):
    html = web.get("/settings/notifications").content.decode()
    assert 'data-quiet=""' in html and html.count("checked") == 4, "by default all of it is told"
    assert "SpeedTrade sends no mail yet" in html
    kept = {"toast_ends": "on", "toast_connection": "on"}
    assert web.post("/settings/notifications", kept).status_code == 303
    for path in ("/settings/notifications", "/dashboard"):
        assert 'data-quiet="fills alerts"' in web.get(path).content.decode()
    alice.refresh_from_db()
    charlie.refresh_from_db()
    assert (alice.quiet, charlie.quiet, alice.flashes) == ("fills alerts", "", True)


@pytest.mark.parametrize(
    "section, given, wrong",
    [
        ("appearance", {**LOOK, "theme": "pink"}, "theme"),
        ("appearance", {**LOOK, "palette": "grey"}, "palette"),
        ("appearance", {**LOOK, "density": "cramped"}, "density"),
        ("appearance", {}, "theme"),
        ("trading", {"order_unit": "tons"}, "order_unit"),
    ],
)
def test_what_is_no_choice_comes_back_with_the_reason(alice, web, section, given, wrong):
    answer = web.post(f"/settings/{section}", given)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {wrong}
    if given.get("theme") == "dark":
        assert '<input type="radio" name="theme" value="dark"' in answer.content.decode()
    before = alice.palette, alice.theme, alice.order_unit
    alice.refresh_from_db()
    assert (alice.palette, alice.theme, alice.order_unit) == before


def test_the_service_refuses_every_wrong_choice_at_once_and_keeps_the_rest(alice: Any):
    with pytest.raises(InvalidInput) as caught:
        user_preferences_change(user=alice, theme="pink", palette="grey", now=timezone.now())
    assert {error.field for error in caught.value.errors} == {"theme", "palette"}
    user_preferences_change(user=alice, paused=True, now=timezone.now())
    alice.refresh_from_db()
    assert alice.paused and alice.flashes and alice.theme == "system"


# ── sessions ─────────────────────────────────────────────────────────────────
def test_logging_out_everywhere_else_keeps_this_session_alone(alice: Any):
    here, elsewhere, script = page_client(alice), page_client(alice), ApiClient(user=alice)
    answer = here.post("/settings/sessions")
    assert (answer.status_code, answer.url) == (303, "/settings/security")
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings").status_code == 302
    assert script.get("auth/me").status_code == 401
    assert not TokenFamily.objects.filter(user=alice, revoked_at=None).exists()
    assert "Other sessions logged out" in here.get("/settings/security").content.decode()


def test_a_session_of_before_the_round_is_dead_even_with_the_same_password(alice: Any):
    old = alice.get_session_auth_hash()
    user_sessions_end(user=alice, now=timezone.now())
    first = User.objects.get(pk=alice.pk).get_session_auth_hash()
    user_sessions_end(user=alice, now=timezone.now())
    second = User.objects.get(pk=alice.pk).get_session_auth_hash()
    assert len({old, first, second}) == 3
    assert Client().login(username="alice", password=PASSWORD)


def test_a_round_holds_for_a_key_that_was_turned_as_well(alice: Any, settings: Any):
    alice.session_round = 1
    before = alice.get_session_auth_hash()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-of-fifty-characters-and-more-0123456789"
    assert list(alice.get_session_auth_fallback_hash()) == [before]


def test_the_log_is_of_this_person_alone_and_short(alice, web, charlie, settings):
    settings.SECURITY_LOG_SHOWN = 2
    for name in ("alice", "alice", "alice", "charlie"):
        Client().post("/login", {"username": name, "password": PASSWORD})
    events = web.get("/settings/security").context["events"]
    assert [event.words for event in events] == ["Logged in in a browser"] * 2
    own = page_client(charlie).get("/settings/security").context["events"]
    assert len(own) == 2 and own[0].words == "Logged in in a browser"


# ── data ─────────────────────────────────────────────────────────────────────
def test_the_file_has_everything_of_this_person_and_of_nobody_else(alice, web, charlie):
    answer = web.get("/settings/export")
    assert "attachment" in answer["Content-Disposition"] and answer.streaming
    raw = b"".join(answer).decode()
    rows = [json.loads(line) for line in raw.splitlines()]
    parts = {row["part"] for row in rows}
    assert {"profile", "accounts", "log"} <= parts
    [profile] = [row for row in rows if row["part"] == "profile"]
    assert profile["email"] == alice.email and profile["preferences"]["theme"] == "system"
    assert "charlie" not in raw and alice.password not in raw
    assert page_client().get("/settings/export").status_code == 302


# ── closing ──────────────────────────────────────────────────────────────────
def test_closing_ends_every_session_and_freezes_the_account(alice: Any, web: Client):
    elsewhere = page_client(alice)
    tokens_issue(user=alice, now=timezone.now())
    answer = web.post("/settings/close", CLOSING)
    assert (answer.status_code, answer.url) == (302, "/")
    assert "Your account is closed" in web.get("/").content.decode()
    for browser in (web, elsewhere):
        assert browser.get("/settings").status_code == 302
    assert Client().post("/login", CLOSING).status_code == 422
    alice.refresh_from_db()
    assert not alice.is_active
    account = account_of(alice)
    assert (account.status, account.status_reason) == ("frozen", "Closed by its owner.")
    assert not TokenFamily.objects.filter(user=alice, revoked_at=None).exists()
    assert AuditEvent.objects.filter(action="user.deactivate", actor=alice).exists()


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"username": "charlie"}, "username"),
        ({"username": ""}, "username"),
        ({"password": "wrong"}, "password"),
        ({"password": ""}, "password"),
    ],
)
def test_closing_needs_the_name_and_the_password(alice, web, changes, field):
    answer = web.post("/settings/close", {**CLOSING, **changes})
    assert answer.status_code == 422 and field in answer.context["form"].errors
    assert PASSWORD not in answer.content.decode()
    alice.refresh_from_db()
    assert alice.is_active


def test_closing_waits_for_what_other_apps_say(alice: Any, web: Client, monkeypatch: Any):
    monkeypatch.setattr(guards, "_GUARDS", [lambda account: f"Account {account.pk} is busy."])
    answer = web.post("/settings/close", CLOSING)
    assert answer.status_code == 422
    assert f"Account {account_of(alice).pk} is busy." in answer.content.decode()
    alice.refresh_from_db()
    assert alice.is_active and account_of(alice).status == "active"


def test_a_frozen_account_keeps_its_reason_when_its_owner_leaves(alice: Any):
    BrokerageAccount.objects.update(status="frozen", status_reason="Papers")
    user_close(user=alice, username="Alice", password=PASSWORD, now=timezone.now())
    assert account_of(alice).status_reason == "Papers"


def test_staff_do_not_close_themselves(bob: Any):
    with pytest.raises(Conflict, match="colleague"):
        user_close(user=bob, username="bob", password=PASSWORD, now=timezone.now())
    assert "ask a colleague" in page_client(bob).get("/settings/data").content.decode()
