"""A user's browsers: each is logged out alone, and trust is for a while, until taken back."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, BrowserSession, TrustedBrowser, User
from accounts.services.devices import browser_words, devices_expire, session_end, sessions_of
from accounts.services.users import user_deactivate, user_reactivate, user_sessions_end
from speedtrade.lib.errors import NotFound
from speedtrade.testing.cast import PASSWORD, app_code, give_app, make_superuser, page_client

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


def login(name: str = "alice", web: Client | None = None, agent: str = CHROME) -> Client:
    web = web or Client(headers={"User-Agent": agent})
    web.post("/login", {"username": name, "password": PASSWORD})
    return web


def inside(web: Client) -> bool:
    return bool(web.get("/settings").status_code == 200)


@pytest.fixture
def trusting(alice: Any) -> Client:
    """A browser that Alice told to ask no more, and that has logged out since."""
    web, secret = Client(headers={"User-Agent": CHROME}), give_app(alice)
    login(web=web)
    web.post("/login/code", {"code": app_code(secret), "trust": "on"})
    assert inside(web)
    web.post("/logout")
    return web


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) Version/18 Safari/604", "Safari on iPhone"),
        ("<script>alert(1)</script>", "A browser"),
        ("", "A browser"),
    ],
)
def test_a_browser_is_named_in_words_of_ours(agent: str, words: str):
    assert browser_words(agent) == words


# ── sessions ────────────────────────────────────────────────────────────────
def test_each_log_in_is_listed_and_is_ended_alone(alice: Any):
    here, there = login(), login(agent="Mozilla/5.0 (Android 16) Firefox/140.0")
    page = here.get("/settings/security").content.decode()
    assert "Firefox on Android" in page and page.count("(this one)") == 1
    other = BrowserSession.objects.get(browser="Firefox on Android")
    assert here.post(f"/settings/sessions/{other.pk}/end").status_code == 303
    assert inside(here) and not inside(there)
    assert [one.browser for one in sessions_of(alice, timezone.now())] == ["Chrome on Windows"]
    assert AuditEvent.objects.filter(action="user.session_end", actor=alice).count() == 1


def test_who_is_in_and_logs_in_again_is_listed_once(alice: Any):
    """Fails as it did: a 500, because the session keeps its key."""
    web = login(web=login())
    assert inside(web) and len(sessions_of(alice, timezone.now())) == 1


def test_nobody_ends_somebody_elses_session(alice: Any, charlie: Any):
    web = login()
    row = BrowserSession.objects.get(user=alice)
    with pytest.raises(NotFound):
        session_end(user=charlie, session_id=row.pk, now=timezone.now())
    assert page_client(charlie).post(f"/settings/sessions/{row.pk}/end").status_code == 404
    assert inside(web)


def test_a_session_that_outlives_a_new_password_is_still_the_listed_one(alice: Any):
    here = login()
    login()
    new = "another-horse-7-battery"
    here.post("/settings/password", {"current_password": PASSWORD, "new_password": new})
    alice.refresh_from_db()
    listed = sessions_of(alice, timezone.now()).get()
    assert listed.session_key == here.session.session_key
    page_client(alice).post(f"/settings/sessions/{listed.pk}/end")
    assert not inside(here)


def test_what_has_ended_is_not_listed_and_is_deleted_in_time(alice: Any):
    login().post("/logout")
    assert not sessions_of(alice, timezone.now()).exists()
    assert devices_expire(now=timezone.now()) == 1 and not BrowserSession.objects.exists()


def test_a_log_in_as_somebody_else_ends_the_one_that_was(alice: Any, charlie: Any):
    web, secret = login("charlie"), give_app(alice)
    login(web=web)
    assert not inside(web) and not sessions_of(charlie, timezone.now()).exists()
    web.post("/login/code", {"code": app_code(secret)})
    assert web.get("/settings").context["user"] == alice


# ── trust ───────────────────────────────────────────────────────────────────
def test_a_trusted_browser_takes_the_password_alone(trusting: Client):
    cookie = trusting.cookies["trusted"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
    assert inside(login(web=trusting))
    assert not inside(login()), "another browser is asked"
    last = AuditEvent.objects.filter(action="user.login").latest("pk")
    assert last.data["factor"] == "trusted browser"


def test_a_right_password_of_a_trusted_browser_locks_nobody_out(trusting: Client):
    for _ in range(7):
        login(web=trusting)
        assert inside(trusting)
        trusting.post("/logout")


def test_without_the_tick_no_browser_is_trusted(alice: Any):
    web, secret = login(web=Client()), give_app(alice)
    web.post("/logout")
    login(web=web)
    web.post("/login/code", {"code": app_code(secret)})
    assert "trusted" not in web.cookies and not TrustedBrowser.objects.exists()


def test_trust_ends_after_thirty_days(trusting: Client):
    with time_machine.travel(timezone.now() + timedelta(days=30), tick=False):
        assert not inside(login(web=trusting))


@pytest.mark.parametrize("what", ["one", "all", "password", "round", "factor", "forged", "moved"])
def test_trust_ends_when_it_is_taken_back(alice: Any, charlie: Any, trusting: Client, what: str):
    row = TrustedBrowser.objects.get()
    assert row.token_hash not in trusting.cookies["trusted"].value
    if what in ("one", "all"):
        part = f"{row.pk}/end" if what == "one" else "end"
        assert page_client(alice).post(f"/settings/trusted/{part}").status_code == 303
    elif what == "password":
        User.objects.filter(pk=alice.pk).update(password=charlie.password)  # of the same words
    elif what == "round":
        user_sessions_end(user=alice, now=timezone.now())
    elif what == "factor":
        web = page_client(alice)
        web.post(f"/settings/security/{Authenticator.objects.get(type='totp').pk}/remove")
        give_app(alice)
    elif what == "forged":
        trusting.cookies["trusted"] = trusting.cookies["trusted"].value[:-1] + "x"
    elif what == "moved":
        TrustedBrowser.objects.update(user=charlie)
    assert not inside(login(web=trusting))


def test_who_was_closed_and_is_open_again_has_no_old_session_and_no_trusted_browser(
    alice: Any, bob: Any, trusting: Client
):
    inside_before = login(web=trusting)
    assert inside(inside_before)
    user_deactivate(user=alice, actor=bob, reason="A test.", now=timezone.now())
    assert not TrustedBrowser.objects.exists()
    assert AuditEvent.objects.get(action="user.trust_end").actor == bob
    user_reactivate(user=alice, actor=bob, reason="A test.", now=timezone.now())
    assert not inside(inside_before)
    assert not inside(login(web=trusting))


def test_nobody_ends_somebody_elses_trust(charlie: Any, trusting: Client):
    row = TrustedBrowser.objects.get()
    assert page_client(charlie).post(f"/settings/trusted/{row.pk}/end").status_code == 404
    assert TrustedBrowser.objects.exists()


def test_trust_does_not_open_the_desk(db: None):
    root = make_superuser()
    web, secret = Client(), give_app(root)
    login("root", web)
    web.post("/login/code", {"code": app_code(secret), "trust": "on"})
    assert web.get("/admin/").status_code == 200
    web.post("/logout")
    login("root", web)
    assert inside(web) and web.get("/admin/").status_code == 303
