"""The product's application, with what only a bench wants to see.

- hand-overs of a request to a thread are counted, and told at /bench/hops;
- /ws/bench/groups is what the hub stands instead of: a group of the channel layer per symbol;
- with BENCH_FLUSH_MS the period of the hub does not grow with the number of sockets, so that a
  process can be filled up.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from speedtrade.asgi import application as product

from channels.generic.websocket import AsyncWebsocketConsumer  # isort: skip - after Django's setup
from marketdata import pace  # isort: skip

if "BENCH_FLUSH_MS" in os.environ:
    pace.PER_SOCKET = 0.0  # type: ignore[misc]

_hops = 0
_submit = ThreadPoolExecutor.submit


def _counted(self: ThreadPoolExecutor, *args: Any, **kwargs: Any) -> Any:
    global _hops
    _hops += self._thread_name_prefix == "WSGI"  # what runs requests; others work behind the answer
    return _submit(self, *args, **kwargs)


ThreadPoolExecutor.submit = _counted  # type: ignore[method-assign]


class GroupConsumer(AsyncWebsocketConsumer):
    """One message of the channel layer per quote and socket."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for symbol in json.loads(text_data or "{}")["symbols"]:
            await self.channel_layer.group_add(f"bench.{symbol}", self.channel_name)
        await self.send(text_data='{"type":"quote","quotes":[]}')

    async def bench_quote(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


_groups = GroupConsumer.as_asgi()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket" and scope["path"] == "/ws/bench/groups":
        await _groups(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/bench/hops":
        body = str(_hops).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        await product(scope, receive, send)
