"""API keys: what opens a door, what does not, and what a refusal says."""

import hashlib
import json
import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.api_keys import key_authenticate, key_touch
from accounts.models import ApiKey, AuditEvent, BrokerageAccount, BrokerKind, Mode, User
from accounts.scopes import DOORS
from accounts.second_factor import app_offer
from accounts.selectors import account_for_user, accounts_of
from accounts.services.api_keys import key_create, key_revoke, keys_expire, keys_revoke_all
from accounts.services.factors import app_enable, factor_added
from accounts.services.users import (
    user_deactivate,
    user_password_change,
    user_reactivate,
    user_sessions_end,
)
from speedtrade import urls
from speedtrade.lib.errors import Conflict, InvalidInput, NotFound
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, app_code, make_user

assert urls.urlpatterns
ACCOUNTS = "accounts"


def make_key(user: User, **changes: Any) -> tuple[ApiKey, str]:
    """A key of this user that may trade everywhere for a month, and its text."""
    wish = {
        "name": f"Robot {ApiKey.objects.count()}",
        "scope": "trade",
        "account_id": None,
        "networks": "",
        "days": 30,
        "password": PASSWORD,
        "now": timezone.now(),
    }
    return key_create(user=user, **{**wish, **changes})


def second_account(user: User) -> BrokerageAccount:
    return BrokerageAccount.objects.create(
        user=user,
        label="Second",
        broker=BrokerKind.ALPACA,
        mode=Mode.PAPER,
        created_at=timezone.now(),
    )


def refused(answer: Any, status: int, code: str) -> str:
    """The words of a refusal, which has this status and code."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    return str(answer.json()["detail"])


# ── making one ──────────────────────────────────────────────────────────────
def test_a_key_is_told_once_and_stored_as_a_hash(alice):
    key, raw = make_key(alice)
    assert raw.startswith(f"{key.prefix}") and key.prefix.startswith("stk_")
    assert len(raw) == len("stk_") + 8 + 43  # 32 random bytes
    assert key.digest == hashlib.sha256(raw.encode()).hexdigest()
    assert raw not in json.dumps(list(ApiKey.objects.values()), default=str)
    assert make_key(alice)[1] != raw


def test_it_opens_the_api_in_one_query(alice, django_assert_num_queries):
    _, raw = make_key(alice)
    assert ApiClient(token=raw).get(ACCOUNTS).status_code == 200  # and notes its use
    with django_assert_num_queries(1):
        key = key_authenticate(raw=raw, address="", now=timezone.now())
    assert key.user == alice
    for wrong in ("stk_aaaaaaaa" + "A" * 43, raw[:-1] + ("A" if raw[-1] != "A" else "B"), "stk_"):
        with django_assert_num_queries(1), pytest.raises(api_keys.InvalidKey):
            key_authenticate(raw=wrong, address="", now=timezone.now())


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 61}),
        ("scope", {"scope": "admin"}),
        ("days", {"days": 0}),
        ("days", {"days": settings.API_KEY_DAYS_MAX + 1}),
        ("networks", {"networks": "somewhere"}),
        ("networks", {"networks": "10.0.0.0/33"}),
        ("networks", {"networks": " ".join(f"10.0.0.{n}" for n in range(21))}),
        ("password", {"password": "not-my-password"}),
        ("password", {"password": ""}),
    ],
)
def test_what_cannot_be_is_said_at_its_field(alice, field, changes):
    with pytest.raises(InvalidInput) as caught:
        make_key(alice, **changes)
    assert [one.field for one in caught.value.errors] == [field]
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("days", [1, settings.API_KEY_DAYS_MAX])
def test_its_life_is_what_was_asked_for(alice, days):
    key, _ = make_key(alice, days=days)
    assert key.expires_at - key.created_at == timedelta(days=days)


def test_a_guessed_password_makes_no_key_and_the_tries_run_out(alice):
    for _ in range(5):
        with pytest.raises(InvalidInput):
            make_key(alice, password="guess")
    with pytest.raises(RateLimited):
        make_key(alice)


def test_a_form_that_is_sent_twice_makes_one_key(alice):
    key, _ = make_key(alice, name="Robot")
    with pytest.raises(InvalidInput, match="living key of this name"):
        make_key(alice, name="robot")
    key_revoke(user=alice, key_id=key.pk, now=timezone.now())
    make_key(alice, name="Robot")


def test_one_user_has_so_many_keys_and_no_more(alice, charlie, settings):
    settings.API_KEYS_MAX = 3
    keys = [make_key(alice)[0] for _ in range(3)]
    with pytest.raises(Conflict, match="3 keys"):
        make_key(alice)
    make_key(charlie)
    key_revoke(user=alice, key_id=keys[0].pk, now=timezone.now())
    make_key(alice)


@pytest.mark.django_db(transaction=True)
def test_twins_do_not_pass_the_limit_together(settings):
    settings.API_KEYS_MAX = 1
    user, made = make_user("alice"), []
    gate = threading.Barrier(4)

    def race(number: int) -> None:
        gate.wait()
        try:
            made.append(make_key(user, name=f"Twin {number}"))
        except Conflict:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == ApiKey.objects.filter(user=user).count() == 1


def test_a_key_is_never_bound_to_anothers_account(alice, charlie):
    with pytest.raises(NotFound):
        make_key(alice, account_id=account_of(charlie).pk)
    assert not ApiKey.objects.exists()


def test_the_database_refuses_a_scope_that_nobody_knows_and_a_key_without_a_life(alice):
    from django.db import IntegrityError

    key, _ = make_key(alice)
    for changes in ({"scope": "admin"}, {"expires_at": key.created_at}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(**changes)


# ── what ends it ────────────────────────────────────────────────────────────
def test_a_key_that_nobody_has_is_refused_with_what_to_do(alice):
    words = refused(ApiClient(token="stk_" + "x" * 51).get(ACCOUNTS), 401, "invalid_key")
    assert "under Developers" in words
    assert not AuditEvent.objects.filter(action="key.refused").exists()


def test_the_right_beginning_with_another_end_tells_nothing_of_the_row(alice):
    key, raw = make_key(alice)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    forged = raw[:12] + "A" * 43
    assert "no such API key" in refused(ApiClient(token=forged).get(ACCOUNTS), 401, "invalid_key")
    assert "was revoked" in refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")
    assert AuditEvent.objects.filter(action="key.refused").count() == 1  # of the true one alone


def test_it_ends_at_its_end(alice):
    now = timezone.now()
    key, raw = make_key(alice, days=1, now=now)
    last = key.expires_at - timedelta(microseconds=1)
    assert key_authenticate(raw=raw, address="", now=last)
    with pytest.raises(api_keys.InvalidKey, match="has expired"):
        key_authenticate(raw=raw, address="", now=key.expires_at)


def test_revoked_it_is_dead_at_once_and_again_changes_nothing(alice):
    key, raw = make_key(alice)
    other = ApiClient(token=make_key(alice)[1])
    assert ApiClient(token=raw).get(ACCOUNTS).status_code == 200
    dead = key_revoke(user=alice, key_id=key.pk, now=timezone.now())
    assert key_revoke(user=alice, key_id=key.pk, now=timezone.now()).revoked_at == dead.revoked_at
    refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")
    assert other.get(ACCOUNTS).status_code == 200
    assert AuditEvent.objects.filter(action="key.revoke", actor=alice).count() == 1


def test_nobody_revokes_anothers_key(alice, charlie):
    key, raw = make_key(alice)
    with pytest.raises(NotFound):
        key_revoke(user=charlie, key_id=key.pk, now=timezone.now())
    assert keys_revoke_all(user=charlie, now=timezone.now()) == 0
    assert ApiClient(token=raw).get(ACCOUNTS).status_code == 200


def test_revoke_all_leaves_none(alice):
    raws = [make_key(alice)[1] for _ in range(3)]
    assert keys_revoke_all(user=alice, now=timezone.now()) == 3
    for raw in raws:
        refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")


def test_a_closed_user_has_no_key_and_an_opened_one_makes_a_new_one(alice, bob):
    _, raw = make_key(alice)
    user_deactivate(user=alice, actor=bob, reason="A test.", now=timezone.now())
    assert "is closed" in refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")
    user_reactivate(user=alice, actor=bob, reason="A test.", now=timezone.now())
    assert "was revoked" in refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")
    row = AuditEvent.objects.get(action="key.revoke")
    assert (row.actor, row.reason) == (bob, "A test.")


def test_with_the_first_second_factor_the_keys_of_a_password_alone_end(alice):
    _, raw = make_key(alice)
    offer = app_offer(alice)
    earlier = timezone.now() - timedelta(minutes=5)
    app_enable(user=alice, sealed=offer.sealed, code=app_code(offer.secret, earlier), now=earlier)
    assert "was revoked" in refused(ApiClient(token=raw).get(ACCOUNTS), 401, "invalid_key")
    _, newer = make_key(alice)
    factor_added(alice, "webauthn", first=False, now=timezone.now())
    assert ApiClient(token=newer).get(ACCOUNTS).status_code == 200, "a second one ends none"


def test_bound_to_no_account_that_there_is_it_is_not_made(alice):
    with pytest.raises(NotFound):
        make_key(alice, account_id=0)


def test_a_new_password_and_a_log_out_everywhere_leave_keys_alive(alice):
    """The page says so; programs go on."""
    _, raw = make_key(alice)
    user_password_change(
        user=alice, current_password=PASSWORD, new_password=f"{PASSWORD}-2", now=timezone.now()
    )
    user_sessions_end(user=alice, now=timezone.now())
    assert ApiClient(token=raw).get(ACCOUNTS).status_code == 200


def test_keys_that_are_long_over_are_deleted(alice):
    now = timezone.now()
    old, _ = make_key(alice, days=1, now=now - timedelta(days=2) - settings.API_KEYS_DEAD_KEPT)
    make_key(alice, days=1, now=now - timedelta(days=2))
    assert keys_expire(now=now) == 1
    assert not ApiKey.objects.filter(pk=old.pk).exists()


# ── where it may be used from ───────────────────────────────────────────────
@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.0/8", "127.9.9.9", True),
        ("10.0.0.0/8, 192.168.1.7", "192.168.1.7", True),
        ("10.0.0.0/8 192.168.1.7", "192.168.1.8", False),
        ("10.1.2.3/8", "10.9.9.9", True),  # tidied to its network
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("2001:db8::1", "2001:db8::2", False),  # exact, not the household
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("0.0.0.0/0", "", False),  # nobody knows where from
    ],
)
def test_it_opens_only_from_where_it_says(alice, networks, address, inside):
    _, raw = make_key(alice, networks=networks)
    client = ApiClient(token=raw)
    client.client.defaults["REMOTE_ADDR"] = address
    answer = client.get(ACCOUNTS)
    if inside:
        assert answer.status_code == 200
    else:
        assert "may not be used from" in refused(answer, 401, "invalid_key")


def test_a_forged_header_does_not_move_its_sender(alice, settings):
    _, raw = make_key(alice, networks="203.0.113.7")
    client = ApiClient(token=raw)
    refused(client.get(ACCOUNTS, **{"X-Forwarded-For": "203.0.113.7"}), 401, "invalid_key")
    settings.TRUSTED_PROXIES = 1
    assert client.get(ACCOUNTS, **{"X-Forwarded-For": "203.0.113.7"}).status_code == 200
    forged = {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
    refused(client.get(ACCOUNTS, **forged), 401, "invalid_key")


# ── what it may do ──────────────────────────────────────────────────────────
def test_a_reading_key_reads_and_does_not_act(alice):
    script = ApiClient(token=make_key(alice, scope="read")[1])
    assert script.get("orders").status_code == 200
    for method, path in (("POST", "orders"), ("DELETE", "orders/1"), ("POST", "alerts")):
        assert "only read" in refused(script(method, path, {}), 403, "scope_missing")


SHUT = [
    ("GET", "auth/me"),
    ("POST", "accounts"),
    ("PATCH", "accounts/{account}"),
    ("DELETE", "accounts/{account}"),
    ("PUT", "accounts/{account}/key"),
    ("POST", "accounts/{account}/test"),
    ("POST", "accounts/{account}/resume"),
]


@pytest.mark.parametrize(("method", "path"), SHUT)
@pytest.mark.parametrize("scope", ["read", "trade"])
def test_no_key_reaches_log_ins_limits_or_accounts_at_brokers(alice, scope, method, path):
    script = ApiClient(token=make_key(alice, scope=scope)[1])
    address = path.format(account=account_of(alice).pk)
    refused(script(method, address, {}), 403, "key_not_allowed")


def test_the_open_doors_are_routes_that_there_are():
    from django.urls import get_resolver

    names = {
        f"api:{one.name}"
        for mount in get_resolver().url_patterns
        if str(mount.pattern) == "api/v1/"
        for part in mount.url_patterns
        for one in part.url_patterns
    }
    assert set(DOORS) <= names
    # Shut is what is about log-ins, and what changes accounts; a new route is shut until named.
    assert names - set(DOORS) == {
        "api:auth-register",
        "api:auth-login",
        "api:auth-refresh",
        "api:auth-logout",
        "api:auth-me",
        "api:account-key",
        "api:account-test",
        "api:account-resume",
    }


def test_a_key_is_no_password_for_a_page_and_makes_no_key(alice):
    _, raw = make_key(alice)
    answer = Client().get("/settings/developers", headers={"Authorization": f"Bearer {raw}"})
    assert answer.status_code == 302 and answer.url.startswith("/login")
    answer = Client().post("/settings/developers/new", headers={"Authorization": f"Bearer {raw}"})
    assert answer.status_code == 302 and ApiKey.objects.count() == 1


def test_bound_to_one_account_it_knows_no_other(alice):
    here, there = account_of(alice), second_account(alice)
    key = key_authenticate(
        raw=make_key(alice, account_id=there.pk)[1], address="", now=timezone.now()
    )
    assert list(accounts_of(key.user)) == [there]
    assert account_for_user(user=key.user) == there
    assert account_for_user(user=key.user, account_id=there.pk) == there
    with pytest.raises(NotFound):
        account_for_user(user=key.user, account_id=here.pk)
    # The guard is on that instance alone.
    assert account_for_user(user=alice, account_id=here.pk) == here


def test_bound_to_one_account_it_knows_nothing_that_belongs_to_none(alice):
    """An alert is of a person: only a key for all accounts sees it, or sets one."""
    raw = make_key(alice, account_id=account_of(alice).pk)[1]
    bound, free = ApiClient(token=raw), ApiClient(token=make_key(alice)[1])
    for method, path in (("GET", "alerts"), ("POST", "alerts"), ("GET", "alerts/1")):
        assert "one account" in refused(bound(method, path, {}), 403, "key_not_allowed")
    refused(bound("DELETE", "alerts/1"), 403, "key_not_allowed")
    assert free.get("alerts").status_code == 200


# ── limits, notes, logs ─────────────────────────────────────────────────────
def test_each_key_has_a_rate_of_its_own(alice, settings):
    settings.RATE_API_PER_KEY = "3/minute"
    first, second = (ApiClient(token=make_key(alice)[1]) for _ in range(2))
    assert [first.get(ACCOUNTS).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert second.get(ACCOUNTS).status_code == 200
    assert ApiClient(user=alice).get(ACCOUNTS).status_code == 200


def test_keys_that_nobody_has_run_out_and_shut_out_no_right_one(alice, settings):
    settings.RATE_UNKNOWN_KEYS_PER_ADDRESS = "3/minute"
    raw, guess = make_key(alice)[1], ApiClient(token="stk_aaaaaaaa" + "A" * 43)
    for _ in range(3):
        refused(guess.get(ACCOUNTS), 401, "invalid_key")
    answer = guess.get(ACCOUNTS)
    assert "Too many API keys" in refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert ApiClient(token=raw).get(ACCOUNTS).status_code == 200
    guess.client.defaults["REMOTE_ADDR"] = "203.0.113.9"
    refused(guess.get(ACCOUNTS), 401, "invalid_key")
    assert ApiClient(user=alice).get(ACCOUNTS).status_code == 200  # a token is not a key


def test_right_keys_and_dead_ones_use_up_nothing_of_that(alice, settings):
    settings.RATE_UNKNOWN_KEYS_PER_ADDRESS = "1/minute"
    (_, living), (dead, old) = make_key(alice), make_key(alice)
    key_revoke(user=alice, key_id=dead.pk, now=timezone.now())
    for _ in range(3):
        assert ApiClient(token=living).get(ACCOUNTS).status_code == 200
        refused(ApiClient(token=old).get(ACCOUNTS), 401, "invalid_key")


def test_all_keys_together_have_the_rate_of_their_user(alice, settings):
    settings.RATE_API_PER_USER = "3/minute"
    scripts = [ApiClient(token=make_key(alice)[1]) for _ in range(4)]
    assert [script.get(ACCOUNTS).status_code for script in scripts] == [200, 200, 200, 429]


def test_its_use_is_noted_once_a_minute(alice):
    now = timezone.now()
    key, _ = make_key(alice)
    key_touch(key.pk, "203.0.113.7", now)
    key_touch(key.pk, "203.0.113.8", now + timedelta(seconds=59))
    key.refresh_from_db()
    assert (key.last_used_at, key.last_used_ip) == (now, "203.0.113.7")
    key_touch(key.pk, "203.0.113.8", now + timedelta(seconds=60))
    key.refresh_from_db()
    assert key.last_used_ip == "203.0.113.8"


def test_a_use_within_the_minute_asks_for_no_note(alice, monkeypatch):
    noted = []
    monkeypatch.setattr(api_keys, "later", lambda job, *args: noted.append((job, args)))
    now, (key, raw) = timezone.now(), make_key(alice)
    key_authenticate(raw=raw, address="", now=now)
    assert [args for _, args in noted] == [(key.pk, "", now)]
    ApiKey.objects.update(last_used_at=now - timedelta(seconds=59))
    key_authenticate(raw=raw, address="", now=now)
    assert len(noted) == 1


@pytest.mark.django_db(transaction=True)
def test_a_note_waits_for_nobody_who_holds_the_row():
    key, _ = make_key(make_user("alice"))
    done = threading.Event()

    def note() -> None:
        try:
            key_touch(key.pk, "", timezone.now())
        finally:
            connection.close()
            done.set()

    with transaction.atomic():
        ApiKey.objects.select_for_update().get(pk=key.pk)
        threading.Thread(target=note).start()
        assert done.wait(settings.LOCK_TIMEOUT.total_seconds() * 0.8)
    key.refresh_from_db()
    assert key.last_used_at is None


def test_the_audit_tells_of_each_act_and_of_a_stubborn_program_now_and_then(alice):
    key, raw = make_key(alice, scope="read", networks="127.0.0.1")
    script = ApiClient(token=raw)
    for _ in range(5):
        script.post("orders", {})
    key_revoke(user=alice, key_id=key.pk, now=timezone.now())
    rows = AuditEvent.objects.filter(target=f"user:{alice.pk}", action__startswith="key.")
    assert list(rows.order_by("id").values_list("action", "actor")) == [
        ("key.create", alice.pk),
        ("key.refused", None),
        ("key.revoke", alice.pk),
    ]
    made = rows.get(action="key.create").data
    assert made["key"] == key.prefix and made["networks"] == ["127.0.0.1/32"]


def test_a_key_that_somebody_logs_all_the_same_is_cut_off(alice):
    from speedtrade.logging import configure_logging

    _, raw = make_key(alice)
    for json_lines in (True, False):
        made = configure_logging(json_lines=json_lines, level="INFO")["formatters"]["house"]
        formatter = made.pop("()")(**made)
        record = logging.LogRecord("x", logging.INFO, "x", 1, "came with %s", (raw,), None)
        record.headers = {"Authorization": f"Bearer {raw}"}
        line = formatter.format(record)
        assert raw[:12] in line and raw not in line and raw[12:20] not in line
