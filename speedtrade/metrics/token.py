"""The token of Prometheus, and the door that it opens at the address of each web process."""

import hmac
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

PATH = "/metrics"


def has_token(request: HttpRequest) -> bool:
    """Whether this request brings METRICS_TOKEN; never where none is set."""
    scheme, _, given = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    same = hmac.compare_digest(given.encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and same


class ScrapeMiddleware:
    """Let Prometheus ask a process by its own address.

    It names the host that it was told to go to, a pod or a port of this machine, which is no name
    that people type and cannot be another. With the right token it is one of ours; all others are
    refused as anywhere, and so is the token on any other page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == PATH and has_token(request):
            named = (host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*")
            request.META["HTTP_HOST"] = next(named, request.META.get("HTTP_HOST", ""))
        return self.get_response(request)
