"""How one span of time comes apart into smaller ones that make it again to the last digit.

A day is split into hours, an hour into minutes, a minute into slots of 250 ms. A split keeps the
span's open, high, low, close and volume exactly: the first part opens where the span opened, each
part opens where the one before closed, one part carries the high and one the low, and volumes are
shared out by cumulative rounding. Prices are whole numbers of ticks, volumes of size steps.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import sqrt
from typing import Final, NamedTuple

SLOTS_A_MINUTE: Final = 240
# The range of a random walk is some 1.6 times the standard deviation of where it ends.
RANGE_IN_SIGMAS: Final = 1.6
# How far an excursion may be stretched to reach the span's high or low; a wick does the rest.
MAX_STRETCH: Final = 2.0
# A wick reaches this far beyond open and close, in units of the part's own sigma.
WICK_LEAST: Final = 0.2
WICK_MOST: Final = 0.8
# Share of a jumping span's move that happens in one of its parts.
JUMP_SHARE: Final = 0.8
# Within a minute: how often the price stands still for a slot, and how far it strays.
STILL_CHANCE: Final = 0.4
STRAY: Final = 0.15
# Share of slots in which nothing is traded.
QUIET_CHANCE: Final = 0.35


class Span(NamedTuple):
    """Open, high, low, close in ticks, volume in size steps, and whether a jump lies within."""

    o: int
    h: int
    l: int  # noqa: E741 - the field's name in every bar
    c: int
    v: int
    jump: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a span in columns; the `…_before` columns hold one more entry.

    `high_before[i]`, `low_before[i]` and `volume_before[i]` describe everything before part i.
    """

    opens: list[int]
    highs: list[int]
    lows: list[int]
    closes: list[int]
    high_before: list[int]
    low_before: list[int]
    volume_before: list[int]
    jump_at: int

    def part(self, index: int) -> Span:
        """Return one part as a span."""
        return Span(
            self.opens[index],
            self.highs[index],
            self.lows[index],
            self.closes[index],
            self.volume_before[index + 1] - self.volume_before[index],
            index == self.jump_at,
        )

    def join(self, start: int, stop: int) -> Span:
        """Return the parts from `start` up to, not including, `stop` as one span."""
        return Span(
            self.opens[start],
            max(self.highs[start:stop]),
            min(self.lows[start:stop]),
            self.closes[stop - 1],
            self.volume_before[stop] - self.volume_before[start],
            start <= self.jump_at < stop,
        )

    def so_far(self, index: int, running: Span) -> Span:
        """Return everything before part `index`, and then `running`, as one span."""
        return Span(
            self.opens[0],
            max(self.high_before[index], running.h),
            min(self.low_before[index], running.l),
            running.c,
            self.volume_before[index] + running.v,
        )


@dataclass(frozen=True, slots=True)
class Ticks:
    """The slots of a minute: price, high and low so far, volume so far, each after the slot."""

    prices: array[int]
    highs: array[int]
    lows: array[int]
    volumes: array[int]

    def so_far(self, slot: int) -> Span:
        """Return the minute from its start up to and including `slot`."""
        return Span(
            self.prices[0], self.highs[slot], self.lows[slot], self.prices[slot], self.volumes[slot]
        )


def split(span: Span, widths: Sequence[int], shape: Sequence[int], rng: random.Random) -> Parts:
    """Split a span into parts of the given widths (relative lengths).

    `shape` gives the relative volume of each part before noise, as positive whole numbers.
    """
    jump_at = int(rng.random() * len(widths)) if span.jump else -1
    # What the jump covers at once is no part of how much the price wavers.
    wavering = span.h - span.l - (JUMP_SHARE * abs(span.c - span.o) if span.jump else 0.0)
    sigma = wavering / (RANGE_IN_SIGMAS * sqrt(sum(widths)))
    closes = _closes(span, widths, sigma, jump_at, rng)
    opens = [span.o, *closes[:-1]]
    highs, lows = _wicks(span, opens, closes, [sigma * sqrt(width) for width in widths], rng)
    return Parts(
        opens,
        highs,
        lows,
        closes,
        list(accumulate(highs, max, initial=span.o)),
        list(accumulate(lows, min, initial=span.o)),
        _share_out(span.v, [int(part * (0.4 + 1.2 * rng.random())) + 1 for part in shape]),
        jump_at,
    )


def minute_ticks(span: Span, rng: random.Random) -> Ticks:
    """Split a minute into its 240 slots: the first trades at the open, the last at the close."""
    prices = _tick_prices(span, rng)
    draw = rng.random
    weights = [
        0 if dice < QUIET_CHANCE else int(dice * 1000.0)
        for dice in (draw() for _ in range(SLOTS_A_MINUTE))
    ]
    # The last slot always trades, so that no volume is left over.
    weights[-1] += 1
    return Ticks(
        array("q", prices),
        array("q", accumulate(prices, max)),
        array("q", accumulate(prices, min)),
        array("q", _share_out(span.v, weights)[1:]),
    )


def _closes(
    span: Span, widths: Sequence[int], sigma: float, jump_at: int, rng: random.Random
) -> list[int]:
    """Return the close of each part: a noisy bridge from open to close within high and low."""
    draw = rng.random
    steps = [(draw() + draw() + draw() - 1.5) * (2.0 * sigma) * sqrt(width) for width in widths]
    noise = list(accumulate(steps))
    total, excess, move = sum(widths), noise[-1], span.c - span.o
    smooth, at_once = (1.0, 0.0) if jump_at < 0 else (1.0 - JUMP_SHARE, JUMP_SHARE)
    path, passed = [], 0
    for index, width in enumerate(widths):
        passed += width
        share = passed / total
        ramp = smooth * share + (at_once if index >= jump_at >= 0 else 0.0)
        path.append(span.o + noise[index] - excess * share + move * ramp)
    return _fit(span, path)


def _fit(span: Span, path: list[float]) -> list[int]:
    """Keep a path within high and low: what falls short is stretched, what overshoots reflected.

    Squeezing instead of reflecting would show: the price would stand still along the edge.
    """
    low, high = span.l, span.h
    top, bottom = max(span.o, span.c), min(span.o, span.c)
    peak, pit = max(path), min(path)
    up = min(MAX_STRETCH, max(1.0, (high - top) / (peak - top))) if peak > top else 1.0
    down = min(MAX_STRETCH, max(1.0, (bottom - low) / (bottom - pit))) if pit < bottom else 1.0
    closes = []
    for price in path:
        if price > top:
            price = top + (price - top) * up
            price = price if price < high else high + high - price
        elif price < bottom:
            price = bottom - (bottom - price) * down
            price = price if price > low else low + low - price
        ticks = round(price)
        closes.append(low if ticks < low else high if ticks > high else ticks)
    closes[-1] = span.c
    return closes


def _wicks(
    span: Span, opens: list[int], closes: list[int], sigmas: list[float], rng: random.Random
) -> tuple[list[int], list[int]]:
    """Return highs and lows of the parts; the extreme ones carry the span's own."""
    draw, top, bottom = rng.random, span.h, span.l
    highs, lows = [], []
    least, more = WICK_LEAST, WICK_MOST - WICK_LEAST
    for o, c, sigma in zip(opens, closes, sigmas, strict=True):
        high, low = (o, c) if o > c else (c, o)
        high += int(sigma * (least + more * draw()) + 0.3)
        low -= int(sigma * (least + more * draw()) + 0.3)
        highs.append(high if high < top else top)
        lows.append(low if low > bottom else bottom)
    highs[highs.index(max(highs))] = top
    lows[lows.index(min(lows))] = bottom
    return highs, lows


def _share_out(amount: int, weights: Sequence[int]) -> list[int]:
    """Return running shares of `amount`, from 0 to all of it, one more than there are weights."""
    running = list(accumulate(weights, initial=0))
    total = running[-1]
    return [amount * part // total for part in running]


def _tick_prices(span: Span, rng: random.Random) -> list[int]:
    """Return the price of each slot: straight lines between way points, with noise, in bounds."""
    if span.h == span.l:
        return [span.o] * SLOTS_A_MINUTE
    points = _way_points(span, rng)
    draw, low, high = rng.random, span.l, span.h
    stray = max(0.6, STRAY * (high - low))
    prices: list[int] = []
    for (start, left), (stop, right) in pairwise(points):
        prices.append(left)
        slope = (right - left) / (stop - start)
        for step in range(1, stop - start):
            dice = draw()
            if dice < STILL_CHANCE:
                prices.append(prices[-1])
                continue
            price = round(left + slope * step + stray * (2.0 * draw() - 1.0))
            prices.append(low if price < low else high if price > high else price)
    prices.append(span.c)
    return prices


def _way_points(span: Span, rng: random.Random) -> list[tuple[int, int]]:
    """Return (slot, price) of open, close, and of high and low where neither of them is one."""
    last = SLOTS_A_MINUTE - 1
    points = [(0, span.o), (last, span.c)]
    inner = last - 1
    first = int(rng.random() * inner)
    second = (first + 1 + int(rng.random() * (inner - 1))) % inner  # never the same slot
    if span.h > max(span.o, span.c):
        points.append((1 + first, span.h))
    if span.l < min(span.o, span.c):
        points.append((1 + second, span.l))
    return sorted(points)
