"""New keys for old: the first step logs nobody out, after the second the former key is dead."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.core.signing import Signer
from django.test import Client, override_settings
from django.utils import timezone

from accounts import tokens
from accounts.keys import BrokerKey
from accounts.models import BrokerCredential, User
from accounts.services import devices
from accounts.services.credentials import credential_put, credential_read
from accounts.services.devices import (
    browser_trust,
    browser_trusted,
    devices_expire,
    sessions_of,
    sessions_shorten,
    trusted_of,
)
from accounts.session_store import SessionStore
from accounts.tokens import InvalidToken, authenticate_token, tokens_issue, tokens_rotate
from speedtrade.keys import LOSSES, NAMES, begun, finished, key_fresh
from speedtrade.lib.admission import Refused, admit, still_admitted
from speedtrade.testing.cast import PASSWORD, account_of

pytestmark = pytest.mark.django_db
FRESH = "fresh-key-Zq8sLxV0nJt5rWmB7cYd2fKgH1aUeQo9iX"
FORMER = str(settings.SECRET_KEY)


def logged_in() -> Client:
    client = Client()
    client.post("/login", {"username": "alice", "password": PASSWORD})
    assert client.get("/settings").status_code == 200
    return client


def test_sessions_and_tokens_outlive_a_new_secret_key(alice: User) -> None:
    """Fails without the former key: 302 to the log-in, and a dead family of tokens."""
    client, now = logged_in(), timezone.now()
    sleeper, pair = logged_in(), tokens_issue(user=alice, now=now)
    with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[FORMER]):
        assert client.get("/settings").status_code == 200
        assert authenticate_token(pair.access_token).pk == alice.pk
        moved = tokens_rotate(refresh_token=pair.refresh_token, now=now)
    with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[]):
        assert client.get("/settings").status_code == 200  # it was here in between
        assert authenticate_token(moved.access_token).pk == alice.pk
        assert sleeper.get("/settings").status_code == 302


def rotated() -> Any:
    """As after the first step and a restart."""
    return override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[FORMER])


def test_the_list_of_browsers_outlives_a_new_secret_key(alice: User) -> None:
    """Fails where the list does not follow: it is empty, and a stolen browser stays in."""
    thief, owner, now = logged_in(), logged_in(), timezone.now()
    with rotated():
        assert len(sessions_of(alice, now)) == 2  # nobody was here yet
        assert thief.get("/settings").status_code == 200
        key = thief.cookies["sessionid"].value
        row = sessions_of(alice, now).get(session_key=key)
        page = owner.get("/settings/security").content.decode()
        assert page.count("(this one)") == 1 and page.count("/settings/sessions/") == 1
        devices_expire(now=now)
        assert len(sessions_of(alice, now)) == 2
        sessions_shorten(user=alice, now=now)
        ends = Session.objects.get(session_key=key).expire_date
        assert ends == now + settings.SESSION_IDLE_LIVE
        assert owner.post(f"/settings/sessions/{row.pk}/end").status_code == 303
        assert thief.get("/settings").status_code == 302
    with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[]):
        assert owner.get("/settings").status_code == 200
        (left,) = sessions_of(alice, now)
        assert left.session_key == owner.cookies["sessionid"].value


def test_of_two_requests_at_once_neither_is_in_without_being_listed(alice: User) -> None:
    """Fails where only the first is followed: the other one's key could not be ended alone."""
    client, now = logged_in(), timezone.now()
    cookie = client.cookies["sessionid"].value
    twins = [SessionStore(cookie) for _ in range(2)]
    for twin in twins:
        assert twin[SESSION_KEY] == str(alice.pk)
    for twin in twins:
        twin.cycle_key()
    listed = set(sessions_of(alice, now).values_list("session_key", flat=True))
    assert listed == {twin.session_key for twin in twins}


def test_a_trusted_browser_stays_so_while_the_former_key_counts(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    cookie = browser_trust(user=alice, agent="", now=now)
    for former, trusted in (([FORMER], True), ([], False)):
        with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=former):
            monkeypatch.setattr(devices, "_SIGNER", Signer(salt=devices._SIGNER.salt))
            assert browser_trusted(user=alice, cookie=cookie, now=now) is trusted
            assert trusted_of(alice, now).exists() is trusted


def test_a_log_in_by_the_former_key_that_logs_in_anew_is_one_of_the_list(alice: User) -> None:
    client, now = logged_in(), timezone.now()
    with rotated():
        answer = client.post("/login", {"username": "alice", "password": PASSWORD})
        assert answer.status_code == 302
        assert len(sessions_of(alice, now)) == 1


def test_a_socket_opens_by_the_former_key_and_leaves_the_session_as_it_is(alice: User) -> None:
    """Fails where the handshake gives the session a new key: the browser never hears of it."""
    client, now = logged_in(), timezone.now()
    key = client.cookies["sessionid"].value
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    headers.append((b"cookie", f"sessionid={key}".encode()))
    before = admit(headers)
    kept = Session.objects.values_list("session_key", "session_data")
    rows = set(kept)
    with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[FORMER]):
        admission = admit(headers)
        assert (admission.user_id, admission.session_key) == (alice.pk, key)
        assert set(kept.all()) == rows
        assert still_admitted({admission, before}, now) == {admission, before}
        assert client.get("/settings").status_code == 200
    with override_settings(SECRET_KEY=FRESH, SECRET_KEY_FALLBACKS=[]), pytest.raises(Refused):
        admit(headers)


def test_tokens_outlive_a_new_signing_key_and_die_with_the_former_one(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    pair, former = tokens_issue(user=alice, now=now), settings.JWT_SIGNING_KEY
    # As after a restart with the new key: simplejwt reads the setting once.
    for kind in (tokens._Access, tokens._Refresh):
        backend = tokens._formerly(kind.__name__, FRESH)._token_backend
        monkeypatch.setattr(kind, "_token_backend", backend)
    with override_settings(JWT_SIGNING_KEY_FALLBACKS=[former]):
        assert authenticate_token(pair.access_token).pk == alice.pk
        moved = tokens_rotate(refresh_token=pair.refresh_token, now=now)
        with pytest.raises(InvalidToken):
            authenticate_token(f"{pair.access_token}x")
        with pytest.raises(InvalidToken):
            authenticate_token(moved.refresh_token)  # of the other kind, under any key
    with override_settings(JWT_SIGNING_KEY_FALLBACKS=["other-" * 8]):
        assert authenticate_token(moved.access_token).pk == alice.pk
        with pytest.raises(InvalidToken):
            authenticate_token(pair.access_token)


@pytest.mark.parametrize("name", NAMES)
def test_a_rotation_keeps_the_former_key_behind_the_new_one_and_then_drops_it(name: str) -> None:
    values = {name: "former", f"{name}_FALLBACKS": ""}
    fresh = key_fresh(name)
    assert len(fresh) >= 32 and fresh != key_fresh(name)
    values |= begun(name, values, fresh)
    kept = values[name] if name == "FIELD_KEYS" else f"{values[name]},{values[f'{name}_FALLBACKS']}"
    assert kept == f"{fresh},former"
    values |= finished(name, values)
    assert (values[name], values[f"{name}_FALLBACKS"]) == (fresh, "")
    assert LOSSES[name].loss


@pytest.fixture
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says no key, as where a data folder has them all."""
    for name in NAMES:
        for variable in (name, f"{name}_FALLBACKS"):
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(f"{variable}_FILE", raising=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["", "_FILE"])
def test_a_key_of_the_environment_is_told_though_the_others_lie_in_the_folder(
    nothing_given: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    form: str,
) -> None:
    """Fails where one key speaks for all: what is written to the folder would never be read."""
    file = tmp_path / "secrets.json"
    others = {one: "of-the-folder" for one in NAMES if one != name} | {"SECRET_KEY": FORMER}
    file.write_text(json.dumps(others))
    monkeypatch.setenv(f"{name}{form}", "of-the-environment")
    with override_settings(DATA_DIR=tmp_path):
        call_command("rotate_key", name)
        assert f"  {name}=" in capsys.readouterr().out
        assert json.loads(file.read_text()) == others
        for other in set(NAMES) - {name}:
            call_command("rotate_key", other)
            assert f"Written: {other}" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
def test_a_key_and_its_former_one_in_two_places_are_refused(
    nothing_given: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"SECRET_KEY": FORMER, "SECRET_KEY_FALLBACKS": "older"}))
    before = file.read_text()
    monkeypatch.setenv(given, "of-the-environment")
    with (
        override_settings(DATA_DIR=tmp_path, SECRET_KEY_FALLBACKS=["older"]),
        pytest.raises(CommandError, match=f"{given} comes from the environment"),
    ):
        call_command("rotate_key", "SECRET_KEY")
    assert file.read_text() == before


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_second_step_without_the_first(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match=f"no former {name}"):
        call_command("rotate_key", name, "--finish")
    assert capsys.readouterr().out == ""


def test_the_command_writes_the_keys_of_a_data_folder_and_tells_those_of_a_server(
    nothing_given: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secrets.json"
    before = {"SECRET_KEY": FORMER, "DEMO_PASSWORD": "x"}
    file.write_text(json.dumps(before))
    with override_settings(DATA_DIR=tmp_path):
        call_command("rotate_key", "SECRET_KEY")
        kept = json.loads(file.read_text())
        assert kept["SECRET_KEY_FALLBACKS"] == FORMER != kept["SECRET_KEY"]
        assert kept["DEMO_PASSWORD"] == "x"
        assert kept["SECRET_KEY"] not in capsys.readouterr().out
        with override_settings(SECRET_KEY=kept["SECRET_KEY"], SECRET_KEY_FALLBACKS=[FORMER]):
            call_command("rotate_key", "SECRET_KEY", "--finish")
        assert json.loads(file.read_text())["SECRET_KEY_FALLBACKS"] == ""
        capsys.readouterr()
        with override_settings(PRODUCTION=True):
            call_command("rotate_key", "JWT_SIGNING_KEY")
    said = capsys.readouterr().out
    assert f"JWT_SIGNING_KEY_FALLBACKS={settings.JWT_SIGNING_KEY}" in said
    assert "after a day" in said and "log in again" in said


def test_the_former_field_key_is_dropped_only_when_every_broker_key_is_sealed_anew(
    alice: User, capsys: pytest.CaptureFixture[str]
) -> None:
    account, former = account_of(alice), settings.FIELD_KEYS[0]
    key = BrokerKey("PKA", "secret")
    credential_put(account=account, key=key, now=timezone.now())
    fresh = key_fresh("FIELD_KEYS")
    both: dict[str, Any] = {"FIELD_KEYS": [fresh, former], "PRODUCTION": True}
    with override_settings(**both):
        call_command("rotate_key", "FIELD_KEYS", "--finish")
    assert f"FIELD_KEYS={fresh}\n" in capsys.readouterr().out
    with override_settings(FIELD_KEYS=[fresh]):
        assert credential_read(account) == key
    BrokerCredential.objects.update(ciphertext="not ours")
    with override_settings(**both), pytest.raises(CommandError, match="none of FIELD_KEYS"):
        call_command("rotate_key", "FIELD_KEYS", "--finish")
    assert fresh not in capsys.readouterr().out
