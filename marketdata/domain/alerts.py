"""Price alerts: when one fires, when it is ready again, and which prices concern none at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from speedtrade.lib.money import ceil_to, floor_to, times

#: A level that is suggested stands so far from the last price.
SUGGESTED_ABOVE: Final = Decimal("1.05")
SUGGESTED_BELOW: Final = Decimal("0.95")
#: And is round: so many digits.
SUGGESTED_DIGITS: Final = 3


class AlertDirection(StrEnum):
    """Which way the price has to go."""

    ABOVE = "above"
    BELOW = "below"


class AlertRepeat(StrEnum):
    """Once, or each time the price crosses."""

    ONCE = "once"
    EVERY = "every"


class AlertState(StrEnum):
    """Waiting for its price; fired; or switched off."""

    WAITING = "waiting"
    FIRED = "fired"
    OFF = "off"


def is_beyond(direction: str, level: Decimal, price: Decimal) -> bool:
    """Whether a waiting alert fires at this price. At the level itself nothing has been crossed."""
    return price > level if direction == AlertDirection.ABOVE else price < level


def is_back(direction: str, level: Decimal, price: Decimal) -> bool:
    """Whether the price is on the side again from which the alert can be crossed."""
    return price < level if direction == AlertDirection.ABOVE else price > level


def level_suggested(direction: str, last: Decimal, tick: Decimal) -> Decimal:
    """A round level some way off, for a form to begin with."""
    step = max(tick, Decimal(1).scaleb(last.adjusted() - SUGGESTED_DIGITS + 1))
    if direction == AlertDirection.ABOVE:
        return ceil_to(ceil_to(times(last, SUGGESTED_ABOVE), step), tick)
    level = floor_to(floor_to(times(last, SUGGESTED_BELOW), step), tick)
    return level if level > 0 else tick


@dataclass(frozen=True, slots=True)
class Watch:
    """What the feed knows of one alert. One that has fired (`armed` is false) waits for the way
    back; one that fires every time stays quiet until `quiet_until`.
    """

    alert_id: int
    symbol: str
    direction: str
    level: Decimal
    repeats: bool
    armed: bool = True
    quiet_until: datetime | None = None

    def acts(self, price: Decimal, now: datetime) -> bool:
        """Whether this price fires it, or makes it ready again."""
        if not self.armed:
            return is_back(self.direction, self.level, price)
        quiet = self.quiet_until is not None and now < self.quiet_until
        return not quiet and is_beyond(self.direction, self.level, price)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The alerts of one symbol; between `low` and `high` a price concerns none of them."""

    watches: tuple[Watch, ...]
    low: Decimal | None
    high: Decimal | None

    def concerns(self, price: Decimal) -> bool:
        """Two comparisons for almost every quote."""
        return (self.high is not None and price > self.high) or (
            self.low is not None and price < self.low
        )


def shelf_of(watches: Iterable[Watch]) -> Shelf:
    """The shelf of these alerts of one symbol."""
    kept = tuple(watches)
    # A rise is waited for by "above" that waits and by "below" that has fired.
    rises = [w.level for w in kept if w.armed == (w.direction == AlertDirection.ABOVE)]
    falls = [w.level for w in kept if w.armed != (w.direction == AlertDirection.ABOVE)]
    return Shelf(kept, low=max(falls, default=None), high=min(rises, default=None))
