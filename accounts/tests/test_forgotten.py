"""A forgotten password: a link to a verified address, good once; nobody learns who exists."""

import logging
import re
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.links import reset_link, reset_user
from accounts.models import AuditEvent, Letter, User
from accounts.selectors import security_log
from accounts.services import forgotten
from accounts.services.forgotten import password_reset, reset_ask
from accounts.services.letters import RESET, letters_due
from accounts.services.users import (
    user_password_change,
    user_profile_change,
    user_sessions_end,
)
from accounts.tasks import letters_sweep
from accounts.tokens import tokens_issue
from speedtrade.lib.errors import InvalidInput
from speedtrade.logging import redact
from speedtrade.testing.cast import (
    PASSWORD,
    ApiClient,
    app_code,
    give_app,
    make_user,
    page_client,
)
from speedtrade.testing.races import race

ASK, SET = "/login/forgotten", "/login/reset"
NEW = "another-horse-7-battery"
LINK = re.compile(r"https://trade\.example\.com(/login/reset/\S+)")


@pytest.fixture
def known(alice: User, post: None) -> User:
    """Alice, whose address is verified."""
    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    alice.refresh_from_db()
    return alice


def ask(name: str, web: Client | None = None) -> Any:
    return (web or Client()).post(ASK, {"username": name})


def link_sent() -> str:
    """The link in the newest letter."""
    letters_sweep()
    found = LINK.search(str(mail.outbox[-1].body))
    assert found
    return found[1]


def follow(link: str, web: Client | None = None) -> Client:
    web = web or Client()
    answer = web.get(link)
    assert (answer.status_code, answer.url) == (303, SET)
    return web


def token_of(user: User) -> str:
    return reset_link(user).rpartition("/")[2]


# ── asking ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["alice", " ALICE@example.com "])
def test_who_forgot_the_password_sets_a_new_one_by_a_link(known: User, name: str):
    inside = page_client(known)
    program = ApiClient(token=tokens_issue(user=known, now=timezone.now()).access_token)
    assert ask(name).status_code == 200
    web = follow(link_sent())
    assert mail.outbox[-1].to == ["alice@example.com"]
    assert "For alice." in web.get(SET).content.decode()
    answer = web.post(SET, {"password": NEW})
    assert (answer.status_code, answer.url) == (302, "/login")
    assert "The password of alice is set." in web.get("/login").content.decode()
    assert web.cookies["reset"].value == ""
    known.refresh_from_db()
    assert known.check_password(NEW)
    assert inside.get("/settings").status_code == 302, "every session has ended"
    assert program.get("auth/me").status_code == 401
    row = AuditEvent.objects.get(action="user.password_reset")
    assert (row.actor, row.target) == (known, f"user:{known.pk}")
    assert security_log(known)[0].words == "Password set anew by a link"
    assert list(Letter.objects.order_by("pk").values_list("kind", flat=True))[-1] == (
        "user.password_reset"
    )


def test_nobody_learns_who_exists_by_asking_for_a_link(known, charlie, monkeypatch):
    """The same page, and not one statement before it; Charlie's address was never verified."""
    jobs: list[Any] = []
    monkeypatch.setattr(forgotten, "later", lambda *job: jobs.append(job))
    pages = set()
    for name in ("alice", "alice@example.com", "charlie", "nobody", "nobody@example.com"):
        with CaptureQueriesContext(connection) as queries:
            answer = ask(name)
        assert (answer.status_code, len(queries)) == (200, 0), name
        pages.add(re.sub(r'(csrfmiddlewaretoken" value|nonce)="[^"]*"', "", _body(answer)))
    assert len(pages) == 1 and len(jobs) == 5
    for job, *given in jobs:
        job(*given)
    assert [one.to for one in Letter.objects.filter(kind=RESET)] == ["alice@example.com"]


def _body(answer: Any) -> str:
    return re.sub(r"hx-headers=\S+ \S+", "", answer.content.decode())


@pytest.mark.parametrize("who", ["unverified", "closed", "without a password", "nobody"])
def test_who_may_have_no_link_gets_none(known: User, who: str):
    if who == "unverified":
        User.objects.update(email_verified_at=None)
    elif who == "closed":
        User.objects.update(is_active=False)
    elif who == "without a password":
        known.set_unusable_password()
        known.save()
    assert ask("nobody" if who == "nobody" else "alice").status_code == 200
    assert not Letter.objects.exists()


def test_each_user_is_sent_one_link_a_minute_and_nobody_is_told(known: User):
    first, second = ask("alice"), ask("alice@example.com")
    assert first.status_code == second.status_code == 200
    assert Letter.objects.filter(kind=RESET).count() == 1


def test_an_address_asks_so_often_and_then_waits(known: User, settings: Any):
    settings.RATE_RESET_PER_ADDRESS = "2/minute"
    answers = [ask(name).status_code for name in ("nobody", "somebody", "alice")]
    assert answers == [200, 200, 429] and not Letter.objects.exists()
    assert ask("alice", Client(REMOTE_ADDR="203.0.113.9")).status_code == 200


def test_an_empty_form_is_asked_again(post: None, db: None):
    answer = ask(" ")
    assert answer.status_code == 422 and "is required" in answer.content.decode()


def test_a_link_that_was_overtaken_is_not_sent(known: User):
    """A password that was changed meanwhile, and a letter that waited as long as a link lives."""
    now = timezone.now()
    reset_ask(name="alice", now=now)
    user_password_change(user=known, current_password=PASSWORD, new_password=NEW, now=now)
    assert not Letter.objects.filter(kind=RESET).exclude(due_at=None).exists()
    Letter.objects.all().delete()
    Letter.objects.create(
        user=known,
        kind=RESET,
        to=known.email,
        created_at=now - timedelta(hours=1),
        due_at=now - timedelta(hours=1),
    )
    letters_sweep()
    assert not mail.outbox and letters_due(now=timezone.now()) == []


@pytest.mark.parametrize("field", ["email", "email_verified_at", "is_active"])
def test_a_link_goes_to_nobody_else_than_was_asked_for(known: User, field: str):
    reset_ask(name="alice", now=timezone.now())
    worse = {"email": "b@example.com", "email_verified_at": None, "is_active": False}
    User.objects.update(**{field: worse[field]})
    letters_sweep()
    assert not mail.outbox


# ── the link ────────────────────────────────────────────────────────────────
WAYS = ["forged", "old", "used", "changed", "moved", "moved and back", "everywhere", "closed"]


@pytest.mark.parametrize("how", WAYS)
def test_a_link_that_does_not_hold_sets_nothing(known: User, how: str, time_machine: Any):
    token, now = token_of(known), timezone.now()
    if how == "forged":
        token = token[:-1] + ("a" if token[-1] != "a" else "b")
    elif how == "old":
        time_machine.move_to(now + timedelta(hours=1, seconds=2))
    elif how == "used":
        password_reset(token=token, password=NEW, now=now)
    elif how == "changed":
        user_password_change(user=known, current_password=PASSWORD, new_password=NEW, now=now)
    elif how.startswith("moved"):
        user_profile_change(user=known, email="b@example.com", now=now)
        if how == "moved and back":
            user_profile_change(user=known, email="alice@example.com", now=now)
    elif how == "everywhere":
        user_sessions_end(user=known, now=now)
    elif how == "closed":
        User.objects.update(is_active=False)
    before = User.objects.get(pk=known.pk).password
    with pytest.raises(InvalidInput, match="too old, or it was used"):
        password_reset(token=token, password="a-third-horse-8", now=now)
    web = follow(f"{SET}/{token}")
    page = web.get(SET).content.decode()
    assert "too old" in page and "alice" not in page
    web.cookies["reset"] = token
    assert web.post(SET, {"password": "a-third-horse-8"}).status_code == 422
    assert User.objects.get(pk=known.pk).password == before


def test_looking_at_a_link_uses_nothing_up(known: User):
    link = reset_link(known)
    for _ in range(2):
        follow(link).get(SET)
    assert follow(link).post(SET, {"password": NEW}).status_code == 302


def test_the_secret_is_in_no_address_that_a_page_has_and_in_no_log(known: User, caplog: Any):
    link = reset_link(known)
    with caplog.at_level(logging.DEBUG):
        web = follow(link)
    token = link.rpartition("/")[2]
    cookie = web.cookies["reset"]
    assert cookie.value == token and cookie["httponly"] and cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 3600
    assert token not in web.get(SET).content.decode()
    lines = [str(record.msg) for record in caplog.records]
    logged = [line for line in lines if SET in line]
    assert logged, "the request is in the log"
    assert not any(token in redact(None, "", line) for line in logged)
    quoted = f'{{"request": "GET {link}", "code": 302}}'
    assert redact(None, "", quoted) == '{"request": "GET /login/reset/…", "code": 302}'


def test_a_weak_password_is_refused_and_the_link_stays_good(known: User):
    web = follow(reset_link(known))
    answer = web.post(SET, {"password": "1234567890"})
    assert answer.status_code == 422 and "password" in answer.context["form"].errors
    assert reset_user(token_of(known)) == known
    assert web.post(SET, {"password": NEW}).status_code == 302


def test_a_second_factor_is_still_asked_and_nobody_is_logged_in(known: User):
    secret = give_app(known)
    web = follow(reset_link(known))
    web.post(SET, {"password": NEW})
    assert web.get("/settings").status_code == 302
    answer = web.post("/login", {"username": "alice", "password": NEW})
    assert answer.url.startswith("/login/code")
    assert web.get("/settings").status_code == 302
    web.post("/login/code", {"code": app_code(secret)})
    assert web.get("/settings").status_code == 200


def test_wrong_tries_of_before_do_not_keep_the_new_password_out(known: User):
    for _ in range(6):
        locked = Client().post("/login", {"username": "alice", "password": "wrong"})
    assert locked.status_code == 429
    follow(reset_link(known)).post(SET, {"password": NEW})
    assert Client().post("/login", {"username": "alice", "password": NEW}).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("guarded", "winners"), [(True, 1), (False, 2)])
def test_of_two_that_use_a_link_at_once_one_is_too_late(monkeypatch, guarded, winners):
    """The lock shown: without it both have looked before either sets a password."""
    token, won = token_of(make_user("alice")), []
    both = threading.Barrier(2)
    put = forgotten.password_put
    if not guarded:
        monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)

    def meet(**given: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)  # the second one waits at the lock, and does not come
        put(**given)

    monkeypatch.setattr(forgotten, "password_put", meet)

    def use() -> None:
        with suppress(InvalidInput):
            password_reset(token=token, password=NEW, now=timezone.now())
            won.append(1)

    race([use] * 2)
    assert len(won) == winners


# ── a house without a mail server, and who runs it ──────────────────────────
def test_a_house_without_mail_says_who_can_help(alice: User):
    page = Client().get("/login").content.decode()
    assert f'href="{ASK}"' in page
    for answer in (Client().get(ASK), ask("alice")):
        text = answer.content.decode()
        assert "Ask the person who runs this SpeedTrade for one" in text
        assert "manage.py" not in text, "nobody can type that in a browser"
    assert not Letter.objects.exists()


def test_the_command_line_makes_a_link_without_mail(alice: User, capsys: Any):
    call_command("password_link", "alice", "She called.")
    link = capsys.readouterr().out.strip()
    row = AuditEvent.objects.get(action="user.password_link")
    assert (row.actor, row.reason) == (None, "She called.")
    web = follow(link[link.index(SET) :])
    assert web.post(SET, {"password": NEW}).status_code == 302
    assert security_log(alice)[1].words == "A link for a new password made by support"
    for name, why, words in (("alice", " ", "why"), ("nobody", "Why.", "Nobody")):
        with pytest.raises(CommandError, match=words):
            call_command("password_link", name, why)
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="closed"):
        call_command("password_link", "alice", "She called.")
