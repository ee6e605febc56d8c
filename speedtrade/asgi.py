"""The protocol router under daphne: HTTP to sync Django behind one thread hop, sockets to Channels.

Django's own ASGI handler costs a thread, a hop per middleware and a new database connection per
request; threads of `a2wsgi` live on, and so do their connections (docs/adr has the figures).
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")

from speedtrade.wsgi import application as wsgi_application  # noqa: I001 - sets Django up: first
from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from marketdata.routing import websocket_application

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def without_underscores(app: App) -> App:
    """Drop header names with an underscore: WSGI takes `X_Forwarded_For` for the dashed one."""

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
        await app({**scope, "headers": headers}, receive, send)

    return filtered


# The packages type the same protocol differently.
_pages: Any = WSGIMiddleware(cast(Any, wsgi_application), workers=settings.WEB_THREADS)

application = ProtocolTypeRouter(
    {"http": without_underscores(_pages), "websocket": websocket_application}
)
