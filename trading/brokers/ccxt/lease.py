"""One call at a time per key, over all processes; and the nonce, and the pace, that go with it.

An exchange wants each call of a key to carry a higher nonce than the one before, and counts calls
per key. So every private call is made under a PostgreSQL advisory lock of the key, which dies with
its session; what must be remembered between calls lies in Redis, and losing it costs a refused
call at worst. The lock is not tied to a transaction and needs a direct connection, as `Lease` does.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.db import connections
from redis.exceptions import RedisError

from marketdata import quote_store
from speedtrade.lib.redis import redis_client
from trading.brokers.ccxt.venues import Venue

MEMORY = timedelta(days=30)
_SPACE = quote_store.TICKS_CHANNEL.removeprefix("st:ticks")


class LeaseBusy(Exception):
    """Others hold the key for longer than we wait, or the database is away: nothing was sent."""


class TooFast(Exception):
    """The next call would be one too many for the venue; nothing was sent."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the next call may go in {seconds:.1f} s")


@dataclass
class Turn:
    """What the holder of a key knows: the last nonce, and how full the venue's counter is."""

    nonce: int = 0
    level: float = 0.0
    at: float = 0.0


def key_digest(exchange: str, api_key: str) -> str:
    """The name of a key that may be written down."""
    return hashlib.sha256(f"speedtrade:{exchange}:{api_key}".encode()).hexdigest()[:16]


@contextmanager
def key_turn(digest: str) -> Iterator[Turn]:
    """Hold the key for one call; raises LeaseBusy. What is in `Turn` afterwards is remembered."""
    connection = _connection()
    try:
        try:
            number = int.from_bytes(bytes.fromhex(digest), "big", signed=True)
            connection.execute("SELECT pg_advisory_lock(%s)", [number])
        except psycopg.Error as error:
            raise LeaseBusy("the key is in use elsewhere") from error
        turn = _recall(digest)
        try:
            yield turn
        finally:
            _remember(digest, turn)  # a call that failed has used its nonce up as well
    finally:
        connection.close()  # and the lock is free


def pace(venue: Venue, turn: Turn, weight: float) -> None:
    """Count a call; raises TooFast where the venue would refuse it."""
    burst = venue.burst * settings.CCXT_PACE
    rate = venue.per_second * settings.CCXT_PACE
    now = time.time()
    level = max(0.0, turn.level - max(0.0, now - turn.at) * rate)
    if weight and level + weight > burst:
        raise TooFast((level + weight - burst) / rate)
    turn.level, turn.at = level + weight, now


def room(venue: Venue, turn: Turn) -> tuple[int, datetime]:
    """How many reads are left at once, and when the venue's counter will be empty."""
    burst = venue.burst * settings.CCXT_PACE
    empty = turn.at + turn.level / (venue.per_second * settings.CCXT_PACE)
    return int(burst - turn.level), datetime.fromtimestamp(empty, UTC)


def _connection() -> psycopg.Connection[tuple[object, ...]]:
    """A session of its own, for as long as a call lasts; raises LeaseBusy."""
    parameters = connections["default"].get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    chosen = {name: parameters[name] for name in names if name in parameters}
    wait = settings.CCXT_LEASE_WAIT // timedelta(milliseconds=1)
    try:
        return psycopg.connect(
            **chosen,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            options=f"-c lock_timeout={wait}",
        )
    except psycopg.Error as error:
        raise LeaseBusy("the database is away") from error


def _recall(digest: str) -> Turn:
    try:
        nonce, level, at = redis_client().hmget(_place(digest), ["nonce", "level", "at"])
    except RedisError:
        return Turn()
    return Turn(int(nonce or 0), float(level or 0), float(at or 0))


def _remember(digest: str, turn: Turn) -> None:
    known: dict[str | bytes, bytes | float | int | str] = {
        "nonce": turn.nonce,
        "level": repr(turn.level),
        "at": repr(turn.at),
    }
    try:
        pipe = redis_client().pipeline(transaction=False)
        pipe.hset(_place(digest), mapping=known)
        pipe.expire(_place(digest), MEMORY)
        pipe.execute()
    except RedisError:
        return  # the clock makes the next nonce, and the venue tells us when we are too fast


def _place(digest: str) -> str:
    return f"st:key{_SPACE}:{digest}"
