"""The web process as it runs, asked over real sockets for what no well-behaved client asks."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

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
        line.settimeout(10)
        line.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while piece := line.recv(65536):
            answer += piece
            if not last and b"\r\n\r\n" in answer:  # of a socket that is open, the head is all
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
