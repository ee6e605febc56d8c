"""Error reports: none without a DSN, and with one what leaves says where it broke, nothing else."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from speedtrade.datafolder import PROJECT

CANARIES = ("PKCANARY0001", "canary-secret-7d1f", "12345.67", "alice@example.com", "hunter2")
BREAK = """
import logging, sys
import django
django.setup()
assert ("sentry_sdk" in sys.modules) == (len(sys.argv) > 1)
if len(sys.argv) == 1:
    raise SystemExit
import sentry_sdk, structlog
from django.test import Client
from django.urls import path
from speedtrade import urls

def broken(request):
    key, secret, amount = "PKCANARY0001", "canary-secret-7d1f", "12345.67"
    raise ValueError(f"{key} {secret} cannot withdraw {amount}")

broken.login_required = False
urls.urlpatterns.insert(0, path("broken", broken, name="broken"))
client = Client(raise_request_exception=False, headers={"Authorization": "Bearer hunter2"})
client.cookies["sessionid"] = "hunter2"
assert client.post("/broken?key=PKCANARY0001", {"password": "hunter2"}).status_code == 500
structlog.contextvars.bind_contextvars(request_id="request-4711", user="alice@example.com")
logging.getLogger("trading").error("order_overfilled", extra={"qty": "12345.67"})
logging.getLogger("trading").error("paid %s to %s", "12345.67", "alice@example.com")
structlog.get_logger("accounts").error("login_odd", email="alice@example.com")
try:
    raise RuntimeError("PKCANARY0001")
except RuntimeError:
    sentry_sdk.capture_exception()
sentry_sdk.flush(10)
"""


@pytest.fixture
def sentry() -> Iterator[tuple[str, list[bytes]]]:
    """(DSN of a server of our own, the bodies that it was sent)."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            bodies.append(gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://key@127.0.0.1:{server.server_port}/1", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def broken(*words: str, **settings: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BREAK, *words],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_a_dsn_nothing_of_sentry_is_imported() -> None:
    broken(SENTRY_DSN="")


def test_a_report_says_where_it_broke_and_nothing_of_whom(
    sentry: tuple[str, list[bytes]],
) -> None:
    dsn, bodies = sentry
    broken("report", SENTRY_DSN=dsn)
    text = b"\n".join(bodies).decode()
    events = [
        json.loads(line) for line in text.splitlines() if line.startswith('{"') and "level" in line
    ]
    kinds = {
        value["type"]: value
        for event in events
        for value in event.get("exception", {}).get("values", [])
    }
    assert {"ValueError", "RuntimeError"} <= set(kinds)
    functions = [frame["function"] for frame in kinds["ValueError"]["stacktrace"]["frames"]]
    assert functions[-1] == "broken"
    words = {event.get("logentry", {}).get("message") for event in events}
    assert {"order_overfilled", "login_odd"} <= words
    assert any(event["tags"].get("request_id") == "request-4711" for event in events)
    for canary in CANARIES:
        assert canary not in text, canary
