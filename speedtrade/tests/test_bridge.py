"""HTTP through the bridge: whole answers, streams, bodies, clients that leave."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest

from speedtrade.bridge import PIECE, Bridge

SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "path": "/api/v1/ö",
    "query_string": b"a=1",
    "headers": [(b"content-type", b"text/plain"), (b"x-one", b"1"), (b"x-one", b"2")],
    "client": ["127.0.0.1", 5000],
    "server": ["127.0.0.1", 8000],
}


class Answer:
    """What Django gives back: iterable, closable, and a stream or not."""

    def __init__(self, pieces: Any, *, streaming: bool) -> None:
        self.pieces, self.streaming = pieces, streaming
        self.threads: set[str] = set()
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.threads.add(threading.current_thread().name)
            yield piece

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed += 1


def asked(
    app: Callable[..., Any], *messages: dict[str, Any], scope: dict[str, Any] = SCOPE
) -> list[dict[str, Any]]:
    """All that the bridge sends for these messages of a client."""
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Bridge(app, 2)(scope, receive, send))
    return sent


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


def test_a_body_in_pieces_arrives_whole_and_an_answer_leaves_in_one() -> None:
    seen: dict[str, Any] = {}
    answer = Answer([b"one ", b"two"], streaming=False)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        seen.update(environ, read=environ["wsgi.input"].read())
        start("201 Created", [("X-Id", "7"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return answer

    sent = asked(app, body(b"x" * 70_000, more=True), body(b"end"))
    assert seen["read"] == b"x" * 70_000 + b"end"
    assert (seen["PATH_INFO"].encode("latin1").decode(), seen["QUERY_STRING"]) == (
        "/api/v1/ö",
        "a=1",
    )
    assert (seen["HTTP_X_ONE"], seen["REMOTE_ADDR"]) == ("1,2", "127.0.0.1")
    assert sent == [
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-id", b"7"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
        },
        {"type": "http.response.body", "body": b"one two", "more_body": False},
    ]
    assert answer.closed == 1


def test_a_stream_leaves_in_large_pieces_and_stays_in_its_thread() -> None:
    """The connection that a stream reads from is its thread's: another request has it meanwhile."""
    answer = Answer((b"y" * 4096 for _ in range(40)), streaming=True)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        start("200 OK", [])
        return answer

    sent = asked(app, body(b""))
    assert b"".join(message.get("body", b"") for message in sent) == b"y" * 4096 * 40
    sizes = [len(message["body"]) for message in sent[1:]]
    assert sizes == [PIECE, PIECE, 40 * 4096 - 2 * PIECE]
    assert [message["more_body"] for message in sent[1:]] == [True, True, False]
    assert len(answer.threads) == 1 and answer.closed == 1


def test_who_leaves_before_the_end_of_the_body_starts_nothing() -> None:
    called: list[int] = []
    sent = asked(lambda *_: called.append(1), body(b"{", more=True), {"type": "http.disconnect"})
    assert (called, sent) == ([], [])


def test_a_stream_that_breaks_is_closed_and_raises() -> None:
    def broken() -> Iterator[bytes]:
        yield b"z" * PIECE
        raise OSError("the disk is gone")

    answer = Answer(broken(), streaming=True)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        start("200 OK", [])
        return answer

    with pytest.raises(OSError, match="the disk is gone"):
        asked(app, body(b""))
    assert answer.closed == 1


def test_an_order_goes_on_when_its_client_leaves() -> None:
    """What has begun is finished: the thread does not hear of the connection."""
    entered, leave, ended = threading.Event(), threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        entered.set()
        assert leave.wait(10) and environ["wsgi.input"].read() == b"{}"
        start("201 Created", [])
        ended.set()
        return Answer([b""], streaming=False)

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return body(b"{}")

        async def send(_: dict[str, Any]) -> None:
            raise AssertionError("nobody is there to hear it")

        task = asyncio.ensure_future(Bridge(app, 1)(SCOPE, receive, send))
        await asyncio.to_thread(entered.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(run())


def environ_of(*pieces: bytes, content_type: str | None) -> dict[str, Any]:
    """What Django is given for a body of these pieces."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Answer:
        seen.update(environ)
        start("200 OK", [])
        return Answer([b""], streaming=False)

    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    messages = [body(piece, more=True) for piece in pieces]
    asked(app, *messages, body(b""), scope={**SCOPE, "headers": headers})
    return seen


def test_a_body_in_chunks_is_as_long_as_it_is() -> None:
    """Fails where a header alone says it: Django reads nothing of what came in chunks."""
    assert environ_of(b"a" * 7, b"b" * 3, content_type="text/plain")["CONTENT_LENGTH"] == "10"
    assert environ_of(content_type=None)["CONTENT_LENGTH"] == "0"


@pytest.mark.parametrize(
    ("told", "given"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/json; charset=rot13", "application/json"),
        ("text/plain; charset*=foo''%ff", "text/plain"),
        (
            "multipart/form-data; charset=utf-16; boundary=ab-1",
            "multipart/form-data; boundary=ab-1",
        ),
        ('multipart/form-data; boundary="a b"; x=y', 'multipart/form-data; boundary="a b"'),
        ("multipart/form-data", "multipart/form-data"),
    ],
)
def test_no_request_chooses_the_charset_of_its_address(told: str, given: str) -> None:
    """Fails where Django sees the charset: some end a request before our middleware, others turn

    `?account_id=7` into something else.
    """
    environ = environ_of(content_type=told)
    assert environ["CONTENT_TYPE"] == given
    request = WSGIRequest({**environ, "QUERY_STRING": "account_id=7"})
    assert request.GET["account_id"] == "7"
