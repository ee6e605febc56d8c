"""The protocol router under daphne: HTTP to sync Django behind one thread hop, sockets to Channels.

Django's own ASGI handler costs a thread, a hop per middleware and a new database connection per
request; the threads of the bridge live on, and so do their connections (docs/adr has the figures).
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "speedtrade.settings")

from speedtrade.wsgi import application as wsgi_application  # noqa: I001 - sets Django up: first
from channels.routing import ProtocolTypeRouter
from django.conf import settings

from marketdata.routing import websocket_application
from speedtrade.bridge import Bridge, Receive, Scope, Send


def without_underscores(app: Bridge) -> Any:
    """Drop header names with an underscore: WSGI takes `X_Forwarded_For` for the dashed one."""

    async def filtered(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
        await app({**scope, "headers": headers}, receive, send)

    return filtered


_pages = without_underscores(Bridge(wsgi_application, settings.WEB_THREADS))

application = ProtocolTypeRouter({"http": _pages, "websocket": websocket_application})
