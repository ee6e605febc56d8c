"""Feed the paper venue: ticks and wake-ups from Redis, reminders from its own table.

Redis only hurries. With it away the venue still polls its table and matches against nothing newer
than it may: a stale quote fills no order.
"""

import logging
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from django.utils import timezone
from redis.exceptions import RedisError

from marketdata import quote_store
from marketdata.hours import market_hours
from speedtrade.lib.redis import redis_client
from trading.brokers.paper.adapter import VENUE_CHANNEL
from trading.brokers.paper.venue import BrokerReport, PaperVenue

logger = logging.getLogger(__name__)
WAIT = 0.1  # seconds that one step waits for news
PERIODS = {
    "poll": 1.0,
    "watch": 2.0,
    "lease": 2.0,
    "streams": 3.0,
}  # seconds between the same reminder
DRAIN = 1000  # messages taken in one step
#: Seconds, too: where ticks come faster than they are read, the orders taken in must not wait for
#: the last of them.
DRAIN_FOR = 0.1


class VenueRunner:
    """One venue with its subscription; `step` waits a little for news and yields reports."""

    def __init__(self) -> None:
        self.venue = PaperVenue(market_hours())
        self._subscription: Any = None
        self._due: dict[str, float] = {}

    def start(self, now: datetime) -> Iterator[BrokerReport]:
        """Read the book of the last run and report all of it once."""
        yield from self.venue.load(now)

    def due(self, what: str) -> bool:
        """Whether it is time for this reminder; asking starts the next period."""
        clock = time.monotonic()
        if clock < self._due.get(what, 0.0):
            return False
        self._due[what] = clock + PERIODS[what]
        return True

    def step(self) -> Iterator[BrokerReport]:
        """Handle the news of the next moment, and the reminders that are due."""
        wakes, moved = self._news()
        for order_id in wakes:
            yield from self.venue.look(order_id, timezone.now())
        if moved:
            quotes = quote_store.quotes_get(moved)
            yield from self.venue.tick(moved, quotes, timezone.now)
        if self.due("poll"):
            yield from self.venue.poll(timezone.now)
        if self.due("watch"):
            quote_store.watched_touch(self.venue.symbols(), timezone.now())

    def _news(self) -> tuple[list[int], list[str]]:
        """(orders to look at, symbols whose new prices reach a resting order)."""
        wakes: list[int] = []
        moved: dict[str, None] = {}
        try:
            if self._subscription is None:
                self._subscription = redis_client().pubsub(ignore_subscribe_messages=True)
                self._subscription.subscribe(VENUE_CHANNEL, quote_store.TICKS_CHANNEL)
            wait, until = WAIT, time.monotonic() + WAIT + DRAIN_FOR
            for _ in range(DRAIN):
                message = self._subscription.get_message(timeout=wait)
                if message is None:
                    break
                wait = 0.0
                if message["channel"] == VENUE_CHANNEL:
                    wakes.extend(_woken(message["data"]))
                else:
                    moved.update(dict.fromkeys(self._reached(message["data"])))
                if time.monotonic() >= until:
                    break
        except (RedisError, OSError) as error:
            logger.warning("venue_without_redis", extra={"error": str(error)})
            self._subscription = None
            time.sleep(WAIT)
        return wakes, list(moved)

    def _reached(self, batch: str) -> Iterator[str]:
        """Symbols of a batch of ticks whose bid or ask some resting order accepts.

        Most ticks are of symbols where nobody waits: their prices are not even read.
        """
        waiting = set(self.venue.symbols())
        for wire in _wires(batch) if waiting else ():
            try:
                symbol = wire["symbol"]
                reached = symbol in waiting and self.venue.reached(
                    symbol, Decimal(wire["bid"]), Decimal(wire["ask"])
                )
            except (KeyError, TypeError, ValueError, ArithmeticError):
                logger.warning("venue_bad_tick")
                continue
            if reached:
                yield symbol


def _wires(batch: str) -> list[Any]:
    """The ticks of a message; none, with a log line, where it is no list in JSON."""
    try:
        wires = orjson.loads(batch)
    except ValueError:
        wires = None
    if not isinstance(wires, list):
        logger.warning("venue_bad_tick")
        return []
    return wires


def _woken(text: str) -> list[int]:
    """The order that a wake-up names; none where it names none: the poll finds every order."""
    if not text.isdecimal():
        logger.warning("venue_bad_wake")
        return []
    return [int(text)]
