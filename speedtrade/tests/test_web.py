"""The web process as it runs, asked over real sockets for what no well-behaved client asks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection
from socket import socket as Line
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from speedtrade.asgi import unforged
from speedtrade.datafolder import PROJECT
from speedtrade.healthcheck import ask_health
from speedtrade.testing.product import free_port
from speedtrade.testing.waiting import wait_until

EVIL = "https://evil.example/x"
SOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it writes."""
    return tmp_path_factory.mktemp("web") / "log"


@pytest.fixture(scope="module")
def port(log: Path) -> Iterator[int]:
    """The port of the product's web process."""
    port = free_port()
    where = ("-b", "127.0.0.1", "-p", str(port), "-v", "0", "--no-server-name")
    with log.open("wb") as lines:
        web = subprocess.Popen(
            [sys.executable, "-m", "speedtrade.web", *where, "speedtrade.asgi:application"],
            cwd=PROJECT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "speedtrade.settings"},
            stdout=lines,
            stderr=lines,
        )
        try:
            wait_until(lambda: ask_health("127.0.0.1", port) is not None, 60, "the server answers")
            yield port
        finally:
            web.kill()
            web.wait()


def asked(port: int, path: str, *headers: str, last: str = "Connection: close") -> str:
    """The whole answer to a GET with these headers, as it comes."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", *headers, *([last] if last else ()), "", "")
    with create_connection(("127.0.0.1", port), 10) as line:
        line.sendall("\r\n".join(lines).encode("latin-1"))
        return heard(line, "" if last else "\r\n\r\n")


def heard(line: Line, end: str = "") -> str:
    """All that comes, up to `end` or the end of the line."""
    answer = b""
    while piece := line.recv(65536):
        answer += piece
        if end and end.encode() in answer:
            break
    return answer.decode()


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


def links(answer: str) -> list[str]:
    return re.findall(r'(?:href|action|src)="([^"]*)', answer)


# ── where the house is mounted ──────────────────────────────────────────────
@pytest.mark.parametrize("root", [EVIL, "/x", "/login", "%2Fx", ""])
def test_no_header_moves_the_links_of_the_pages(port: int, root: str) -> None:
    before = links(asked(port, "/login"))
    assert "/register" in before
    assert links(asked(port, "/login", f"Daphne-Root-Path: {root}")) == before
    assert links(asked(port, "/login")) == before  # a link once made is remembered


def test_a_path_is_taken_as_it_was_asked_for(port: int) -> None:
    """Or `/x/login` would reach `/login` past the rules that a proxy has for its path."""
    assert status(asked(port, "/x/login", "Daphne-Root-Path: /x")) == 404


@pytest.mark.parametrize("header", ["Daphne-Root-Path", "Sec-WebSocket-Protocol"])
@pytest.mark.parametrize("value", [EVIL, "/ws", "\xff"])
def test_a_header_that_daphne_obeys_makes_no_fault(
    port: int, log: Path, header: str, value: str
) -> None:
    """A stranger's socket is refused, with 403: no answer of the server's about a fault of ours."""
    before = log.stat().st_size
    assert status(asked(port, "/ws", *SOCKET, f"{header}: {value}", last="")) == 403
    assert status(asked(port, "/login", f"{header}: {value}")) == 200
    assert "Traceback" not in log.read_bytes()[before:].decode()


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_whatever_the_server_is_an_application_is_at_the_root(kind: str) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.update(scope)

    headers = [(b"x_forwarded_for", b"6.6.6.6"), (b"host", b"localhost")]
    scope = {"type": kind, "path": "/x/login", "root_path": "/x", "headers": headers}
    await ApplicationCommunicator(unforged(app), scope).wait()
    assert (seen["path"], seen["root_path"]) == ("/x/login", "")
    assert seen["headers"] == [(b"host", b"localhost")]


def test_nor_does_another_way_into_django_move_a_link(rf: Any) -> None:
    assert rf.get("/login", SCRIPT_NAME="/x").path == "/login"


# ── bodies ──────────────────────────────────────────────────────────────────
LIMIT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
CHUNK = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded"


@contextmanager
def posting(port: int, path: str, *headers: str) -> Iterator[Line]:
    """A line along which a POST has begun: its head is said."""
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    with create_connection(("127.0.0.1", port), 10) as line:
        line.sendall("\r\n".join(lines).encode())
        yield line


def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_is_sent(port: int) -> None:
    for length in (LIMIT + 1, 2 * 1024**3, 10**30):
        with posting(port, "/health", f"Content-Length: {length}") as line:
            answer = heard(line)  # and the line is shut, or this would wait
            assert status(answer) == 413 and "connection: close" in answer.lower()


def test_the_refusal_reaches_who_goes_on_sending(port: int) -> None:
    with posting(port, "/health", f"Content-Length: {2 * 1024**3}") as line:
        for _ in range(40):
            line.sendall(b"x" * 65536)
        assert status(heard(line)) == 413


def test_nobody_is_asked_for_a_body_that_will_be_refused(port: int) -> None:
    length = f"Content-Length: {LIMIT + 1}"
    with posting(port, "/health", length, "Expect: 100-continue") as line:
        assert heard(line).count("HTTP/1.1") == 1


def test_a_body_in_chunks_is_refused_where_it_becomes_too_large(port: int) -> None:
    with posting(port, "/health", "Transfer-Encoding: chunked") as line:
        for _ in range(LIMIT // 0x1000 + 1):  # and it has no end yet
            line.sendall(CHUNK)
        assert status(heard(line)) == 413


def test_so_is_a_socket_with_a_body(port: int) -> None:
    with posting(port, "/ws", *SOCKET, f"Content-Length: {LIMIT + 1}") as line:
        assert status(heard(line)) == 413


def test_the_api_says_so_as_it_says_everything(port: int) -> None:
    with posting(port, "/api/v1/orders", f"Content-Length: {LIMIT + 1}") as line:
        head, _, body = heard(line).partition("\r\n\r\n")
    problem = json.loads(body)
    assert "content-type: application/problem+json" in head.lower()
    assert (problem["status"], problem["code"]) == (413, "too_large")
    assert f"x-request-id: {problem['request_id']}" in head.lower()


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_what_is_not_too_large_is_taken_whole(port: int, size: int) -> None:
    """As far as to Django, which asks for a token."""
    with posting(port, "/login", FORM, f"Content-Length: {size}", "Connection: close") as line:
        line.sendall(b"x" * size)
        assert status(heard(line)) == 403
    whole = CHUNK * (size // 0x1000) + b"0\r\n\r\n"
    with posting(port, "/login", FORM, "Transfer-Encoding: chunked", "Connection: close") as line:
        line.sendall(whole)
        assert status(heard(line)) == 403


def test_what_was_refused_is_never_done_though_all_of_it_comes(port: int, log: Path) -> None:
    with posting(port, "/refused", f"Content-Length: {LIMIT + 1}") as line:
        line.sendall(b"x" * (LIMIT + 1))
        assert status(heard(line)) == 413
    asked(port, "/asked-after")
    wait_until(lambda: "/asked-after" in log.read_text(), 10, "the next one is in the log")
    assert "/refused" not in log.read_text()


def test_who_was_refused_is_let_go_though_they_never_hang_up(port: int) -> None:
    with posting(port, "/health", f"Content-Length: {LIMIT + 1}") as line:
        assert status(heard(line)) == 413

        def gone() -> bool:
            try:
                line.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(gone, 10, "the line is cut")
