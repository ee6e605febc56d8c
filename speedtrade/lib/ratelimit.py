"""One limiter for every door, counted atomically in Redis.

While Redis is away each process counts alone against a share of the rate: stricter, never open.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from speedtrade.lib.errors import DomainError

logger = logging.getLogger(__name__)
PREFIX = "st:limit"


class RateLimited(DomainError):
    """Too many of this; `retry_after` seconds from now one more is allowed."""

    code, status = "rate_limited", 429


@lru_cache(maxsize=1)
def _shared() -> MovingWindowRateLimiter:
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    storage = RedisStorage(
        settings.REDIS_URL, key_prefix=PREFIX, socket_timeout=seconds, socket_connect_timeout=seconds
    )
    return MovingWindowRateLimiter(storage)


@lru_cache(maxsize=1)
def _local() -> MovingWindowRateLimiter:
    storage: Storage = MemoryStorage()
    return MovingWindowRateLimiter(storage)


@lru_cache(maxsize=64)
def _parse(rate: str, share: float) -> tuple[RateLimitItem, ...]:
    items = parse_many(rate)
    if share == 1:
        return tuple(items)
    return tuple(type(i)(max(1, math.floor(i.amount * share)), i.multiples) for i in items)


def rate_take(*, name: str, who: str, rate: str) -> None:
    """Count one use by `who`; raises RateLimited when one of the rates is used up.

    `who` is stored as a hash: the limiter keeps no address and no name.
    """
    key = hashlib.sha256(who.encode()).hexdigest()[:32]
    try:
        _hit(_shared(), _parse(rate, 1), name, key)
    except RedisError:
        logger.warning("limiter_without_redis", extra={"limit": name})
        _hit(_local(), _parse(rate, float(settings.RATE_FALLBACK_SHARE)), name, key)


def _hit(limiter: MovingWindowRateLimiter, items: tuple[RateLimitItem, ...], name: str, key: str) -> None:
    for item in items:
        if not limiter.hit(item, name, key):
            reset = limiter.get_window_stats(item, name, key).reset_time
            raise RateLimited(retry_after=max(1, math.ceil(reset - time.time())))


def rate_clear(*, name: str, who: str, rate: str) -> None:
    """Forget what was counted, after the right password say."""
    key = hashlib.sha256(who.encode()).hexdigest()[:32]
    for limiter, share in ((_shared(), 1.0), (_local(), float(settings.RATE_FALLBACK_SHARE))):
        for item in _parse(rate, share):
            try:
                limiter.clear(item, name, key)
            except RedisError:
                logger.warning("limiter_without_redis", extra={"limit": name})


def client_address(request: HttpRequest) -> str:
    """The peer's address, or the entry of X-Forwarded-For that our outermost proxy wrote.

    Each proxy appends the address that it saw, so with N trusted proxies the N-th entry from the
    right is true and everything left of it is the client's own invention.
    """
    peer = request.META.get("REMOTE_ADDR") or "unknown"
    hops: list[str] = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        return hops[-settings.TRUSTED_PROXIES]
    return str(peer)


class ApiThrottle(BaseThrottle):
    """Every API call of a user counts; strangers are counted by address."""

    _wait = 1.0

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        who = f"user:{user.pk}" if user.is_authenticated else f"address:{client_address(request._request)}"
        try:
            rate_take(name="api", who=who, rate=settings.RATE_API_PER_USER)
        except RateLimited as error:
            self._wait = float(error.retry_after or 1)
            return False
        return True

    def wait(self) -> float:
        return self._wait


def limit_orders(user_id: int) -> None:
    """Both doors call this before they place an order; raises RateLimited."""
    rate_take(name="orders", who=f"user:{user_id}", rate=settings.RATE_ORDERS_PER_USER)


def limited_by_address(name: str, rate_setting: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a page view: POSTs of one address beyond the rate raise RateLimited."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST":
                rate_take(name=name, who=client_address(request), rate=getattr(settings, rate_setting))
            return view(request, *args, **kwargs)

        return limited

    return decorate
