"""When markets trade: the rules of the New York Stock Exchange, and markets that never close.

The rules hold from 2012 on. Days are exchange days, times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
OPENS: Final = time(9, 30)
CLOSES: Final = time(16, 0)
CLOSES_EARLY: Final = time(13, 0)
# When the exchange's members trade before its session and after it; our market does not.
PRE_OPENS: Final = time(4, 0)
AFTER_ENDS: Final = time(20, 0)
AFTER_ENDS_EARLY: Final = time(17, 0)
JUNETEENTH_SINCE: Final = 2022
# Closed for a reason no rule foresees: hurricane Sandy, two days of mourning.
AD_HOC_CLOSURES: Final = frozenset(
    {date(2012, 10, 29), date(2012, 10, 30), date(2018, 12, 5), date(2025, 1, 9)}
)

Mode = Literal["always", "nyse"]
Phase = Literal["open", "pre", "after", "closed"]

_DAY: Final = timedelta(days=1)
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
# How many sessions and years are kept in memory; both are tiny.
_SESSIONS_KEPT: Final = 4096
_YEARS_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day: its date on the exchange, and when it opens and closes (UTC).

    The session holds `open` and every moment before `close`.
    """

    day: date
    open: datetime
    close: datetime


@lru_cache(maxsize=_YEARS_KEPT)
def holidays(year: int) -> frozenset[date]:
    """Return the weekdays of `year` on which the exchange stays closed."""
    days = {
        _nth_weekday(year, 1, _MONDAY, 3),  # Martin Luther King
        _nth_weekday(year, 2, _MONDAY, 3),  # Washington
        _easter(year) - timedelta(days=2),  # Good Friday
        _last_monday(year, 5),  # Memorial Day
        _observed(date(year, 7, 4)),
        _nth_weekday(year, 9, _MONDAY, 1),  # Labor Day
        _thanksgiving(year),
        _observed(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    # On a Saturday it is not moved to the Friday: that is the last day of the books' year.
    if new_year.weekday() != _SATURDAY:
        days.add(_observed(new_year))
    if year >= JUNETEENTH_SINCE:
        days.add(_observed(date(year, 6, 19)))
    days.update(day for day in AD_HOC_CLOSURES if day.year == year)
    return frozenset(days)


@lru_cache(maxsize=_YEARS_KEPT)
def early_closes(year: int) -> frozenset[date]:
    """Return the sessions of `year` that end at 13:00 New York time."""
    days = {_thanksgiving(year) + _DAY}
    # The eve of a holiday; where the eve is a Friday it is the holiday itself, moved.
    eves = (date(year, 7, 3), date(year, 12, 24))
    days.update(eve for eve in eves if eve.weekday() <= _THURSDAY)
    return frozenset(days)


@lru_cache(maxsize=_SESSIONS_KEPT)
def session_on(day: date) -> Session | None:
    """Return the exchange's session of `day`, or None on a weekend or holiday."""
    if day.weekday() >= _SATURDAY or day in holidays(day.year):
        return None
    closes = CLOSES_EARLY if day in early_closes(day.year) else CLOSES
    return Session(
        day,
        datetime.combine(day, OPENS, NEW_YORK).astimezone(UTC),
        datetime.combine(day, closes, NEW_YORK).astimezone(UTC),
    )


def sessions_between(start_day: date, end_day: date) -> list[Session]:
    """Return the sessions from `start_day` to `end_day`, both included, oldest first."""
    days = (start_day + timedelta(days=n) for n in range((end_day - start_day).days + 1))
    return [session for day in days if (session := session_on(day)) is not None]


def session_at(now: datetime) -> Session | None:
    """Return the session that is open at `now`, or None. `now` must be aware."""
    session = session_on(_aware(now).astimezone(NEW_YORK).date())
    return session if session is not None and session.open <= now < session.close else None


def next_session(now: datetime) -> Session:
    """Return the first session that opens after `now`."""
    day = _aware(now).astimezone(NEW_YORK).date()
    while (session := session_on(day)) is None or session.open <= now:
        day += _DAY
    return session


def previous_session(now: datetime) -> Session:
    """Return the last session that had closed by `now`."""
    day = _aware(now).astimezone(NEW_YORK).date()
    while (session := session_on(day)) is None or session.close > now:
        day -= _DAY
    return session


def phase_at(now: datetime) -> Phase:
    """Say what the exchange's day is at `now`: open, before its open, after its close, or over."""
    local = _aware(now).astimezone(NEW_YORK)
    session = session_on(local.date())
    if session is None:
        return "closed"
    if session.open <= now < session.close:
        return "open"
    if now < session.open:
        return "pre" if local.time() >= PRE_OPENS else "closed"
    early = session.day in early_closes(session.day.year)
    return "after" if local.time() < (AFTER_ENDS_EARLY if early else AFTER_ENDS) else "closed"


class MarketHours:
    """Who trades when. `always`: everything, each UTC day; `nyse`: stocks by the exchange's rules.

    Coins trade always, in both modes. Every `now` must be an aware datetime.
    """

    def __init__(self, mode: Mode) -> None:
        if mode not in ("always", "nyse"):
            raise ValueError(f"market hours must be always or nyse, not {mode!r}")
        self.mode: Mode = mode

    def never_closes(self, asset_type: str) -> bool:
        """Say whether the market of `asset_type` trades around the clock."""
        return self.mode == "always" or asset_type == "crypto"

    def session_for(self, asset_type: str, now: datetime) -> Session:
        """Return the session open at `now`, or else the most recent one."""
        if self.never_closes(asset_type):
            return _utc_day(_aware(now).astimezone(UTC).date())
        return session_at(now) or previous_session(now)

    def session_on(self, asset_type: str, day: date) -> Session | None:
        """Return the session of `day`, or None when the market stays closed that day."""
        return _utc_day(day) if self.never_closes(asset_type) else session_on(day)

    def session_before(self, asset_type: str, session: Session) -> Session:
        """Return the session before `session`."""
        if self.never_closes(asset_type):
            return _utc_day(session.day - _DAY)
        return previous_session(session.open)

    def is_open(self, asset_type: str, now: datetime) -> bool:
        """Say whether `asset_type` trades at `now`."""
        return self.never_closes(asset_type) or session_at(now) is not None

    def phase(self, asset_type: str, now: datetime) -> Phase:
        """Say what the day of `asset_type` is at `now`."""
        return "open" if self.never_closes(asset_type) else phase_at(now)

    def next_open(self, asset_type: str, now: datetime) -> datetime:
        """Return when the next session opens, strictly after `now`."""
        if self.never_closes(asset_type):
            return self.session_for(asset_type, now).close
        return next_session(now).open

    def next_close(self, asset_type: str, now: datetime) -> datetime:
        """Return the close of the session open at `now`, or else of the next one."""
        if self.never_closes(asset_type):
            return self.session_for(asset_type, now).close
        return (session_at(now) or next_session(now)).close

    def sessions(self, asset_type: str, start_day: date, end_day: date) -> list[Session]:
        """Return the sessions from `start_day` to `end_day`, both included, oldest first."""
        if not self.never_closes(asset_type):
            return sessions_between(start_day, end_day)
        days = (end_day - start_day).days + 1
        return [_utc_day(start_day + timedelta(days=n)) for n in range(days)]


@lru_cache(maxsize=_SESSIONS_KEPT)
def _utc_day(day: date) -> Session:
    opened = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Session(day, opened, opened + _DAY)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment


def _observed(day: date) -> date:
    """Move a holiday off the weekend: Saturday to Friday, Sunday to Monday."""
    if day.weekday() == _SATURDAY:
        return day - _DAY
    return day + _DAY if day.weekday() == _SUNDAY else day


def _nth_weekday(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _last_monday(year: int, month: int) -> date:
    last = date(year, month + 1, 1) - _DAY
    return last - timedelta(days=last.weekday())


def _thanksgiving(year: int) -> date:
    return _nth_weekday(year, 11, _THURSDAY, 4)


def _easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (the anonymous algorithm of 1876)."""
    century, in_century = divmod(year, 100)
    golden = year % 19
    leap_centuries, rest = divmod(century, 4)
    moon_fix = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - moon_fix + 15) % 30
    leaps, odd_years = divmod(in_century, 4)
    to_sunday = (32 + 2 * rest + 2 * leaps - epact - odd_years) % 7
    late = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day = divmod(epact + to_sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)
