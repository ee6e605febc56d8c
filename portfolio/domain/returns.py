"""How it did: time-weighted return, drawdown, volatility, beta. Plain Python, Decimal throughout.

A return is a factor less one (0.05 is five percent) until a function says that it is in percent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from portfolio.domain.pnl import EquityPoint
from speedtrade.lib.money import ZERO

ONE = Decimal(1)
DAYS_TO_KNOW = 20  # daily returns below this number say nothing about risk


def step_return(before: EquityPoint, after: EquityPoint) -> Decimal:
    """The return between two points. Cash that came counts from the start, cash that left to the
    end, so neither is a profit or a loss; an account that had nothing has no return.
    """
    flow = after.net_deposits - before.net_deposits
    base = before.equity + max(flow, ZERO)
    return (after.equity - min(flow, ZERO)) / base - ONE if base > 0 else ZERO


def growth(returns: Iterable[Decimal]) -> list[Decimal]:
    """What one unit became: 1, then after each return in turn."""
    index = [ONE]
    for one in returns:
        index.append(index[-1] * (ONE + one))
    return index


def time_weighted(points: Sequence[EquityPoint]) -> list[Decimal]:
    """The growth of one unit through the points, whatever was paid in or out between them."""
    return growth(step_return(*pair) for pair in pairwise(points))


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall from a high: its depth (0.2 is a fifth) and the places of high and low."""

    depth: Decimal
    peak: int
    trough: int


def drawdowns(index: Sequence[Decimal]) -> list[Decimal]:
    """How far below the highest value so far each value lies; 0 at a new high."""
    high, below = ZERO, []
    for value in index:
        high = max(high, value)
        below.append(ONE - value / high if high > 0 else ZERO)
    return below


def max_drawdown(index: Sequence[Decimal]) -> Drawdown:
    """The deepest of the drawdowns, the first of them where several are as deep."""
    below = drawdowns(index)
    if not any(below):
        return Drawdown(ZERO, 0, 0)
    trough = max(range(len(below)), key=below.__getitem__)
    peak = max(range(trough + 1), key=index.__getitem__)
    return Drawdown(below[trough], peak, trough)


def simple_returns(prices: Sequence[Decimal]) -> list[Decimal]:
    """The return from each price to the next."""
    return [after / before - ONE if before > 0 else ZERO for before, after in pairwise(prices)]


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values)


def covariance(left: Sequence[Decimal], right: Sequence[Decimal]) -> Decimal:
    """Of a sample (divided by n - 1); both of the same length, at least two."""
    mean_left, mean_right = _mean(left), _mean(right)
    products = ((a - mean_left) * (b - mean_right) for a, b in zip(left, right, strict=True))
    return sum(products, ZERO) / (len(left) - 1)


def volatility(returns: Sequence[Decimal], per_year: int) -> Decimal | None:
    """Standard deviation of the sample, a year's worth; None below DAYS_TO_KNOW."""
    if len(returns) < DAYS_TO_KNOW:
        return None
    return (covariance(returns, returns) * per_year).sqrt()


def beta(returns: Sequence[Decimal], market: Sequence[Decimal]) -> Decimal | None:
    """How much of the market's moves it makes; None where too few days or a market that rests."""
    if len(returns) < DAYS_TO_KNOW:
        return None
    spread = covariance(market, market)
    return covariance(returns, market) / spread if spread else None


def nearest(times: Sequence[datetime], moments: Sequence[datetime]) -> list[int]:
    """For each of the ascending `moments` the place of the last of `times` by then, or 0."""
    places, place = [], 0
    for moment in moments:
        while place + 1 < len(times) and times[place + 1] <= moment:
            place += 1
        places.append(place)
    return places
