"""A span comes apart without losing a tick or a share."""

import random

from hypothesis import given
from hypothesis import strategies as st

from marketdata.feeds.simulated.book import LEVELS, BookMaker
from marketdata.feeds.simulated.noise import factor_year, mix, normals, uniforms
from marketdata.feeds.simulated.paths import SLOTS_A_MINUTE, Span, minute_ticks, split
from marketdata.feeds.simulated.profiles import load_profiles
from marketdata.feeds.simulated.walk import MIN_TICKS

PROFILES = load_profiles()
seeds = st.integers(0, 2**32).map(random.Random)


@st.composite
def spans(draw):
    low = draw(st.integers(MIN_TICKS, 10**7))
    ranges = st.sampled_from([0, 1, 2, 5, 50, 10**6])
    high = low + draw(ranges)
    inside = st.integers(low, high)
    return Span(
        draw(inside), high, low, draw(inside), draw(st.integers(0, 10**15)), draw(st.booleans())
    )


@given(spans(), st.lists(st.integers(1, 60), min_size=1, max_size=60), seeds)
def test_parts_make_their_span_again(span, widths, rng):
    parts = split(span, widths, [10 * width for width in widths], rng)
    count = len(widths)
    whole = parts.join(0, count)
    assert whole[:5] == span[:5]
    assert whole.jump == span.jump
    assert parts.so_far(count - 1, parts.part(count - 1))[:5] == span[:5]
    for index in range(count):
        part = parts.part(index)
        assert span.l <= part.l <= min(part.o, part.c)
        assert max(part.o, part.c) <= part.h <= span.h
        assert part.v >= 0
        assert part.o == (parts.part(index - 1).c if index else span.o)


@given(spans(), seeds)
def test_ticks_make_their_minute_again(span, rng):
    ticks = minute_ticks(span, rng)
    assert len(ticks.prices) == len(ticks.volumes) == SLOTS_A_MINUTE
    assert (ticks.prices[0], ticks.prices[-1]) == (span.o, span.c)
    # One slot cannot be open and close, high and low at once: a minute has room for all four.
    assert (max(ticks.prices), min(ticks.prices)) == (span.h, span.l)
    assert ticks.so_far(SLOTS_A_MINUTE - 1)[:5] == span[:5]
    assert list(ticks.volumes) == sorted(ticks.volumes)
    assert ticks.volumes[0] >= 0
    for slot in (0, 1, 100):
        seen = ticks.prices[: slot + 1]
        assert ticks.so_far(slot)[:4] == (span.o, max(seen), min(seen), seen[-1])


@given(
    st.sampled_from(sorted(PROFILES)),
    st.integers(MIN_TICKS, 10**8),
    st.integers(0, 2**40),
)
def test_a_book_is_never_crossed_and_has_ten_honest_levels_each_side(symbol, last, slot):
    profile = PROFILES[symbol]
    book = BookMaker("seed", profile).book(last, slot)
    assert len(book.bids) == len(book.asks) == LEVELS
    bids, asks = [p for p, _ in book.bids], [p for p, _ in book.asks]
    assert 0 < bids[0] <= last <= asks[0]
    assert bids[0] < asks[0]
    assert bids == sorted(set(bids), reverse=True) and bids[-1] > 0
    assert asks == sorted(set(asks))
    typical = profile.typical_size / profile.size_step
    assert all(typical / 6 < size < typical * 4 for _, size in (*book.bids, *book.asks))


def test_noise_has_the_moments_it_claims():
    draws = normals(random.Random(1), 20_000)
    mean = sum(draws) / len(draws)
    assert abs(mean) < 0.03
    assert abs(sum((x - mean) ** 2 for x in draws) / len(draws) - 1) < 0.03
    assert len(factor_year("seed", "market", 2026)) == 366
    assert all(0 <= x < 1 for x in uniforms("label"))
    assert len({mix(7, n) for n in range(1000)}) == 1000
