"""Letters go to a mail server that is there, as the environment of its house says, and once."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as house
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Letter, User
from accounts.services.letters import letter_tell
from accounts.tasks import letters_sweep
from accounts.tests.mail_server import SECRET, USER, MailServer, certificate

SENDER = "SpeedTrade <no-reply@example.com>"
#: What Django's mail reads, with what is told beside it.
NAMES = [
    *("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_SSL"),
    *("EMAIL_USE_TLS", "EMAIL_TIMEOUT", "DEFAULT_FROM_EMAIL", "SITE_URL"),
]
PRODUCTION = {
    "SPEEDTRADE_ENV": "production",
    "SECRET_KEY": "k3y-of-cookies-" + "a1B2c3D4" * 5,
    "JWT_SIGNING_KEY": "k3y-of-tokens-" + "e5F6g7H8" * 5,
    "FIELD_KEYS": "k3y-of-fields-" + "i9J0k1L2" * 5,
    "ALLOWED_HOSTS": "trade.example.com",
    "DATABASE_URL": "postgresql://somebody@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SITE_URL": "https://trade.example.com:8443",
    "EMAIL_HOST": "127.0.0.1",
    "EMAIL_FROM": SENDER,
}
WITH_A_USER = {"EMAIL_HOST_USER": USER, "EMAIL_HOST_PASSWORD": SECRET}
LINK = re.compile(r"https://trade\.example\.com:8443(/login/reset/\S+)")


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return certificate(tmp_path / "mail.pem")


@pytest.fixture
def trusted(pem: Path, monkeypatch: Any) -> Path:
    """The certificate, as of an authority that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return pem


@pytest.fixture
def told(alice: User) -> User:
    """Alice, whose address is verified."""
    User.objects.update(email_verified_at=timezone.now())
    alice.refresh_from_db()
    return alice


@pytest.fixture
def operate(settings: Any) -> Any:
    """Take the settings of mail that an operator's environment makes."""

    def take(server: MailServer, **environment: str) -> None:
        read = f"print(json.dumps([getattr(s, n) for n in {NAMES}]))"
        given = {**PRODUCTION, "EMAIL_PORT": str(server.port), **environment}
        shown = subprocess.run(
            [sys.executable, "-c", f"import json, speedtrade.settings as s; {read}"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(house.BASE_DIR), **given},
            capture_output=True,
            check=True,
        ).stdout
        for name, value in zip(NAMES, json.loads(shown), strict=True):
            setattr(settings, name, value)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    return take


def write(user: User) -> Letter:
    letter = letter_tell(user=user, kind="user.password_change", now=timezone.now())
    assert letter
    return letter


def sent(letter: Letter) -> bool:
    letter.refresh_from_db()
    return letter.sent_at is not None


def sweep_when_due(letter: Letter) -> int:
    """The sweep that comes once this letter is to be tried again."""
    letter.refresh_from_db()
    assert letter.due_at
    with time_machine.travel(letter.due_at, tick=True):
        return letters_sweep()


# ── it arrives ──────────────────────────────────────────────────────────────
@pytest.mark.parametrize("how", ["starttls", "ssl", "plain"])
def test_a_letter_arrives_once_as_the_environment_says(told, operate, trusted, how):
    chosen = {
        "starttls": WITH_A_USER,  # which is what an operator gets who says nothing
        "ssl": {**WITH_A_USER, "EMAIL_USE_SSL": "true"},
        "plain": {"EMAIL_USE_TLS": "false"},
    }[how]
    pem = None if how == "plain" else trusted
    with MailServer(certificate=pem, encrypted=how == "ssl") as server:
        operate(server, **chosen)
        letter = write(told)
        assert [letters_sweep(), letters_sweep()] == [1, 0]
    assert sent(letter)
    (taken,) = server.taken
    assert (taken.sender, taken.to) == ("no-reply@example.com", [told.email])
    assert (taken.encrypted, taken.by) == ((False, "") if how == "plain" else (True, USER))


def test_its_head_says_who_it_is_from_and_nothing_that_is_not_needed(told, operate):
    with MailServer() as server:
        operate(server, EMAIL_USE_TLS="false")
        letter = write(told)
        letters_sweep()
    head = server.taken[0].letter
    assert sorted(name.lower() for name in head) == [
        *("auto-submitted", "content-transfer-encoding", "content-type", "date", "from"),
        *("message-id", "mime-version", "subject", "to"),
    ]
    assert (head["From"], head["To"]) == (SENDER, told.email)
    assert head["Subject"] == "SpeedTrade: Your password was changed"
    # A port has no place in it (RFC 5322, 3.6.4); a parser would leave it out by itself.
    assert dict(head.raw_items())["Message-ID"] == f"<letter-{letter.pk}@trade.example.com>"
    assert "https://trade.example.com:8443" in head.get_content()


def test_an_address_with_a_line_break_adds_nothing_to_the_head(told, operate):
    with MailServer() as server:
        operate(server, EMAIL_USE_TLS="false")
        letter = write(told)
        Letter.objects.update(to="alice@example.com\nBcc: thief@example.com")
        assert letters_sweep() == 0
    assert not server.taken and not sent(letter)


# ── it does not ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("the password is wrong", "SMTPAuthenticationError"),
        ("the server takes none now", "SMTPConnectError"),
        ("the sender is refused", "SMTPSenderRefused"),
        ("the letter is refused", "SMTPDataError"),
        ("it hangs up", "SMTPServerDisconnected"),
    ],
)
def test_a_letter_that_was_not_taken_is_sent_by_a_later_sweep(
    told, operate, settings, trusted, caplog, fault, error
):
    with MailServer(certificate=trusted) as server:
        operate(server, **WITH_A_USER)
        right = settings.EMAIL_HOST_PASSWORD
        letter = write(told)
        if fault == "the password is wrong":
            settings.EMAIL_HOST_PASSWORD = "canary-that-is-wrong"
        elif fault == "it hangs up":
            server.hang_up = {"MAIL"}
        else:
            verb = {"the server takes none now": "", "the sender is refused": "MAIL"}
            server.answers = {verb.get(fault, "DATA"): "451 4.3.0 canary-of-an-answer"}
        with caplog.at_level(logging.DEBUG):
            assert letters_sweep() == 0
        assert not sent(letter) and not server.taken
        assert letters_sweep() == 0, "not before its time"
        failed = [record for record in caplog.records if "letter_failed" in str(record.msg)]
        assert len(failed) == 1 and error in str(failed[0].msg)
        for secret in ("canary", SECRET, told.email):
            assert secret not in caplog.text
        settings.EMAIL_HOST_PASSWORD, server.answers, server.hang_up = right, {}, set()
        assert sweep_when_due(letter) == 1
        assert sent(letter) and len(server.taken) == 1


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_server_that_is_not_the_one_it_says_hears_no_password(told, operate, pem, encrypted):
    """Its certificate is of nobody whom this machine trusts."""
    with MailServer(certificate=pem, encrypted=encrypted) as server:
        operate(server, **WITH_A_USER, **({"EMAIL_USE_SSL": "true"} if encrypted else {}))
        letter = write(told)
        assert letters_sweep() == 0
    assert server.heard == ([] if encrypted else ["EHLO", "STARTTLS"])
    assert not sent(letter)


def test_a_server_without_encryption_hears_no_password(told, operate):
    """Somebody in between took its offer of STARTTLS away."""
    with MailServer() as server:
        operate(server, **WITH_A_USER)
        letter = write(told)
        assert letters_sweep() == 0
    assert "AUTH" not in server.heard and not server.taken and not sent(letter)


def test_a_letter_whose_answer_is_lost_goes_twice_by_one_name(told, operate):
    with MailServer(hang_up={"DATA"}) as server:
        operate(server, EMAIL_USE_TLS="false")
        letter = write(told)
        assert letters_sweep() == 0
        server.hang_up = set()
        assert sweep_when_due(letter) == 1
    first, second = (taken.letter["Message-ID"] for taken in server.taken)
    assert first == second


# ── its secret ──────────────────────────────────────────────────────────────
def test_a_link_for_a_new_password_is_in_the_letter_and_nowhere_else(told, operate, caplog):
    with MailServer() as server, caplog.at_level(logging.DEBUG):
        operate(server, EMAIL_USE_TLS="false")
        answer = Client().post("/login/forgotten", {"username": "alice"})
        letters_sweep()
    found = LINK.search(server.taken[0].letter.get_content())
    assert found
    token = found[1].rpartition("/")[2]
    assert token not in caplog.text and token not in answer.content.decode()
    assert token not in str(dict(server.taken[0].letter.items()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(accounts_letter)::text FROM accounts_letter")
        rows = [row for (row,) in cursor.fetchall()]
    begins = token[:40]  # of what is signed: alike in every link to her, whenever it was made
    assert rows and not any(begins in row for row in rows)
    assert Client().get(found[1]).status_code == 303  # it is the one that opens
