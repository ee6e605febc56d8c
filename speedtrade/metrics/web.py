"""What this web process measures of itself: how long requests take, and its open sockets."""

import time
from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Gauge, Histogram, PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from marketdata.lobby import sockets_open

#: Of this process alone: each web process is a target of Prometheus for itself.
REGISTRY = CollectorRegistry()
PlatformCollector(registry=REGISTRY)
ProcessCollector(registry=REGISTRY)
_SECONDS = Histogram(
    "speedtrade_http_request_seconds",
    "How long requests took, by name of the route.",
    ["route", "method", "answer"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
Gauge("speedtrade_sockets_open", "Sockets of this process.", registry=REGISTRY).set_function(
    sockets_open
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeasureMiddleware:
    """The outermost layer: what a client waits for, less the way to it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        observe(request, response.status_code, time.perf_counter() - began)
        return response


def observe(request: HttpRequest, status: int, seconds: float) -> None:
    """Count one answer. What has no route is one route, or addresses would become labels."""
    match = request.resolver_match
    route = match.view_name or match.route if match else "none"
    if match and match.namespaces[:1] == ["admin"]:
        route = "admin"  # three hundred pages that a handful of people see
    method = request.method if request.method in _METHODS else "other"
    _series(route, method or "other", f"{status // 100}xx").observe(seconds)


@lru_cache(maxsize=4096)
def _series(route: str, method: str, answer: str) -> Histogram:
    """Finding a series by its labels costs more than counting in it."""
    return _SECONDS.labels(route, method, answer)
