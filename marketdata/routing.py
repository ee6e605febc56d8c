"""The addresses of sockets."""

from channels.routing import URLRouter
from django.urls import re_path

from marketdata.consumers import MarketConsumer, NowhereConsumer

websocket_application = URLRouter(
    [
        re_path(r"^ws/?$", MarketConsumer.as_asgi()),
        re_path(r"^ws/(?P<user_id>[^/]+)/?$", MarketConsumer.as_asgi()),
        re_path(r"", NowhereConsumer.as_asgi()),
    ]
)
