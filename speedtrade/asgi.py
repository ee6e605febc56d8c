"""The protocol router under daphne: HTTP to sync Django behind one thread hop, sockets to Channels.

Django's own ASGI handler costs a thread, a hop per middleware and a new database connection per
request; the threads of the bridge live on, and so do their connections (docs/adr has the figures).
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")

from speedtrade.wsgi import application as wsgi_application  # noqa: I001 - sets Django up: first
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from marketdata.routing import websocket_application
from speedtrade.bridge import Bridge, Receive, Scope, Send


Application = Callable[[Scope, Receive, Send], Awaitable[Any]]


def unforged(app: Application) -> Application:
    """Nothing of a request says where the house is mounted or who proxies it, but a proxy's words.

    Header names with an underscore go: WSGI takes `X_Forwarded_For` for the dashed one. And we are
    mounted at the root: a server takes a `root_path` from a header of whoever asks (daphne's is
    `Daphne-Root-Path`), and it would stand before every link that a process remembers.
    """

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
        await app({**scope, "headers": headers, "root_path": ""}, receive, send)

    return filtered


application = ProtocolTypeRouter(
    {
        "http": unforged(Bridge(wsgi_application, settings.WEB_THREADS)),
        "websocket": unforged(websocket_application),
    }
)
