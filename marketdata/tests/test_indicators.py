"""Each indicator against its formula in a textbook, written here a second time."""

import math
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from marketdata.domain.bars import Bar
from marketdata.domain.calendar import MarketHours
from marketdata.domain.indicators import INDICATORS, Line, Lines
from marketdata.domain.indicators import indicators_of as lines_of

D = Decimal
HOUR = timedelta(hours=1)
Values = list[float | None]


def indicators_of(bars: list[Bar], names: Iterable[str]) -> dict[str, Lines]:
    """As if all bars were of one session."""
    return lines_of(bars, names, day_of=lambda at: date(2026, 1, 5))


def bars_of(closes: list[Decimal], *, volume: str = "100") -> list[Bar]:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    return [
        Bar(start + timedelta(days=n), c, c * D("1.01"), c * D("0.99"), c, D(volume) + n)
        for n, c in enumerate(closes)
    ]


@pytest.fixture(scope="module")
def bars() -> list[Bar]:
    """A walk that rises, falls and stands still, the same in each run."""
    dice = random.Random(20)
    price, closes = D("184.32"), []
    for n in range(120):
        price = price if n % 11 == 0 else price + D(dice.randint(-300, 310)) / 100
        closes.append(price)
    return bars_of(closes)


def same(line: Line, expected: Values) -> bool:
    """Equal to nine digits, and None in the same places."""
    assert len(line) == len(expected)
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and math.isclose(float(a), b, rel_tol=1e-9))
        for a, b in zip(line, expected, strict=True)
    )


def closes_of(bars: list[Bar]) -> list[float]:
    return [float(bar.c) for bar in bars]


def windows(values: list[float], size: int) -> list[list[float] | None]:
    return [values[n - size + 1 : n + 1] if n + 1 >= size else None for n in range(len(values))]


def ema(values: Values, size: int) -> Values:
    """Begins with the plain mean of the first `size` values that there are."""
    known = [value for value in values if value is not None]
    result: Values = [None] * (len(values) - len(known) + size - 1)
    last = fmean(known[:size])
    result.append(last)
    for value in known[size:]:
        last += (value - last) * 2 / (size + 1)
        result.append(last)
    return result


def test_sma_is_the_mean_of_the_last_twenty_closes(bars: list[Bar]) -> None:
    expected = [fmean(w) if w else None for w in windows(closes_of(bars), 20)]
    assert same(indicators_of(bars, ["sma20"])["sma20"]["value"], expected)


def test_ema_moves_two_fifty_firsts_of_the_way(bars: list[Bar]) -> None:
    expected = ema([*closes_of(bars)], 50)
    assert same(indicators_of(bars, ["ema50"])["ema50"]["value"], expected)


def test_bollinger_bands_stand_two_deviations_from_the_mean(bars: list[Bar]) -> None:
    found = indicators_of(bars, ["bb20"])["bb20"]
    shapes = windows(closes_of(bars), 20)
    for line, far in (("upper", 2), ("middle", 0), ("lower", -2)):
        assert same(found[line], [fmean(w) + far * pstdev(w) if w else None for w in shapes])


def test_vwap_is_the_money_that_changed_hands_by_the_units_that_did(bars: list[Bar]) -> None:
    money, units, expected = 0.0, 0.0, []
    for bar in bars:
        money += float((bar.h + bar.l + bar.c) / 3 * bar.v)
        units += float(bar.v)
        expected.append(money / units)
    assert same(indicators_of(bars, ["vwap"])["vwap"]["value"], [*expected])


def vwap_of(session: list[Bar]) -> list[float]:
    """Of one session: the sum of typical price x volume, by the sum of the volume."""
    return [
        sum(float((b.h + b.l + b.c) / 3 * b.v) for b in session[: n + 1])
        / sum(float(b.v) for b in session[: n + 1])
        for n in range(len(session))
    ]


def hourly(bars: list[Bar], opens: list[str], each: int) -> list[list[Bar]]:
    """`each` bars of an hour from each of these moments on."""
    moved = iter(bars)
    return [
        [
            next(moved)._replace(t=datetime.fromisoformat(at).replace(tzinfo=UTC) + n * HOUR)
            for n in range(each)
        ]
        for at in opens
    ]


def test_vwap_begins_anew_with_each_session_of_the_exchange(bars: list[Bar]) -> None:
    opens = ["2026-11-24T14:30", "2026-11-25T14:30", "2026-11-27T14:30"]  # no Thanksgiving
    days, hours = hourly(bars, opens, 3), MarketHours("nyse")
    found = lines_of(
        [bar for day in days for bar in day],
        ["vwap"],
        day_of=lambda at: hours.session_for("stock", at).day,
    )["vwap"]["value"]
    assert same(found, [value for day in days for value in vwap_of(day)])
    assert not same(found, [*vwap_of([bar for day in days for bar in day])])


def test_vwap_of_a_coin_begins_anew_at_midnight_utc(bars: list[Bar]) -> None:
    days, hours = hourly(bars, ["2026-11-24T00:00", "2026-11-25T00:00"], 24), MarketHours("nyse")
    found = lines_of(
        [bar for day in days for bar in day],
        ["vwap"],
        day_of=lambda at: hours.session_for("crypto", at).day,
    )["vwap"]["value"]
    assert same(found, [value for day in days for value in vwap_of(day)])


def test_vwap_counts_what_came_before_the_bars_that_are_shown(bars: list[Bar]) -> None:
    [day] = hourly(bars, ["2026-11-24T14:30"], 6)
    found = lines_of(day[4:], ["vwap", "sma20"], day_of=lambda at: at.date(), lead=day[:4])
    assert same(found["vwap"]["value"], [*vwap_of(day)[4:]])
    assert len(found["sma20"]["value"]) == 2


def test_rsi_is_that_of_wilder(bars: list[Bar]) -> None:
    closes = closes_of(bars)
    moves = [b - a for a, b in pairwise(closes)]
    up = fmean(max(move, 0) for move in moves[:14])
    down = fmean(max(-move, 0) for move in moves[:14])
    expected: Values = [None] * 14 + [100 - 100 / (1 + up / down)]
    for move in moves[14:]:
        up, down = (up * 13 + max(move, 0)) / 14, (down * 13 + max(-move, 0)) / 14
        expected.append(100 - 100 / (1 + up / down))
    assert same(indicators_of(bars, ["rsi14"])["rsi14"]["value"], expected)


def test_macd_is_the_distance_of_two_means_and_its_own_mean(bars: list[Bar]) -> None:
    closes: Values = [*closes_of(bars)]
    line = [
        None if a is None or b is None else a - b
        for a, b in zip(ema(closes, 12), ema(closes, 26), strict=True)
    ]
    signal = ema(line, 9)
    found = indicators_of(bars, ["macd"])["macd"]
    assert same(found["macd"], line) and same(found["signal"], signal)
    gaps = [None if a is None or b is None else a - b for a, b in zip(line, signal, strict=True)]
    assert same(found["histogram"], gaps)


def test_a_line_is_as_long_as_its_bars_however_few() -> None:
    for count in (0, 1, 5):
        lines = indicators_of(bars_of([D(10)] * count), INDICATORS)
        assert set(lines) == set(INDICATORS)
        assert all(len(line) == count for parts in lines.values() for line in parts.values())


def test_a_price_that_never_moves_and_a_bar_without_volume_break_nothing() -> None:
    still = bars_of([D(10)] * 60)
    found = indicators_of(still, INDICATORS)
    assert found["sma20"]["value"][-1] == "10" and found["bb20"]["upper"][-1] == "10"
    empty = [Bar(b.t, b.o, b.h, b.l, b.c, D(0)) for b in still]
    assert set(indicators_of(empty, ["vwap"])["vwap"]["value"]) == {None}


def test_numbers_are_plain_text_at_any_size() -> None:
    for price, begins in (("0.00001234", "0.00001234"), ("712345.67", "712345.67")):
        value = indicators_of(bars_of([D(price)] * 20), ["sma20"])["sma20"]["value"][-1]
        assert value is not None and value.startswith(begins) and "e" not in value


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        indicators_of([], ["nonsense"])
