"""The settings for developers: keys are made, shown once and revoked; requests are listed."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisAway

from accounts import developer_views
from accounts.models import ApiKey
from accounts.tests.test_api_keys import make_key, second_account
from speedtrade.lib import request_log
from speedtrade.testing.cast import PASSWORD, ApiClient, account_of, page_client

PAGE, NEW = "/settings/developers", "/settings/developers/new"
KEY = re.compile(r"stk_[a-z0-9]{8}[A-Za-z0-9_-]{43}")
WISH = {"name": "Robot", "scope": "trade", "days": "30", "password": PASSWORD}


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_key_is_made_shown_once_and_opens_the_api(alice):
    browser = page_client(alice)
    assert "No keys" in text(browser.get(PAGE))
    made = browser.post(NEW, WISH)
    assert made.status_code == 201 and "no-store" in made.headers["Cache-Control"]
    [raw] = set(KEY.findall(text(made)))
    assert ApiClient(token=raw).get("accounts").status_code == 200
    for address in (PAGE, NEW, "/settings/security", "/settings/data"):
        assert raw not in text(browser.get(address)), address
    assert raw[:12] in text(browser.get(PAGE))
    assert "API key made" in text(browser.get("/settings/security"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong-password"}, "This is not your password."),
        ({"password": ""}, "This field is required."),
        ({"networks": "here"}, "Write addresses or networks"),
        ({"days": "367"}, "less than or equal to 366"),
        ({"scope": "admin"}, "Select a valid choice"),
    ],
)
def test_a_wrong_form_comes_back_with_why_and_without_the_password(alice, changes, words):
    answer = page_client(alice).post(NEW, {**WISH, **changes})
    assert answer.status_code == 422 and words in text(answer)
    assert not ApiKey.objects.exists()
    assert "wrong-password" not in text(answer) and PASSWORD not in text(answer)


def test_only_accounts_of_ones_own_are_offered(alice, charlie):
    other = second_account(alice)
    form = text(page_client(alice).get(NEW))
    assert f'<option value="{other.pk}">' in form
    answer = page_client(alice).post(NEW, {**WISH, "account": account_of(charlie).pk})
    assert answer.status_code == 422 and not ApiKey.objects.exists()
    page_client(alice).post(NEW, {**WISH, "account": other.pk})
    assert ApiKey.objects.get().account == other


def test_each_key_says_how_it_is(alice):
    now = timezone.now()
    soon, _ = make_key(alice, name="Soon", days=3)
    make_key(alice, name="Fresh", days=300)
    make_key(alice, name="Late", days=1, now=now - timedelta(days=2))
    ApiKey.objects.filter(pk=soon.pk).update(last_used_at=now, last_used_ip="203.0.113.7")
    page_client(alice).post(f"{PAGE}/{make_key(alice, name='Gone')[0].pk}/revoke")
    shown = text(page_client(alice).get(PAGE))
    for name, word in (("Soon", "Expires soon"), ("Fresh", "Active"), ("Late", "Expired")):
        line = shown.partition(f">{name}<")[2].partition("</li>")[0]
        assert word in line, name
    assert "Revoked" in shown.partition(">Gone<")[2].partition("</li>")[0]
    assert "from 203.0.113.7" in shown and shown.count("never used") == 3
    assert f"{PAGE}/{soon.pk}/revoke" in shown
    assert f"{PAGE}/{ApiKey.objects.get(name='Late').pk}/revoke" not in shown


def test_revoke_and_revoke_all(alice, charlie):
    keys = [make_key(alice) for _ in range(3)]
    address = f"{PAGE}/{keys[0][0].pk}/revoke"
    assert page_client(charlie).post(address).status_code == 404
    assert page_client(alice).get(address).status_code == 405
    assert page_client(alice).post(address).url == PAGE
    assert ApiClient(token=keys[0][1]).get("accounts").status_code == 401
    assert ApiClient(token=keys[1][1]).get("accounts").status_code == 200
    page_client(alice).post(f"{PAGE}/revoke-all")
    assert not ApiKey.objects.filter(revoked_at=None).exists()


# ── the newest requests ─────────────────────────────────────────────────────
def test_a_user_sees_what_came_with_their_keys_and_nobody_elses(alice, charlie):
    key, raw = make_key(alice, scope="read")
    script = ApiClient(token=raw)
    script.get("orders?side=buy&secret=hunter2", **{"X-Request-Id": "request-of-alice"})
    script.post("orders", {})
    ApiClient(user=alice).get("accounts")
    ApiClient(user=charlie).get("auth/me")
    calls = request_log.calls_of(alice.pk)
    assert [(c.method, c.path, c.status, c.code, c.key) for c in calls] == [
        ("GET", "/api/v1/accounts", 200, "", "token"),
        ("POST", "/api/v1/orders", 403, "scope_missing", key.prefix),
        ("GET", "/api/v1/orders", 200, "", key.prefix),
    ]
    assert calls[-1].request_id == "request-of-alice" and calls[-1].ms >= 0
    shown = text(page_client(alice).get(PAGE))
    assert "/problems/scope-missing" in shown and "request-of-alice" in shown
    assert "hunter2" not in shown and "auth/me" not in shown
    assert "/api/v1/orders" not in text(page_client(charlie).get(PAGE))


def test_a_dead_key_that_somebody_tries_is_in_its_owners_list(alice):
    key, raw = make_key(alice)
    page_client(alice).post(f"{PAGE}/{key.pk}/revoke")
    ApiClient(token=raw).get("accounts")
    ApiClient(token="stk_" + "x" * 51).get("accounts")
    [call] = request_log.calls_of(alice.pk)
    assert (call.status, call.code, call.key) == (401, "invalid_key", key.prefix)


def test_the_list_is_capped_and_forgotten(alice, monkeypatch):
    monkeypatch.setattr(settings, "API_LOG_SHOWN", 3)
    script = ApiClient(user=alice)
    for n in range(5):
        script.get(f"orders/{n}")
    assert [c.path for c in request_log.calls_of(alice.pk)] == [
        f"/api/v1/orders/{n}" for n in (4, 3, 2)
    ]
    left = request_log.redis_client().ttl(f"{request_log.PREFIX}{alice.pk}")
    assert 0 < left <= settings.API_LOG_KEPT.total_seconds()


def test_the_list_can_be_switched_off(alice, settings):
    settings.API_LOG = False
    ApiClient(user=alice).get("accounts")
    assert request_log.calls_of(alice.pk) == []
    assert "keeps no list" in text(page_client(alice).get(PAGE))


def away(*_: Any) -> Any:
    raise RedisAway("no answer")


def test_without_redis_the_page_says_so_and_keys_are_managed(alice, monkeypatch):
    key, _ = make_key(alice)
    monkeypatch.setattr(developer_views, "calls_of", away)
    answer = page_client(alice).get(PAGE)
    assert answer.status_code == 200
    assert "cannot be read at the moment" in text(answer) and key.name in text(answer)


def test_no_request_fails_because_its_line_cannot_be_kept(alice, monkeypatch):
    monkeypatch.setattr(request_log, "redis_client", away)
    assert ApiClient(user=alice).get("accounts").status_code == 200


def test_htmx_gets_the_list_alone(alice):
    answer = page_client(alice).get(PAGE, headers={"HX-Request": "true"})
    assert text(answer).lstrip().startswith('<section id="api-calls"')
