"""Mail: to a verified address, once, without a secret; and none where there is no mail server."""

import re
from datetime import timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from django.core.signing import Signer
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.keys import BrokerKey
from accounts.links import address_link
from accounts.models import AuditEvent, Letter, User
from accounts.services.addresses import address_ask, address_confirm
from accounts.services.api_keys import key_create
from accounts.services.connections import account_connect
from accounts.services.letters import (
    KINDS,
    VERIFY,
    letter_process,
    letter_tell,
    letters_due,
    letters_expire,
)
from accounts.services.resets import factor_reset_approve, factor_reset_ask
from accounts.services.users import user_profile_change, user_register
from accounts.tasks import letters_sweep
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.lease import Lease
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.testing.cast import PASSWORD, ApiClient, app_code, give_app, page_client

CHROME = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36"
NEW = "another-horse-7-battery"
VERIFY_SUBJECT = KINDS[VERIFY].subject
LINK = re.compile(r"https://trade\.example\.com(/settings/address/\S+)")


@pytest.fixture
def told(alice: Any, post: None) -> Any:
    """Alice, whose address is verified."""
    User.objects.filter(pk=alice.pk).update(email_verified_at=timezone.now())
    alice.refresh_from_db()
    Letter.objects.all().delete()
    return alice


def kinds(user: User) -> list[str]:
    return list(Letter.objects.filter(user=user).order_by("pk").values_list("kind", flat=True))


def login(web: Client, name: str = "alice") -> Any:
    return web.post("/login", {"username": name, "password": PASSWORD})


def register(name: str = "dora") -> User:
    now = timezone.now()
    return user_register(username=name, email=f"{name}@example.com", password=PASSWORD, now=now)


def link_of(user: User) -> str:
    """The link in the newest letter to this user."""
    letters_sweep()
    text = next(one.body for one in reversed(mail.outbox) if one.to == [user.email])
    found = LINK.search(str(text))
    assert found
    return found[1]


# ── verifying ───────────────────────────────────────────────────────────────
def test_who_registers_gets_a_link_and_its_address_counts_once_it_was_followed(post: None, db: Any):
    user = register()
    assert kinds(user) == [VERIFY] and user.email_verified_at is None
    web, link = page_client(user), link_of(user)
    page = web.get(link).content.decode()
    assert "Is dora@example.com yours?" in page
    user.refresh_from_db()
    assert user.email_verified_at is None, "what merely looks verifies nothing"
    assert web.post(link).status_code == 303
    user.refresh_from_db()
    first = user.email_verified_at
    assert first and "is verified" in web.get("/settings").content.decode()
    assert web.post(link).status_code == 303
    user.refresh_from_db()
    assert user.email_verified_at == first
    assert AuditEvent.objects.filter(action="user.email_verify").count() == 1


def test_a_link_takes_the_log_in_of_its_user(post: None, charlie: Any):
    user = register()
    link = link_of(user)
    assert Client().get(link).url.startswith("/login?next=/settings/address/")
    assert page_client(charlie).post(link).status_code == 422
    for one in (user, charlie):
        one.refresh_from_db()
        assert one.email_verified_at is None


@pytest.mark.parametrize("how", ["forged", "old", "moved", "moved and back"])
def test_a_link_that_does_not_hold_verifies_nothing(alice: Any, how: str, time_machine: Any):
    token = address_link(alice).rpartition("/")[2]
    if how == "forged":
        token = token[:-1] + ("a" if token[-1] != "a" else "b")
    elif how == "old":
        time_machine.move_to(timezone.now() + timedelta(hours=24, seconds=1))
    else:
        user_profile_change(user=alice, email="a2@example.com", now=timezone.now())
        if how == "moved and back":
            user_profile_change(user=alice, email="alice@example.com", now=timezone.now())
    with pytest.raises(InvalidInput):
        address_confirm(user=alice, token=token, now=timezone.now())
    alice.refresh_from_db()
    assert alice.email_verified_at is None


def test_a_form_that_was_sent_twice_is_one_letter(alice: Any, post: None):
    web = page_client(alice)
    for _ in range(2):
        assert web.post("/settings/address").status_code == 303
    assert kinds(alice) == [VERIFY]
    with pytest.raises(RateLimited):
        address_ask(user=alice, now=timezone.now())


def test_a_second_new_address_within_a_minute_gets_its_link_and_the_page_says_so(alice, post):
    """Fails where the rate of the first one keeps it back and the page says that it is coming."""
    web = page_client(alice)
    for address in ("second@example.com", "third@example.com"):
        web.post("/settings/profile", {"email": address})
    assert sent() == [(VERIFY, "second@example.com"), (VERIFY, "third@example.com")]
    web.post("/settings/address")
    assert "A link is on its way already." in web.get("/settings").content.decode()
    assert len(sent()) == 2


def test_a_page_says_that_no_link_was_sent_where_none_was(alice, post, settings):
    settings.RATE_VERIFY_PER_USER = "1/day"
    web = page_client(alice)
    for address in ("second@example.com", "third@example.com"):
        web.post("/settings/profile", {"email": address})
    for _ in range(2):
        web.post("/settings/address")
        page = web.get("/settings").content.decode()
        assert "No link was sent" in page and "on its way" not in page
    assert sent() == [(VERIFY, "second@example.com")]


def test_a_verified_address_is_not_asked_again(told: Any):
    with pytest.raises(Conflict, match="already"):
        address_ask(user=told, now=timezone.now())


def test_a_new_address_begins_anew_and_the_old_one_is_told(told: Any):
    web = page_client(told)
    assert web.post("/settings/profile", {"email": "new@example.com"}).status_code == 302
    told.refresh_from_db()
    assert told.email_verified_at is None
    assert sent() == [("user.email_change", "alice@example.com"), (VERIFY, "new@example.com")]


def sent() -> list[tuple[str, str]]:
    return [(one.kind, one.to) for one in Letter.objects.order_by("pk")]


def test_the_old_address_is_told_of_everything_until_the_new_one_is_verified(told: Any):
    """Fails where a thief changes the address first, and then all else in silence."""
    web, given = page_client(told), {"current_password": PASSWORD, "new_password": NEW}
    web.post("/settings/profile", {"email": "new@example.com"})
    assert "Until then alice@example.com is told." in web.get("/settings").content.decode()
    Letter.objects.all().delete()
    web.post("/settings/password", given)
    web.post("/settings/profile", {"email": "third@example.com"})
    told.refresh_from_db()
    acts = [one for one in sent() if one[0] != VERIFY]
    assert acts == [
        ("user.password_change", "alice@example.com"),
        ("user.email_change", "alice@example.com"),
    ], "and an address that nobody verified is told of nothing"
    token = address_link(told).rpartition("/")[2]
    user = address_confirm(user=told, token=token, now=timezone.now())
    letter = letter_tell(user=user, kind="key.create", now=timezone.now())
    assert letter and letter.to == "third@example.com" and user.email_former == ""


# ── what is told ────────────────────────────────────────────────────────────
def test_a_new_browser_is_told_of_once(told: Any):
    web = Client(headers={"User-Agent": CHROME})
    for _ in range(2):
        login(web)
        web.post("/logout")
    letter = Letter.objects.get()
    assert (letter.kind, letter.about) == ("browser.new", "Chrome on Windows")
    cookie = web.cookies["browser"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    login(Client())
    assert kinds(told) == ["browser.new"] * 2


@pytest.fixture
def seen(told: Any) -> Client:
    """A browser of Alice's that has logged out since."""
    web = Client()
    login(web)
    web.post("/logout")
    Letter.objects.all().delete()
    return web


@pytest.mark.parametrize(("days", "letters"), [(89, []), (91, ["browser.new"])])
def test_a_browser_is_forgotten_after_ninety_days(told, seen, time_machine, days, letters):
    time_machine.move_to(timezone.now() + timedelta(days=days))
    login(seen)
    assert kinds(told) == letters


def test_each_log_in_begins_the_ninety_days_anew(told, seen, time_machine):
    for _ in range(2):
        time_machine.move_to(timezone.now() + timedelta(days=60))
        login(seen)
        seen.post("/logout")
    assert kinds(told) == []


@pytest.mark.parametrize("how", ["password", "everywhere"])
def test_what_ends_all_sessions_ends_what_browsers_are_known_but_the_one_that_does_it(
    told: Any, seen: Client, how: str
):
    here, new = Client(), NEW if how == "password" else PASSWORD
    login(here)
    if how == "password":
        here.post("/settings/password", {"current_password": PASSWORD, "new_password": NEW})
    else:
        here.post("/settings/sessions")
    here.post("/logout")
    Letter.objects.all().delete()
    here.post("/login", {"username": "alice", "password": new})
    assert kinds(told) == []
    seen.post("/login", {"username": "alice", "password": new})
    assert kinds(told) == ["browser.new"]


def test_a_session_in_a_browser_that_is_not_known_makes_none_known(told: Any):
    """Fails where whoever stole a session makes the browser known to which it was taken."""
    web = page_client(told)
    web.post("/settings/sessions")
    assert "browser" not in web.cookies


def test_a_browser_of_several_people_is_known_to_each(told: Any, charlie: Any, seen: Client):
    User.objects.filter(pk=charlie.pk).update(email_verified_at=timezone.now())
    for name in ("charlie", "alice", "charlie", "alice"):
        login(seen, name)
        seen.post("/logout")
    assert kinds(told) == [] and kinds(charlie) == ["browser.new"]


def test_a_browser_stays_known_while_the_key_of_signatures_turns(told, seen, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-of-the-house-" * 3
    login(seen)
    assert kinds(told) == []


@pytest.mark.parametrize("value", ["", "1", "forged:x", "another's", "old", "1:a:b.1:a:b"])
def test_a_cookie_that_is_not_the_users_makes_no_browser_known(told, charlie, value):
    web = Client()
    if value == "another's":
        login(web, "charlie")
        web.post("/logout")
    elif value == "old":  # of a release before: signed, without an end, and of no password
        web.cookies["browser"] = Signer(salt="speedtrade.seen-browser").sign(str(told.pk))
    else:
        web.cookies["browser"] = value.replace("1", str(told.pk))
    login(web)
    assert kinds(told) == ["browser.new"]
    web.post("/logout")
    login(web, "charlie")
    assert "browser.new" not in kinds(charlie)


def test_a_browser_is_told_of_after_the_second_factor_and_not_after_half_a_log_in(told: Any):
    web, secret = Client(), give_app(told)
    login(web)
    assert kinds(told) == []
    web.post("/login/code", {"code": app_code(secret)})
    assert kinds(told) == ["browser.new"]


def test_a_program_is_told_of_where_none_logged_in_lately(told: Any):
    body = {"username": "alice", "password": PASSWORD}
    for _ in range(2):
        assert ApiClient().post("auth/login", body).status_code == 200
    assert kinds(told) == ["program.login"]


def test_acts_that_matter_are_told(told: Any, bob: Any, charlie: Any):
    now, web = timezone.now(), page_client(told)
    key_create(
        user=told,
        name="http://evil.example",
        scope="read",
        account_id=None,
        networks="",
        days=9,
        password=PASSWORD,
        now=now,
    )
    web.post("/settings/password", {"current_password": PASSWORD, "new_password": NEW})
    key = BrokerKey("PKALICE0SECRET", "s" * 40)
    account_connect(user=told, broker="alpaca", mode="paper", key=key, now=now)
    give_app(told)
    factor_reset_ask(user=told, actor=bob, reason="Lost.", now=now)
    factor_reset_approve(user=told, actor=charlie, reason="Lost.", now=now)
    assert kinds(told) == [
        "key.create",
        "user.password_change",
        "account.connect",
        "user.factor_reset_ask",
        "user.factor_reset",
    ]
    assert not Letter.objects.exclude(user=told).exclude(kind=VERIFY).exists()
    letters_sweep()
    sent = [one for one in mail.outbox if VERIFY_SUBJECT not in one.subject]
    assert len(sent) == 5
    for one in sent:
        text = f"{one.subject}\n{one.body}"
        assert one.to == ["alice@example.com"] and one.from_email.endswith("<no-reply@example.com>")
        assert ("If it was not you" in text and "https://trade.example.com/settings/" in text) or (
            "ask whoever runs this house" in text or "tell support" in text
        )
        for secret in (PASSWORD, NEW, "SECRET", "s" * 40, "stk_", "evil", "{"):
            assert secret not in text, secret


def test_each_kind_can_be_written(told: Any):
    for kind in KINDS:
        to = "former@example.com" if kind == "user.email_change" else ""
        letter_tell(user=told, kind=kind, to=to, about="Firefox on Linux", now=timezone.now())
    letters_sweep()
    assert len(mail.outbox) == len(KINDS) - 1, "a verified address gets no link"
    assert all("{" not in f"{one.subject}{one.body}" for one in mail.outbox)
    assert len({one.subject for one in mail.outbox}) == len(mail.outbox)


def test_an_address_that_is_not_verified_is_told_of_nothing(alice: Any, post: None):
    login(Client())
    page_client(alice).post(
        "/settings/password", {"current_password": PASSWORD, "new_password": NEW}
    )
    assert kinds(alice) == []


def test_a_house_without_a_mail_server_sends_nothing_and_speaks_of_none(alice: Any):
    User.objects.update(email_verified_at=timezone.now())
    login(Client())
    web = page_client(alice)
    web.post("/settings/password", {"current_password": PASSWORD, "new_password": NEW})
    register()
    assert not Letter.objects.exists()
    User.objects.update(email_verified_at=None)
    assert "verified" not in web.get("/settings").content.decode()
    assert web.post("/settings/address").status_code == 303
    assert "This house sends no mail." in web.get("/settings").content.decode()


def test_an_act_that_is_undone_is_not_told(told: Any):
    with pytest.raises(RuntimeError), transaction.atomic():
        letter_tell(user=told, kind="key.create", now=timezone.now())
        raise RuntimeError
    assert kinds(told) == []


# ── sending ─────────────────────────────────────────────────────────────────
@pytest.fixture
def letter(told: Any) -> Letter:
    letter = letter_tell(user=told, kind="key.create", now=timezone.now())
    assert letter
    return letter


def fail(monkeypatch: Any, error: Exception) -> None:
    def refuse(self: Any, messages: Any) -> int:
        raise error

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)


def test_a_letter_is_sent_once_whoever_else_tries(letter: Letter):
    now = timezone.now()
    for _ in range(2):
        assert letter_process(letter_id=letter.pk, now=now)
    letter.refresh_from_db()
    assert len(mail.outbox) == 1 and (letter.sent_at, letter.due_at) == (now, None)
    headers = mail.outbox[0].extra_headers
    assert headers["Message-ID"] == f"<letter-{letter.pk}@trade.example.com>"


def test_a_twin_that_comes_while_a_letter_is_on_its_way_sends_nothing(letter, monkeypatch):
    send, now = EmailBackend.send_messages, timezone.now()

    def twin(self: Any, messages: Any) -> Any:
        letter_process(letter_id=letter.pk, now=now)
        return send(self, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", twin)
    letter_process(letter_id=letter.pk, now=now)
    assert len(mail.outbox) == 1


def test_a_letter_is_tried_again_later_and_later_and_then_given_up(letter, monkeypatch, settings):
    fail(monkeypatch, ConnectionRefusedError())
    settings.LETTER_TRIES = 3
    now = start = timezone.now()
    waits = []
    while letters_due(now=now):
        assert not letter_process(letter_id=letter.pk, now=now)
        letter.refresh_from_db()
        waits.append(letter.due_at and (letter.due_at - now) // settings.LETTER_RETRY)
        now = letter.due_at or now
    assert waits == [1, 2, None] and now > start and letter.sent_at is None


def test_a_sweep_stops_at_the_first_failure(told, letter, monkeypatch):
    second = letter_tell(user=told, kind="key.create", now=timezone.now())
    fail(monkeypatch, TimeoutError())
    assert letters_sweep() == 0
    letter.refresh_from_db()
    second.refresh_from_db()
    assert (letter.tries, second.tries) == (1, 0)


def test_a_link_to_an_address_that_has_changed_is_not_sent(alice: Any, post: None):
    address_ask(user=alice, now=timezone.now())
    User.objects.update(email="other@example.com")
    letters_sweep()
    assert mail.outbox == [] and Letter.objects.get().due_at is None


def test_letters_are_deleted_when_they_are_long_over(letter: Letter, settings: Any):
    letter_process(letter_id=letter.pk, now=timezone.now())
    waiting = letter_tell(user=letter.user, kind="key.create", now=letter.created_at)
    later = timezone.now() + settings.LETTERS_KEPT + timedelta(hours=1)
    assert letters_expire(now=later) == 1
    assert Letter.objects.get() == waiting


def test_a_wake_up_says_nothing_of_a_letter(told: Any, monkeypatch: Any, settings: Any):
    asked: list[Any] = []
    monkeypatch.setattr(letters_sweep, "delay", lambda *given: asked.append(given))
    monkeypatch.setattr(transaction, "on_commit", lambda act, **_: act())
    assert letter_tell(user=told, kind="key.create", now=timezone.now())
    assert asked == [()]


def test_one_sweep_sends_at_a_time(letter: Letter):
    """Fails where each wake-up waits for a mail server in a thread that orders need."""
    with Lease("letters") as lease:
        assert lease.take()
        assert letters_sweep() == 0 and not mail.outbox
    assert letters_sweep() == 1


@pytest.mark.parametrize(("code", "sent"), [(550, 1), (450, 0)])
def test_an_address_that_is_refused_for_good_keeps_no_other_waiting(
    told: Any, letter: Letter, monkeypatch: Any, code: int, sent: int
):
    letter_tell(user=told, kind="key.create", now=timezone.now())
    send, refused = EmailMessage.send, SMTPRecipientsRefused({told.email: (code, b"no")})

    def first_fails(message: Any, *given: Any) -> int:
        if f"letter-{letter.pk}@" in message.extra_headers["Message-ID"]:
            raise refused
        return send(message, *given)

    monkeypatch.setattr(EmailMessage, "send", first_fails)
    letters_sweep()
    letter.refresh_from_db()
    assert (len(mail.outbox), letter.due_at is None) == (sent, code == 550)
    assert letter.sent_at is None
