"""The daily closes: a random walk per symbol that the market and the sector pull along.

The level of a symbol is 1 on the anchor day and is walked from there a year at a time, forwards
and backwards. A level far from its trend is pulled back a little each day, so that prices stay
plausible for decades.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import date, timedelta
from math import sqrt
from typing import Final

from marketdata.domain.calendar import MarketHours
from marketdata.feeds.simulated.noise import factor_year, generator, normal
from marketdata.feeds.simulated.profiles import Profile

FIRST_DAY: Final = date(2016, 1, 1)
LAST_DAY: Final = date(2060, 12, 31)
CALENDAR_DAYS_A_YEAR: Final = 365
SESSIONS_A_YEAR: Final = 252
# Share of the distance to the trend that a day takes back: half of it in about two years, and
# faster for what swings more, in units of the day's variance; it never takes more than MAX_PULL.
PULL: Final = 0.0012
PULL_PER_VARIANCE: Final = 2.0
MAX_PULL: Final = 0.1
# Growth of the trend per year, as a share of the anchor price.
TREND: Final = 0.05
# How often a day brings news, and how big that is in units of the day's sigma.
JUMP_CHANCE: Final = 0.008
JUMP_SIGMAS: Final = (2.5, 6.0)
MAX_DAILY_MOVE: Final = 0.35
# No price falls below this many ticks, so that ten levels of bids stay above zero.
MIN_TICKS: Final = 100


@dataclass(frozen=True, slots=True)
class _Year:
    """Level at the close of each calendar day, the day's own move, and whether it jumped."""

    levels: array[float]
    jumps: bytes


class DailyWalk:
    """Closes of every symbol on every day from FIRST_DAY to LAST_DAY.

    Years are computed when first asked for and kept: 3 kB for a symbol and year, so at most the
    number of symbols times 45 of them. Two threads that compute one year get the same result.
    """

    def __init__(self, seed: str, hours: MarketHours) -> None:
        self._seed = seed
        self._hours = hours
        self._years: dict[tuple[str, int], _Year] = {}

    def close_ticks(self, profile: Profile, day: date) -> int:
        """Return the close of `day` (on a closed day: of the session before) in price ticks.

        Raises ValueError outside FIRST_DAY to LAST_DAY.
        """
        level = self._year(profile, day).levels[_index(day)]
        return max(MIN_TICKS, round(level * float(profile.anchor_price / profile.price_tick)))

    def jumped(self, profile: Profile, day: date) -> bool:
        """Say whether the day's move came with a jump."""
        return bool(self._year(profile, day).jumps[_index(day)])

    def sigma(self, profile: Profile) -> float:
        """Return the standard deviation of a day's move, as a fraction of the price."""
        continuous = self._hours.never_closes(profile.asset_type)
        days = CALENDAR_DAYS_A_YEAR if continuous else SESSIONS_A_YEAR
        return profile.annual_volatility / sqrt(days)

    def _strength(self, profile: Profile) -> float:
        sigma = self.sigma(profile)
        return max(PULL, PULL_PER_VARIANCE * sigma * sigma)

    def _year(self, profile: Profile, day: date) -> _Year:
        if not FIRST_DAY <= day <= LAST_DAY:
            raise ValueError(f"the simulated market knows {FIRST_DAY} to {LAST_DAY}, not {day}")
        return self._walked(profile, day.year)

    def _walked(self, profile: Profile, year: int) -> _Year:
        known = self._years.get((profile.symbol, year))
        if known is None:
            forwards = year > profile.anchor_day.year
            known = self._forwards(profile, year) if forwards else self._backwards(profile, year)
            self._years[(profile.symbol, year)] = known
        return known

    def _forwards(self, profile: Profile, year: int) -> _Year:
        moves, jumps = self._moves(profile, year)
        level = 1.0
        if year > profile.anchor_day.year + 1:
            level = self._walked(profile, year - 1).levels[-1]
        levels = array("d")
        trend, strength = _trend(profile, year), self._strength(profile)
        for move in moves:
            if move:
                level *= (1.0 + move) * (1.0 - _pull(level, trend, strength))
            levels.append(level)
        return _Year(levels, jumps)

    def _backwards(self, profile: Profile, year: int) -> _Year:
        moves, jumps = self._moves(profile, year)
        strength = self._strength(profile)
        level = 1.0
        if year < profile.anchor_day.year:
            following = self._walked(profile, year + 1).levels[0]
            first_move = self._moves(profile, year + 1)[0][0]
            level = _step_back(following, first_move, _trend(profile, year + 1), strength)
        levels = array("d", [level])
        trend = _trend(profile, year)
        # The move of a day leads from the day before to it; that of 1 January is used above.
        for move in reversed(moves[1:]):
            level = _step_back(level, move, trend, strength)
            levels.append(level)
        levels.reverse()
        return _Year(levels, jumps)

    def _moves(self, profile: Profile, year: int) -> tuple[list[float], bytes]:
        """Return the move of each calendar day, 0 where there is no session, and its jumps."""
        sigma = self.sigma(profile)
        market = factor_year(self._seed, f"market:{profile.asset_type}", year)
        sector = factor_year(self._seed, f"sector:{profile.sector}", year)
        market_weight, sector_weight = profile.market_weight, profile.sector_weight
        own_weight = sqrt(1.0 - market_weight * market_weight - sector_weight * sector_weight)
        rng = generator(f"{self._seed}:walk:{profile.symbol}:{year}")
        low, high = JUMP_SIGMAS
        # A symmetric move in per cent loses half its variance in the long run: given back here.
        drag = sigma * sigma / 2.0
        moves, jumps = [], bytearray()
        for index, trades in enumerate(self._trading_days(profile.asset_type, year)):
            own, dice, size = normal(rng), rng.random(), rng.random()
            move = drag + sigma * (
                market_weight * market[index] + sector_weight * sector[index] + own_weight * own
            )
            jump = trades and dice < JUMP_CHANCE
            if jump:
                sign = 1.0 if dice < JUMP_CHANCE / 2 else -1.0
                move += sign * sigma * (low + (high - low) * size)
            bounded = max(-MAX_DAILY_MOVE, min(MAX_DAILY_MOVE, move))
            moves.append(bounded if trades else 0.0)
            jumps.append(jump)
        return moves, bytes(jumps)

    def _trading_days(self, asset_type: str, year: int) -> list[bool]:
        first = date(year, 1, 1)
        days = (date(year + 1, 1, 1) - first).days
        if self._hours.never_closes(asset_type):
            return [True] * days
        return [
            self._hours.session_on(asset_type, first + timedelta(days=n)) is not None
            for n in range(days)
        ]


def _index(day: date) -> int:
    return day.toordinal() - date(day.year, 1, 1).toordinal()


def _trend(profile: Profile, year: int) -> float:
    """Return where the level is drawn to in `year`: linear ahead, its mirror image behind."""
    years = year - profile.anchor_day.year
    return 1.0 + TREND * years if years >= 0 else 1.0 / (1.0 - TREND * years)


def _pull(level: float, trend: float, strength: float) -> float:
    # The logarithm of level/trend where that is small, and much more where it is not.
    distance = (level / trend - trend / level) / 2.0
    return max(-MAX_PULL, min(MAX_PULL, strength * distance))


def _step_back(level: float, move: float, trend: float, strength: float) -> float:
    return level / (1.0 + move) * (1.0 - _pull(level, trend, strength)) if move else level
