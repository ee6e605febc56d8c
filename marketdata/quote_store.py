"""The last quote of each symbol, in Redis: written by the feed, read by everybody else.

- hash `st:quotes`: symbol -> JSON of its quote with depth;
- channel `st:ticks`: one JSON array of quotes without depth per tick window;
- sorted set `st:watched`: symbol -> unix seconds of the last sign of interest;
- sorted set `st:moves`: symbol -> its change in per cent, so that a few movers need no look at all;
- key `st:heartbeat:feed`: unix seconds of the feed's last window;
- key `st:feeds:ill`: JSON, label of each vendor that is not well -> why; gone when nobody says so.

Redis is no truth, so a reader that can live without prices gets none while it is away, and a log
line says so. Writers get the error: they have somebody to tell or a way to try again.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from redis.exceptions import RedisError

from marketdata.domain.quotes import (
    LastPrice,
    Quote,
    last_price_from_wire,
    quote_from_wire,
    quote_to_wire,
)
from speedtrade.lib.redis import redis_client, redis_failed, redis_resting

logger = logging.getLogger(__name__)

QUOTES_KEY: Final = "st:quotes"
MOVES_KEY: Final = "st:moves"
WATCHED_KEY: Final = "st:watched"
HEARTBEAT_KEY: Final = "st:heartbeat:feed"
ILL_KEY: Final = "st:feeds:ill"
ILL_KEPT: Final = 15  # seconds; the feed says it anew long before
#: The keys of a database number are its own, its channels are not: the name keeps them apart.
_NUMBER: Final = urlsplit(settings.REDIS_URL).path.lstrip("/")
TICKS_CHANNEL: Final = f"st:ticks:{_NUMBER}" if _NUMBER.isdecimal() and int(_NUMBER) else "st:ticks"

_DEPTH: Final = ("bids", "asks")
T = TypeVar("T")


def quotes_put(quotes: Iterable[Quote], *, beat: datetime | None = None) -> None:
    """Store and publish a batch, and set the feed's heartbeat to `beat`: one round trip.

    Raises RedisError; then some or all of it may have arrived, which the next batch mends.
    """
    full = [quote_to_wire(quote) for quote in quotes]
    pipeline = redis_client().pipeline(transaction=False)
    if full:
        pipeline.hset(QUOTES_KEY, mapping={wire["symbol"]: _encode(wire) for wire in full})
        pipeline.zadd(MOVES_KEY, {wire["symbol"]: float(wire["change_pct"]) for wire in full})
        pipeline.publish(TICKS_CHANNEL, _encode([without_depth(wire) for wire in full]))
    if beat is not None:
        pipeline.set(HEARTBEAT_KEY, f"{beat.timestamp():.3f}")
    pipeline.execute()


def quote_get(symbol: str) -> Quote | None:
    """The last quote with depth, or None where there is none (or Redis is away)."""
    return quotes_get([symbol]).get(symbol)


def quotes_get(symbols: Sequence[str]) -> dict[str, Quote]:
    """The last quotes, with depth, of those symbols that have one; {} while Redis is away."""
    return _parse_all(_texts("quotes_get", symbols))


def last_prices(symbols: Sequence[str]) -> dict[str, LastPrice]:
    """The last prices of those symbols that have a quote; {} while Redis is away."""
    found = {}
    for symbol, text in zip(symbols, _texts("last_prices", symbols), strict=False):
        if text and (price := _parsed(text, last_price_from_wire)) is not None:
            found[symbol] = price
    return found


def quotes_all() -> dict[str, Quote]:
    """Every last quote, with depth; {} while Redis is away."""
    return _parse_all(_read("quotes_all", [], lambda: redis_client().hvals(QUOTES_KEY)))


def watched_touch(symbols: Iterable[str], now: datetime) -> None:
    """Say that somebody looks at these symbols now; harmless and silent while Redis is away."""
    marks: dict[str | bytes, Any] = dict.fromkeys(symbols, now.timestamp())
    if marks:
        _read("watched_touch", 0, lambda: redis_client().zadd(WATCHED_KEY, marks))


def watched_symbols(now: datetime) -> set[str]:
    """The symbols in which somebody showed interest within settings.WATCHED_FOR; raises RedisError.

    Forgets the others on the way.
    """
    oldest = (now - settings.WATCHED_FOR).timestamp()
    pipeline = redis_client().pipeline(transaction=False)
    pipeline.zremrangebyscore(WATCHED_KEY, "-inf", f"({oldest}")
    pipeline.zrange(WATCHED_KEY, 0, -1)
    return set(pipeline.execute()[1])


def quotes_forget(symbols: Sequence[str]) -> None:
    """Take these quotes out: they are of a source that prices the symbols no more."""
    if symbols:
        _read("quotes_forget", 0, lambda: redis_client().hdel(QUOTES_KEY, *symbols))
        _read("quotes_forget", 0, lambda: redis_client().zrem(MOVES_KEY, *symbols))


def moves(start: int, count: int, *, up: bool) -> list[str]:
    """Symbols by their change, the largest first if `up`, else the smallest; [] without Redis."""
    end = start + count - 1
    found: list[str] = _read(
        "moves", [], lambda: redis_client().zrange(MOVES_KEY, start, end, desc=up)
    )
    return found


def figures(name: str) -> dict[str, Decimal]:
    """Symbol -> one number of its last quote; far cheaper than all quotes. {} without Redis."""
    rows: dict[str, str] = _read("figures", {}, lambda: redis_client().hgetall(QUOTES_KEY))
    found = {}
    for symbol, text in rows.items():
        try:
            found[symbol] = Decimal(json.loads(text)[name])
        except (ValueError, KeyError, TypeError, InvalidOperation):
            logger.warning("quote_unreadable", extra={"start": text[:80]})
    return found


def newest_by_source() -> dict[str, datetime]:
    """Source -> when its newest quote was made; raises RedisError."""
    newest: dict[str, str] = {}
    for text in redis_client().hvals(QUOTES_KEY):
        wire = json.loads(text)
        # Times on the wire are of one length and zone, so their texts compare as they do.
        newest[wire["source"]] = max(newest.get(wire["source"], ""), wire["as_of"])
    return {source: datetime.fromisoformat(text) for source, text in newest.items()}


def feeds_ill_put(ill: dict[str, str]) -> None:
    """Say which vendors are not well and why; raises RedisError."""
    if ill:
        redis_client().set(ILL_KEY, _encode(ill), ex=ILL_KEPT)
    else:
        redis_client().delete(ILL_KEY)


def feed_heartbeat() -> datetime | None:
    """When the feed finished its last window; None when it never did (or Redis is away)."""
    text = _read("feed_heartbeat", None, lambda: redis_client().get(HEARTBEAT_KEY))
    try:
        return datetime.fromtimestamp(float(text), UTC) if text else None
    except ValueError:
        return None


def without_depth(wire: dict[str, Any]) -> dict[str, Any]:
    """The wire form of a quote less its levels."""
    return {key: value for key, value in wire.items() if key not in _DEPTH}


def quote_parse(text: str) -> Quote | None:
    """The quote in a value of the hash; None, with a log line, for what is none."""
    return _parsed(text, quote_from_wire)


def _parsed(text: str, parse: Callable[[object], T]) -> T | None:
    try:
        return parse(json.loads(text))
    except ValueError:  # JSON errors are ValueErrors too
        logger.warning("quote_unreadable", extra={"start": text[:80]})
        return None


def _texts(what: str, symbols: Sequence[str]) -> list[str | None]:
    """The values of these symbols in the hash, in their order; [] while Redis is away."""
    if not symbols:
        return []
    return _read(what, [], lambda: redis_client().hmget(QUOTES_KEY, list(symbols)))


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _parse_all(rows: Iterable[str | None]) -> dict[str, Quote]:
    quotes = (quote_parse(text) for text in rows if text)
    return {quote.symbol: quote for quote in quotes if quote is not None}


def _read(what: str, otherwise: T, ask: Callable[[], Any]) -> T:
    if redis_resting():
        return otherwise
    try:
        answer: T = ask()
    except RedisError:
        redis_failed()
        logger.warning("quote_store_away", extra={"call": what})
        return otherwise
    return answer
