"""What holds for every answer, and what production refuses to start with."""

import json
import logging
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path, reverse
from redis.exceptions import ConnectionError as RedisAway

from speedtrade import urls
from speedtrade.env import BadSetting, env_addresses
from speedtrade.lib.errors import Conflict, DomainError, NotFound, title_of
from speedtrade.lib.ratelimit import RateLimited
from speedtrade.testing.cast import PASSWORD, ApiClient, make_superuser, page_client
from speedtrade.testing.headers import assert_nothing_inline, assert_safe_headers

PROJECT = Path(__file__).resolve().parents[2]
CANARY = "canary-that-nobody-may-see"

# ── a house where some doors fail on purpose ────────────────────────────────
FAULTS: dict[str, tuple[Exception, int]] = {
    "limited": (RateLimited("Slowly, please.", retry_after=7), 429),
    "gone": (NotFound("No such order."), 404),
    "late": (Conflict("It is filled already."), 409),
    "unnamed": (DomainError(code="not_in_the_catalogue"), 422),
    "no-lock": (OperationalError(CANARY), 503),
    "no-redis": (RedisAway(CANARY), 503),
    "bug": (ValueError(CANARY), 500),
}


@login_not_required
def faulty(request: HttpRequest, kind: str) -> HttpResponse:
    password = CANARY  # a variable of the frame, which no log may show
    raise FAULTS[kind][0] if password else AssertionError


urlpatterns = [
    *urls.urlpatterns,
    path("faulty/<slug:kind>", faulty),
    path("api/faulty/<slug:kind>", faulty),
]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500
in_a_faulty_house = pytest.mark.urls(__name__)


@in_a_faulty_house
@pytest.mark.parametrize("kind", FAULTS)
def test_a_failure_of_a_page_becomes_a_decent_page(db, kind):
    error, status = FAULTS[kind]
    answer = Client(raise_request_exception=False).get(f"/faulty/{kind}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert_safe_headers(answer)
    assert_nothing_inline(answer)
    assert CANARY not in answer.content.decode() and "Traceback" not in answer.content.decode()
    if isinstance(error, DomainError):
        assert error.detail in answer.content.decode()
    if status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1


@in_a_faulty_house
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("late", "It is filled already."),
        ("limited", "Slowly, please."),
        ("no-lock", title_of("unavailable")),
        ("no-redis", title_of("unavailable")),
    ],
)
def test_htmx_is_told_in_a_header_why_an_act_was_refused(db, kind: str, words: str) -> None:
    web = Client(headers={"HX-Request": "true"})
    told = web.post(f"/faulty/{kind}").headers["HX-Trigger"]
    assert json.loads(told) == {"st:toast": {"level": "error", "text": words}}
    assert "HX-Trigger" not in web.get(f"/faulty/{kind}").headers  # a part says so in its place
    assert "HX-Trigger" not in Client().post(f"/faulty/{kind}").headers


@in_a_faulty_house
def test_a_refusal_is_fit_for_a_header(db, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "Größe “5”\r\nSet-Cookie: a=b " + "x" * 10_000
    monkeypatch.setitem(FAULTS, "typed", (Conflict(typed), 409))
    told = Client(headers={"HX-Request": "true"}).post("/faulty/typed").headers["HX-Trigger"]
    assert told.isascii() and told.isprintable() and len(told) < 600
    assert json.loads(told)["st:toast"]["text"] == typed[:300]


@in_a_faulty_house
@pytest.mark.parametrize("kind", FAULTS)
def test_a_failure_below_api_becomes_a_problem(db, kind):
    status = FAULTS[kind][1]
    answer = Client(raise_request_exception=False).get(f"/api/faulty/{kind}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert_safe_headers(answer)
    body = answer.json()
    fields = {"type", "title", "status", "detail", "code", "errors", "request_id"}
    assert set(body) == fields and body["status"] == status
    assert CANARY not in answer.content.decode()
    assert body["request_id"] == answer.headers["X-Request-Id"]


@in_a_faulty_house
def test_the_log_of_a_failure_shows_the_fault_and_no_variables(db, capfd):
    """The guard shown: with the variables of each frame the canary would be there twice."""
    from structlog.stdlib import ProcessorFormatter

    from speedtrade.logging import configure_logging

    for json_lines in (True, False):
        house = configure_logging(json_lines=json_lines, level="INFO")["formatters"]["house"]
        given = {key: value for key, value in house.items() if key != "()"}
        formatter = ProcessorFormatter(**given)
        try:
            faulty(HttpRequest(), "bug")
        except ValueError:
            record = logging.LogRecord(
                "test", logging.ERROR, __file__, 1, "page_failed", None, sys.exc_info()
            )
        line = formatter.format(record)
        assert "ValueError" in line and "faulty" in line
        assert line.count(CANARY) == 1  # the message of the exception itself


@in_a_faulty_house
def test_nothing_of_a_failed_login_is_logged_but_its_fault(db, caplog, monkeypatch):
    def fails(**given: Any) -> None:
        raise ValueError("the database fell over")

    monkeypatch.setattr("accounts.api.login_check", fails)
    ApiClient().post("auth/login", {"username": "alice", "password": PASSWORD})
    assert "the database fell over" in caplog.text
    assert PASSWORD not in caplog.text


# ── errors without a view ───────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "address", "status", "more"),
    [
        ("GET", "/no/such/page", 404, {}),
        ("GET", "/api/v1/no/such/door", 404, {}),
        ("POST", "/login", 403, {}),
        ("DELETE", "/health", 403, {}),
        ("DELETE", "/api/v1/auth/login", 405, {}),
        ("GET", "/health", 400, {"headers": {"Host": "evil.example"}}),
        ("GET", "/api/v1/auth/me", 401, {}),
        ("POST", "/api/v1/auth/login", 400, {"data": "{", "content_type": "application/json"}),
        ("POST", "/api/v1/auth/login", 415, {"data": "x", "content_type": "text/plain"}),
        ("GET", "/problems/no-such-problem", 404, {}),
    ],
)
def test_errors_carry_the_same_headers_as_pages(db, method, address, status, more):
    answer = Client(enforce_csrf_checks=True).generic(method, address, **more)
    assert answer.status_code == status
    assert_safe_headers(answer, address)
    assert_nothing_inline(answer, address)
    if address.startswith("/api/"):
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "address",
    [
        "/.env",
        "/.git/config",
        "/manage.py",
        "/static/",
        "/static/../speedtrade/settings.py",
        "/static/%2e%2e/speedtrade/settings.py",
        "/static/..%2f..%2fetc/passwd",
        "/static//etc/passwd",
        "/static/css/",
    ],
)
def test_nothing_but_collected_files_is_served(db, address):
    answer = Client().get(address)
    assert answer.status_code in (302, 404)
    assert b"SECRET_KEY" not in answer.content and b"root:" not in answer.content


# ── request ids ─────────────────────────────────────────────────────────────
def test_a_sane_request_id_is_kept_in_answer_problem_and_log(db, caplog):
    with caplog.at_level(logging.INFO):
        answer = ApiClient().get("auth/me", **{"X-Request-Id": "abc-123.DEF"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "abc-123.DEF"
    assert "'request_id': 'abc-123.DEF'" in caplog.text


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "two words", "new\r\nline-12345", "<script>ab"]
)
def test_a_strange_request_id_is_replaced_everywhere(db, caplog, given):
    with caplog.at_level(logging.INFO):
        answer = ApiClient().get("auth/me", **{"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert answer.headers["X-Request-Id"] in caplog.text
    assert f"'request_id': '{given}" not in caplog.text


# ── other origins ───────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://evil.example", False),
        ("http://app.example", False),
        ("https://app.example.evil.example", False),
        ("null", False),
    ],
)
def test_only_named_origins_may_read_the_api(db, settings, origin, allowed):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    preflight = Client().options(
        "/api/v1/orders",
        headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
    )
    plain = Client().get("/api/v1/auth/me", headers={"Origin": origin})
    for answer in (preflight, plain):
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
    page = Client().get("/login", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in page.headers


# ── cookies ─────────────────────────────────────────────────────────────────
def test_cookies_are_out_of_reach_of_scripts_and_other_sites(alice):
    browser = Client()
    browser.get("/login")
    browser.post("/login", {"username": "alice", "password": PASSWORD})
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, "theme", "palette"):
        cookie = browser.cookies[name]
        assert cookie["httponly"] and cookie["samesite"] == "Lax", name


# ── the admin under the same policy ─────────────────────────────────────────
def test_the_admin_keeps_the_strict_policy_with_nothing_inline(db):
    root = page_client(make_superuser())
    looked_at = 0
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        answer = root.get(reverse(name))
        assert answer.status_code in (200, 403), name
        assert_safe_headers(answer, name)
        assert_nothing_inline(answer, name)
        looked_at += answer.status_code == 200
    assert looked_at > 3
    assert_nothing_inline(root.get("/admin/"), "the index")


# ── production ──────────────────────────────────────────────────────────────
PRODUCTION = {
    "SPEEDTRADE_ENV": "production",
    "SECRET_KEY": "k3y-of-cookies-" + "a1B2c3D4" * 5,
    "JWT_SIGNING_KEY": "k3y-of-tokens-" + "e5F6g7H8" * 5,
    "FIELD_KEYS": "k3y-of-fields-" + "i9J0k1L2" * 5,
    "ALLOWED_HOSTS": "trade.example",
    "DATABASE_URL": "postgresql://somebody@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def run(*command: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment of production, changed by `environment` (None takes away)."""
    chosen = {**PRODUCTION, **environment}
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, *command],
        env={**clean, **{key: value for key, value in chosen.items() if value is not None}},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


SETTINGS = ("-c", "import speedtrade.settings")


def test_production_starts_with_good_settings():
    done = run(*SETTINGS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in PRODUCTION if name != "SPEEDTRADE_ENV"),
        ("SECRET_KEY", "too-short"),
        ("SECRET_KEY", "insecure-SECRET_KEY-" * 3),
        ("SECRET_KEY", "change-me-" * 6),
        ("JWT_SIGNING_KEY", "too-short"),
        ("FIELD_KEYS", "too-short"),
        ("JWT_SIGNING_KEY", PRODUCTION["SECRET_KEY"]),
        ("FIELD_KEYS", PRODUCTION["SECRET_KEY"]),
        ("FIELD_KEYS", PRODUCTION["JWT_SIGNING_KEY"]),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "trade.example,*"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("DATABASE_URL", "postgresql://somebody:pa/ssword@host/name"),
        ("DATABASE_URL", "postgresql://somebody:password@host:port/name"),
        ("DATABASE_URL", "postgresql://somebody:password@host:5432/"),
        ("REDIS_URL", "redis://:pa/ssword@host:6379/0"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "redis://host:6379/cache"),
        ("SENTRY_DSN", "abc"),
        ("SENTRY_DSN", "https://key@host/project"),
        ("DEBUG", "true"),
        ("SPEEDTRADE_ENV", "prod"),
    ],
)
def test_production_refuses_to_start_with(name, value):
    done = run(*SETTINGS, **{name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("speedtrade.env.BadSetting: ") and name in last
    if value and len(value) > 20:
        assert value not in done.stderr, "a refusal must not print the secret"


RATES = [
    *("RATE_LOGIN_PER_ADDRESS", "RATE_REGISTER_PER_ADDRESS", "RATE_REGISTER_CHECK_PER_ADDRESS"),
    *("RATE_WRONG_PASSWORD", "RATE_API_PER_USER", "RATE_ORDERS_PER_USER", "RATE_CONNECT_PER_USER"),
    *("RATE_API_PER_KEY", "RATE_PAGES_PER_USER", "RATE_FILES_PER_USER", "RATE_RESET_PER_ADDRESS"),
    "RATE_UNKNOWN_KEYS_PER_ADDRESS",
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "60/min") for name in RATES),
        *((RATES[0], value) for value in ("60/minute;", "0/minute", "60", "-1/minute")),
        *((name, value) for name in ("PORT", "EMAIL_PORT") for value in ("0", "65536", "--5", "٨")),
        pytest.param("WEB_THREADS", "9" * 5000, id="WEB_THREADS-without-end"),
        ("SESSION_IDLE_MINUTES", "9" * 12),
        ("SITE_URL", "trade.example"),
        ("ALPACA_TRADING_URL", "http://[::1"),
        ("ALPACA_DATA_URL", "http://127.0.0.1:port"),
        ("CCXT_URLS", '{"kraken": 5}'),
        ("CCXT_URLS", '{"kraken": {}}'),
        ("CCXT_URLS", '{"kraken": {"public": "http://127.0.0.1:1", "private": null}}'),
        ("CCXT_URLS", '{"kraken": "127.0.0.1:1"}'),
    ],
)
def test_a_bad_value_stops_the_start_with_one_sentence(monkeypatch, name, value):
    """Fails where it would be met by the first request that needs it, or never be told."""
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=name):
        runpy.run_path(str(PROJECT / "speedtrade" / "settings.py"))


def test_every_rate_that_can_be_set_is_among_these():
    example = (PROJECT / ".env.example").read_text()
    assert set(re.findall(r"^# (RATE_\w+)=", example, re.MULTILINE)) == set(RATES)


@pytest.mark.parametrize(
    "value", ['"http://127.0.0.1:1"', '{"rest": "https://{hostname}", "ws": {"v2": "ws://h/v2"}}']
)
def test_an_exchange_can_be_moved_by_one_address_or_by_its_parts(monkeypatch, value):
    monkeypatch.setenv("CCXT_URLS", f'{{"kraken": {value}}}')
    assert env_addresses("CCXT_URLS") == {"kraken": json.loads(value)}


def test_the_deployment_check_has_nothing_to_say():
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_production_cookies_belong_to_this_host_and_to_https():
    names = (
        "SESSION_COOKIE_NAME SESSION_COOKIE_SECURE SESSION_COOKIE_HTTPONLY CSRF_COOKIE_NAME "
        "CSRF_COOKIE_SECURE SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS DEBUG"
    )
    script = f"import speedtrade.settings as s; print([getattr(s, n) for n in {names.split()!r}])"
    shown = run("-c", script).stdout.strip()
    year = 365 * 24 * 3600
    assert shown == str(
        ["__Host-sessionid", True, True, "__Host-csrftoken", True, True, year, False]
    )
