"""From ASGI to sync Django: one hop to a thread that lives on, and one back with the whole answer.

`a2wsgi` hands each piece of an answer to the event loop and waits for it, twice and more a request;
most answers are one piece. How a scope becomes a WSGI environment is still taken from there.
"""

import asyncio
import contextvars
import re
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import IO, Any, Final, cast

from a2wsgi.wsgi import build_environ
from django.conf import settings

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BOUNDARY: Final = re.compile(r';\s*(boundary=(?:"[^"\r\n]{1,70}"|[^\s;"]{1,70}))', re.IGNORECASE)
PIECE: Final = 64 * 1024  # bytes of a stream that go out at once; a file comes in blocks of four


class Bridge:
    """An ASGI application for `http` out of a WSGI one that answers in `threads` threads.

    A request that has begun is finished, whether its client still listens or not: what an order
    does must not depend on a connection that drops.
    """

    def __init__(self, app: Callable[..., Any], threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="WSGI")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()

        def forward(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(cast(Any, send(message)), loop).result()

        body = tempfile.SpooledTemporaryFile(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115 - closed in _answer
        size = await _read(receive, body)
        if size is None:
            return  # they left before they had said all
        environ = build_environ(cast(Any, scope), cast(Any, body))
        # What comes in chunks names no length, and is no less a body.
        environ["CONTENT_LENGTH"] = str(size)
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = _plain_type(environ["CONTENT_TYPE"])
        left: list[Message] = await loop.run_in_executor(
            self._threads, contextvars.copy_context().run, self._answer, environ, forward
        )
        for message in left:
            await send(message)

    def _answer(self, environ: Any, forward: Callable[[Message], None]) -> list[Message]:
        """Run the application in this thread, to its end; gives the messages that are left to send.

        A stream stays in this thread as well: the connection that it reads from is the thread's.
        """
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            start["status"] = int(status[:3])
            start["headers"] = [
                (name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers
            ]

        left = [start]
        kept = bytearray()
        with environ["wsgi.input"], closing(self._app(environ, start_response)) as response:
            for piece in response:
                kept += piece
                if getattr(response, "streaming", False) and len(kept) >= PIECE:
                    for message in (*left, _body(kept, more=True)):
                        forward(message)
                    left, kept = [], bytearray()
        return [*left, _body(kept, more=False)]


def _body(kept: bytearray, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": bytes(kept), "more_body": more}


def _plain_type(told: str) -> str:
    """A Content-Type without all but its boundary.

    What comes is UTF-8. Django would read the address, too, in any charset that a request names,
    and fails on some before a middleware of ours sees it.
    """
    kind = told.partition(";")[0].strip()
    boundary = BOUNDARY.search(told) if kind.lower().startswith("multipart/") else None
    return f"{kind}; {boundary[1]}" if boundary else kind


async def _read(receive: Receive, body: IO[bytes]) -> int | None:
    """All of the body into a file; its size, or None where the client left before its end."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += body.write(message.get("body", b""))
        more = message.get("more_body", False)
    body.seek(0)
    return size
