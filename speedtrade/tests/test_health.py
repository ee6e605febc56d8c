"""`GET /health` under every dependency being there and away."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portfolio.models import LedgerCheck
from speedtrade import health, healthcheck
from speedtrade.backups.holding import held
from speedtrade.backups.programs import where_of
from speedtrade.lib import schema
from speedtrade.lib.redis import redis_client

NOW = 1_800_000_000.0
PARTS = ("database", "redis", "worker", "feed")
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_kept", None)
    monkeypatch.setattr(schema, "_there", False)
    health._client.cache_clear()
    yield
    health._client.cache_clear()


def beat(worker: float | None = NOW, feed: float | None = NOW) -> None:
    for key, moment in ((health.HEARTBEAT_WORKER, worker), (health.HEARTBEAT_FEED, feed)):
        if moment is not None:
            redis_client().set(key, str(moment))


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"host": "127.0.0.1", "port": 1, "dbname": "none", "user": "nobody"}
    monkeypatch.setattr(connections["default"], "get_connection_params", lambda: nowhere)


def test_all_is_ok_while_everything_shows_signs_of_life() -> None:
    beat()
    report = health.health_report(NOW)
    assert report.status == "ok"
    assert report.checks == dict.fromkeys(PARTS, "ok")


@pytest.mark.parametrize(
    ("worker_age", "feed_age", "expected"),
    [
        (30, 15, "ok"),
        (30.5, 0, "degraded"),
        (0, 15.5, "degraded"),
        (None, 0, "degraded"),
        (0, None, "degraded"),
    ],
)
def test_a_heartbeat_counts_up_to_its_limit_and_not_beyond(
    worker_age: float | None, feed_age: float | None, expected: str
) -> None:
    beat(
        None if worker_age is None else NOW - worker_age,
        None if feed_age is None else NOW - feed_age,
    )
    assert health.health_report(NOW).status == expected


def test_an_old_or_missing_heartbeat_is_told_in_words() -> None:
    beat(worker=NOW - 45, feed=None)
    checks = health.health_report(NOW).checks
    assert checks["worker"] == "last seen 45 s ago"
    assert checks["feed"] == "no sign of life"


@pytest.mark.parametrize(
    ("worker", "feed", "young", "expected"),
    [
        (None, None, True, "starting"),
        (NOW, None, True, "starting"),
        (NOW, NOW, True, "ok"),
        (NOW - 3600, NOW, True, "starting"),
        (None, NOW, False, "degraded"),
        (NOW - 3600, NOW, False, "degraded"),
    ],
)
def test_only_a_young_process_waits_for_those_it_does_not_hear(
    worker: float | None, feed: float | None, young: bool, expected: str
) -> None:
    beat(worker, feed)
    assert health.health_report(NOW, young=young).status == expected


def test_who_waits_for_the_door_to_say_200_finds_a_house_that_works(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HEALTH_STARTING = timedelta(minutes=1)
    monkeypatch.setattr(health, "REPORT_KEPT", 0.0)
    monkeypatch.setattr(health, "_started", time.monotonic())
    response = client.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "starting")
    assert response["Retry-After"]
    assert client.get("/health/ready").status_code == 204, "orders are taken already"
    assert "is starting" in client.get("/status").content.decode()
    beat(time.time(), time.time())
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/health/", 200), ("/health/live/", 204), ("/health/ready/", 204)]
)
def test_a_slash_at_the_end_changes_nothing_over_plain_http_either(
    client: Client, settings: Any, path: str, status: int
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    beat(time.time(), time.time())
    assert client.get(path).status_code == status


def test_while_a_restore_works_no_request_is_wanted(client: Client) -> None:
    beat(time.time(), time.time())
    with held(where_of(connections["default"].get_connection_params())):
        response = client.get("/health")
        assert client.get("/health/ready").status_code == 503
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "a restore of it is not done"


def test_the_door_is_open_to_all_and_is_never_cached(client: Client) -> None:
    beat(time.time(), time.time())
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"
    assert "no-store" in response["Cache-Control"]
    assert "sessionid" not in response.cookies
    assert client.post("/health").status_code == 405


def test_without_redis_it_still_serves_and_says_so(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._client.cache_clear()
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {
        "status": "degraded",
        "checks": {"database": "ok", "redis": "down", "worker": "unknown", "feed": "unknown"},
        "details": {"ledger": "not checked yet"},
    }


@pytest.mark.usefixtures("no_database")
def test_without_the_database_it_cannot_serve_and_says_when_to_come_back(client: Client) -> None:
    beat(time.time(), time.time())
    response = client.get("/health")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response.json()["status"] == "down"
    assert response.json()["checks"]["database"] == "down"


@pytest.mark.usefixtures("no_database")
def test_without_the_database_no_request_is_wanted(client: Client) -> None:
    assert client.get("/health/ready").status_code == 503


def test_without_redis_and_workers_requests_are_wanted(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._client.cache_clear()
    assert client.get("/health/ready").status_code == 204


def test_a_process_that_is_told_to_end_wants_no_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_leaving", False)
    assert client.get("/health/ready").status_code == 204
    health.leave_service()
    assert client.get("/health/ready").status_code == 503


def test_no_request_is_wanted_until_every_migration_of_this_code_is_applied(
    client: Client,
) -> None:
    """Fails where a new process serves beside the job that migrates."""
    applied = MigrationRecorder(connection)
    newest = max(name for app, name in applied.applied_migrations() if app == "trading")
    applied.record_unapplied("trading", newest)
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 204
    applied.record_applied("trading", newest)
    assert client.get("/health/ready").status_code == 204


def test_a_database_without_any_table_wants_no_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MigrationRecorder.Migration._meta, "db_table", "not_made_yet")
    assert client.get("/health/ready").status_code == 503


def test_the_process_of_before_serves_on_with_the_tables_of_the_next_release(
    client: Client,
) -> None:
    MigrationRecorder(connection).record_applied("trading", "9999_of_the_next_release")
    assert client.get("/health/ready").status_code == 204


def test_once_the_migrations_are_applied_nothing_is_asked_again(client: Client) -> None:
    assert client.get("/health/ready").status_code == 204
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/health/ready").status_code == 204
    assert len(asked) == 0


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([], "not checked yet"),
        ([(0, 0)], "ok"),
        ([(0, 3)], "differs"),
        ([(60, 3), (0, 0)], "ok"),
        ([(60, 0), (0, 1)], "differs"),
        ([(1800, 0)], "ok"),
        ([(1801, 0)], "not checked lately"),
    ],
)
def test_the_last_check_of_the_ledger_is_told_in_a_word(
    checks: list[tuple[int, int]], words: str
) -> None:
    for ago, differences in checks:
        ran_at = datetime.fromtimestamp(NOW - ago, UTC)
        LedgerCheck.objects.create(ran_at=ran_at, differences=differences, details=["account 7"])
    with connection.cursor() as cursor:
        assert health._ledger(cursor, NOW) == words


@pytest.mark.django_db(transaction=True)
def test_the_ledger_is_a_detail_and_takes_nobody_out_of_service(client: Client) -> None:
    beat(time.time(), time.time())
    LedgerCheck.objects.create(ran_at=timezone.now(), differences=3, details=["account 7"])
    answer = client.get("/health").json()
    assert answer["details"] == {"ledger": "differs"}
    assert answer["status"] == "ok" and set(answer["checks"]) == set(PARTS)
    assert client.get("/health/ready").status_code == 204
    page = client.get("/status").content.decode()
    assert "Differs" in page and "account 7" not in page


def test_a_ledger_that_cannot_be_read_is_no_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As before the first migration."""
    monkeypatch.setattr(health, "LEDGER_LAST", "SELECT 1 FROM not_made_yet")
    assert health._database(NOW) == ("ok", "unknown")


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers: a server that hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_servers_that_hang_cost_it_seconds_and_not_forever(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_port() as port:
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        health._client.cache_clear()
        nowhere = {"host": "127.0.0.1", "port": port, "dbname": "none", "user": "nobody"}
        monkeypatch.setattr(connections["default"], "get_connection_params", lambda: nowhere)
        started = time.monotonic()
        report = health.health_report(NOW)
        assert time.monotonic() - started < 2 * settings.HEALTH_TIMEOUT.total_seconds() + 1
    assert report.status == "down"
    assert report.checks["redis"] == "down"


def test_however_often_it_is_asked_the_dependencies_are_asked_seldom(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(health, "REPORT_KEPT", 60.0)
    monkeypatch.setattr(health, "_database", lambda now: (asked.append(1) or "ok", "ok"))
    for _ in range(20):
        client.get("/health")
    assert len(asked) == 1


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


DEGRADED = json.dumps({"status": "degraded", "checks": {"worker": "ok", "feed": "down"}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "arguments", "code"),
    [
        (204, b"", [], 0),
        (503, b"", [], 1),
        (200, DEGRADED, ["--check", "worker"], 0),
        (200, DEGRADED, ["--check", "feed"], 1),
        (200, b"not json", ["--check", "worker"], 1),
        (503, DEGRADED, ["--check", "worker"], 0),
        (503, DEGRADED, ["--check", "feed"], 1),
        (404, b"", ["--check", "worker"], 1),
    ],
)
def test_a_container_asks_with_an_exit_code(
    status: int, body: bytes, arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(status, body) as port:
        monkeypatch.setenv("PORT", str(port))
        assert healthcheck.main(["--host", "127.0.0.1", *arguments]) == code


def test_nobody_there_is_not_healthy() -> None:
    assert healthcheck.ask_health("127.0.0.1", 1) is None
    assert healthcheck.reachable("0.0.0.0") == "127.0.0.1"  # noqa: S104 - only compared
    assert healthcheck.reachable("192.0.2.7") == "192.0.2.7"


def test_a_process_lives_while_its_database_is_away_and_is_not_ready(no_database: None) -> None:
    """Restarting it would not bring the database back."""
    assert Client().get("/health/live").status_code == 204
    assert Client().get("/health/ready").status_code == 503
