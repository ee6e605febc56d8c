"""Months and years as statements and tax forms count them: in New York. Plain Python."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from marketdata.domain.calendar import NEW_YORK

_WRITTEN = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of New York, from the first midnight to the first one of the next month."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def start(self) -> datetime:
        return day_start(self.first)

    @property
    def end(self) -> datetime:
        return self.next.start

    @property
    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)


def month_of(moment: datetime) -> Month:
    """The month in which a moment lies."""
    day = moment.astimezone(NEW_YORK).date()
    return Month(day.year, day.month)


def month_parse(text: str) -> Month | None:
    """The month of '2026-11'; None for what is no month."""
    found = _WRITTEN.fullmatch(text)
    if not found or not 1 <= int(found[2]) <= 12 or not 1 <= int(found[1]) < 9999:
        return None
    return Month(int(found[1]), int(found[2]))


def months_between(first: Month, last: Month) -> list[Month]:
    """Every month from `first` to `last`, both included, oldest first."""
    months = []
    while first <= last:
        months.append(first)
        first = first.next
    return months


def day_start(day: date) -> datetime:
    """Midnight in New York at which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)


def day_end(day: date) -> datetime:
    """Midnight at which it ends: the first moment that is not in it."""
    return day_start(day + timedelta(days=1))


def year_bounds(year: int) -> tuple[datetime, datetime]:
    """The first moment of a year, and the first of the next."""
    return day_start(date(year, 1, 1)), day_start(date(year + 1, 1, 1))
