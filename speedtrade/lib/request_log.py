"""The newest API requests of each user, for the page that shows them to that user alone.

One capped list per user in Redis, written after the answer on the background thread: no request
waits for it, and losing it loses nothing. Paths only, never a query, a body or a header.
"""

import json
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from speedtrade.lib.later import later, redis_tell
from speedtrade.lib.redis import redis_client, redis_resting

PREFIX = "st:apilog:"
API = "/api/v1/"
TOKEN = "token"  # noqa: S105 - a word for whoever came with one
PATH_MAX = 200
_CALLER = "_api_caller"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when it was answered, what was asked, how that went, and with what key."""

    at: str  # RFC 3339
    method: str
    path: str
    status: int
    code: str  # of the problem; "" where there was none
    key: str  # the prefix of an API key, or "token"
    ms: int
    request_id: str

    @property
    def when(self) -> datetime:
        return datetime.fromisoformat(self.at)

    @property
    def slug(self) -> str:
        """The page of its problem."""
        return self.code.replace("_", "-")


def caller_note(request: HttpRequest, user_id: int, key: str = TOKEN) -> None:
    """Say whose request this is; whoever checked a key or a token calls it."""
    setattr(request, _CALLER, (user_id, key))


class RequestLogMiddleware:
    """Writes down each API request whose caller is known, once it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not settings.API_LOG or not request.path_info.startswith(API):
            return self.get_response(request)
        began = time.perf_counter()
        response = self.get_response(request)
        caller: tuple[int, str] | None = getattr(request, _CALLER, None)
        if caller is not None:
            user_id, key = caller
            call = Call(
                at=timezone.now().isoformat(timespec="milliseconds"),
                method=str(request.method),
                path=request.path_info[:PATH_MAX],
                status=response.status_code,
                code=_code(response),
                key=key,
                ms=round((time.perf_counter() - began) * 1000),
                request_id=str(request.META.get("HTTP_X_REQUEST_ID", "")),
            )
            later(calls_add, user_id, call)
        return response


def _code(response: Any) -> str:
    """The code of the problem that the API answered with, or nothing."""
    body = getattr(response, "data", None)
    if response.status_code < 400 or not isinstance(body, dict):
        return ""
    return str(body.get("code", ""))


def calls_add(user_id: int, call: Call) -> None:
    """Add one to the list of its user, which keeps the newest; nothing while Redis rests."""
    if redis_resting():
        return
    name = f"{PREFIX}{user_id}"
    redis_tell("LPUSH", name, json.dumps(astuple(call)))
    redis_tell("LTRIM", name, "0", str(settings.API_LOG_SHOWN - 1))
    redis_tell("EXPIRE", name, str(int(settings.API_LOG_KEPT.total_seconds())))


def calls_of(user_id: int) -> list[Call]:
    """The newest calls of a user, newest first; raises RedisError while Redis is away."""
    lines = redis_client().lrange(f"{PREFIX}{user_id}", 0, settings.API_LOG_SHOWN - 1)
    return [Call(*json.loads(line)) for line in lines]
