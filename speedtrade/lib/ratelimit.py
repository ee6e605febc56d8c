"""One limiter for every door, counted atomically in Redis.

While Redis is away each process counts alone against a share of the rate: stricter, never open.
"""

import hashlib
import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from speedtrade.lib.errors import DomainError
from speedtrade.lib.redis import redis_failed, redis_resting, redis_retry

logger = logging.getLogger(__name__)
PREFIX = "st:limit"
DAY = 24 * 60 * 60  # seconds
IPV6_NETWORK = 64  # bits; one household has 2**64 addresses, so they count as one

# The memory storage of `limits` drops the lock of a key while others wait for it, and so may count
# two at once as one; all counts of a process behind one lock are exact.
_local_lock = threading.Lock()


class RateLimited(DomainError):
    """Too many of this; `retry_after` seconds from now one more is allowed.

    `limit` is the name that was counted by: for our own notes, and no part of the answer.
    """

    code, status = "rate_limited", 429
    limit = ""


@lru_cache(maxsize=1)
def _shared() -> MovingWindowRateLimiter:
    seconds = settings.REDIS_TIMEOUT.total_seconds()
    storage = RedisStorage(
        settings.REDIS_URL,
        key_prefix=PREFIX,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=redis_retry(),  # type: ignore[arg-type]
    )
    return MovingWindowRateLimiter(storage)


@lru_cache(maxsize=1)
def _local() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


@lru_cache(maxsize=64)
def _parse(rate: str, share: Decimal = Decimal(1)) -> tuple[RateLimitItem, ...]:
    """The limits of a notation, each `share` times as high, but at least one."""
    return tuple(
        type(item)(max(1, math.floor(item.amount * share)), item.multiples)
        for item in parse_many(rate)
    )


def rate_burst(rate: str) -> int:
    """The most that a notation such as "300/minute;100/second" lets pass within one second."""
    return min(item.amount for item in _parse(rate))


def rate_per_day(rate: str) -> int:
    """The most that a notation lets pass within a day."""
    return min(item.amount * max(1, DAY // item.get_expiry()) for item in _parse(rate))


def _hash(who: str) -> str:
    """The limiter keeps no address and no name."""
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def rate_take(*, name: str, who: str, rate: str, times: int = 1, detail: str = "") -> None:
    """Count one use by `who`; raises RateLimited (with `detail`) when one of the rates is used up.

    The rate counts `times` over. What is refused is not counted, so a limit ends by itself even for
    who does not stop asking.
    """
    key = _hash(who)
    if not redis_resting():
        try:
            wait = _hit(_shared(), _parse(rate, Decimal(times)), name, key)
        except RedisError:
            _redis_failed(name)
        else:
            _refuse(name, wait, detail)
            return
    with _local_lock:
        wait = _hit(_local(), _parse(rate, settings.RATE_FALLBACK_SHARE * times), name, key)
    _refuse(name, wait, detail)


def _redis_failed(name: str) -> None:
    redis_failed()
    logger.warning("limiter_without_redis", extra={"limit": name})


def _refuse(name: str, wait: int, detail: str) -> None:
    if wait:
        error = RateLimited(detail, retry_after=wait)
        error.limit = name
        raise error


def _hit(
    limiter: MovingWindowRateLimiter, items: tuple[RateLimitItem, ...], name: str, key: str
) -> int:
    """0 where all rates had room, else the seconds until the first that had none has."""
    for item in items:
        if not limiter.hit(item, name, key):
            reset = limiter.get_window_stats(item, name, key).reset_time
            return max(1, math.ceil(reset - time.time()))
    return 0


def rate_clear(*, name: str, who: str, rate: str, times: int = 1) -> None:
    """Forget what was counted: the right password excuses the wrong ones before it."""
    key = _hash(who)
    with _local_lock:
        for item in _parse(rate, settings.RATE_FALLBACK_SHARE * times):
            _local().clear(item, name, key)
    if redis_resting():
        return
    try:
        for item in _parse(rate, Decimal(times)):
            _shared().clear(item, name, key)
    except RedisError:
        _redis_failed(name)


def peer_ip(peer: str, forwarded: str) -> str:
    """The peer's address, or the entry of X-Forwarded-For that our outermost proxy wrote; or "".

    Each proxy appends the address that it saw, so with N trusted proxies the N-th entry from the
    right is true and everything left of it is the client's own invention. Fewer entries than
    proxies mean that the request came past them: then the peer is all that is known.
    """
    hops = [hop.strip() for hop in forwarded.split(",")]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        return _exact(hops[-settings.TRUSTED_PROXIES]) or _exact(peer)
    return _exact(peer)


def client_ip(request: HttpRequest) -> str:
    """The exact address behind a request, "" where nobody knows it."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    return peer_ip(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))


def client_address(request: HttpRequest) -> str:
    """The address behind a request as it counts: of an IPv6 one it is the network."""
    return address_counted(client_ip(request))


def address_counted(text: str) -> str:
    """An exact address, or "", as it counts: of an IPv6 one it is the network."""
    if ":" in text:
        return str(ipaddress.ip_network((text, IPV6_NETWORK), strict=False))
    return text or "unknown"


def _exact(text: str) -> str:
    """An address in its one spelling, "" for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


class ApiThrottle(BaseThrottle):
    """Every API call of a user counts, of a key as well; strangers are counted by address."""

    _wait = 1.0

    def allow_request(self, request: Request, view: Any) -> bool:
        user = request.user
        who = (
            f"user:{user.pk}"
            if user.is_authenticated
            else f"address:{client_address(request._request)}"
        )
        try:
            if key := getattr(request.auth, "prefix", ""):
                rate_take(name="api_key", who=f"key:{key}", rate=settings.RATE_API_PER_KEY)
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


def limit_address(request: HttpRequest, name: str, rate: str) -> None:
    """Count one use by the address behind `request`; raises RateLimited. Both doors share it."""
    rate_take(name=name, who=f"address:{client_address(request)}", rate=rate)


def limited_by_address(
    name: str, rate_setting: str
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a page view: POSTs of one address beyond the rate raise RateLimited."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method == "POST":
                limit_address(request, name, getattr(settings, rate_setting))
            return view(request, *args, **kwargs)

        return limited

    return decorate
