"""What a quote must be before anybody may trade on it, and how it travels."""

import json
import os
import random
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from marketdata.domain.quotes import (
    MAX_CLOCK_SKEW,
    Level,
    Quote,
    check_quote,
    moment_from_wire,
    quote_from_wire,
    quote_to_wire,
)

NOW = datetime(2026, 11, 23, 15, 0, 0, 250_000, tzinfo=UTC)
D = Decimal


def a_quote(**changes) -> Quote:
    good = Quote(
        symbol="AAPL",
        bid=D("99.99"),
        ask=D("100.01"),
        bid_size=D(200),
        ask_size=D(300),
        last=D("100.00"),
        prev_close=D("98.00"),
        open=D("98.50"),
        day_high=D("101.00"),
        day_low=D("97.50"),
        volume=D(1_000_000),
        as_of=NOW,
        seq=7,
        bids=(Level(D("99.99"), D(200)), Level(D("99.98"), D(500))),
        asks=(Level(D("100.01"), D(300)), Level(D("100.02"), D(0))),
        source="test",
    )
    return replace(good, **changes)


def test_derived_values_of_a_quote():
    quote = a_quote()
    assert quote.change == D("2.00")
    assert quote.change_pct == D("2.0408")
    assert quote.mid == D("100.00")
    assert quote.age(NOW + timedelta(seconds=3)) == timedelta(seconds=3)


def test_a_quote_is_stale_only_beyond_the_limit():
    limit = timedelta(seconds=5)
    assert not a_quote().is_stale(NOW + limit, limit)
    assert a_quote().is_stale(NOW + limit + timedelta(microseconds=1), limit)


def test_a_good_quote_passes_alone_and_after_another():
    assert check_quote(a_quote(), None, NOW) is None
    assert check_quote(a_quote(), a_quote(), NOW) is None
    assert check_quote(a_quote(bids=(), asks=()), None, NOW) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"last": D("NaN")}, "NOT_FINITE"),
        ({"last": D("sNaN")}, "NOT_FINITE"),
        ({"volume": D("Infinity")}, "NOT_FINITE"),
        ({"bids": (Level(D("99.99"), D("NaN")),)}, "NOT_FINITE"),
        ({"bid": D(0)}, "NOT_POSITIVE"),
        ({"prev_close": D(-1)}, "NOT_POSITIVE"),
        ({"bid_size": D(-1)}, "NEGATIVE_SIZE"),
        ({"asks": (Level(D("100.01"), D(-1)),)}, "NEGATIVE_SIZE"),
        ({"day_high": D(10) ** 10}, "OUT_OF_RANGE"),
        ({"day_low": D("1e-11")}, "OUT_OF_RANGE"),
        ({"volume": D(10) ** 18}, "OUT_OF_RANGE"),
        ({"bid": D("100.02"), "bids": ()}, "CROSSED"),
        ({"bids": (Level(D("99.98"), D(1)),)}, "BAD_LEVELS"),
        ({"bids": (Level(D("99.99"), D(1)), Level(D("99.99"), D(1)))}, "BAD_LEVELS"),
        ({"asks": (Level(D("100.01"), D(1)), Level(D("100.00"), D(1)))}, "BAD_LEVELS"),
        ({"as_of": NOW.replace(tzinfo=None)}, "BAD_TIME"),
        ({"as_of": NOW + MAX_CLOCK_SKEW + timedelta(microseconds=1)}, "FROM_FUTURE"),
    ],
)
def test_the_gate_stops_a_bad_quote(changes, code):
    assert check_quote(a_quote(**changes), None, NOW) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "MSFT"}, "WRONG_SYMBOL"),
        ({"as_of": NOW - timedelta(microseconds=1)}, "OLDER"),
        ({"last": D("1000.01")}, "JUMP"),
        ({"last": D("9.99")}, "JUMP"),
        ({"last": D("1000.00")}, None),
        ({"last": D("10.00")}, None),
        ({"as_of": NOW + MAX_CLOCK_SKEW}, None),
    ],
)
def test_the_gate_compares_with_the_quote_before(changes, code):
    assert check_quote(a_quote(**changes), a_quote(), NOW) == code


anything_decimal = st.decimals(allow_nan=True, allow_infinity=True)
any_levels = st.lists(st.builds(Level, anything_decimal, anything_decimal), max_size=3).map(tuple)
any_quote = st.builds(
    Quote,
    symbol=st.sampled_from(["AAPL", "MSFT"]),
    **dict.fromkeys(
        ("bid", "ask", "bid_size", "ask_size", "last", "prev_close", "open"), anything_decimal
    ),
    **dict.fromkeys(("day_high", "day_low", "volume"), anything_decimal),
    as_of=st.datetimes() | st.datetimes(timezones=st.just(UTC)),
    seq=st.integers(),
    bids=any_levels,
    asks=any_levels,
    source=st.just("test"),
)


@given(any_quote)
@pytest.mark.fault("F19")
def test_the_gate_never_raises_and_lets_only_sane_numbers_through(quote):
    if check_quote(quote, a_quote(), NOW) is None:
        assert 0 < quote.bid <= quote.ask
        assert quote.volume >= 0
        quote_to_wire(quote)  # the derived values can be worked out


@given(st.sampled_from(["bid", "ask", "last", "open", "bid_size", "volume"]), anything_decimal)
@pytest.mark.fault("F19")
def test_one_wild_field_never_passes_with_a_number_that_is_none(field, value):
    quote = a_quote(**{field: value, "bids": (), "asks": ()})
    if check_quote(quote, a_quote(), NOW) is None:
        assert value.is_finite()
        assert value >= 0


#: What a vendor, a bug or a bad line could put in place of a number.
WILD = [
    D(text)
    for text in [
        "NaN",
        "sNaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "0",
        "-0",
        "-1",
        "1e-11",
        "1e400",
        "1e17",
        "1e10",
    ]
]
NUMBERS = [field.name for field in fields(Quote) if field.type in {"Decimal", Decimal}]


def a_wild_quote(dice: random.Random) -> Quote:
    """A good quote, a few of its parts replaced by nonsense or by what is only a little off."""
    changes: dict[str, object] = {}
    for name in dice.sample(NUMBERS, dice.randint(0, 3)):
        near = D(dice.randint(-5, 30_000)).scaleb(-dice.randint(0, 12))
        changes[name] = dice.choice([dice.choice(WILD), near])
    if dice.random() < 0.2:
        ago = timedelta(seconds=dice.choice([-86_400, -1, 0, 2, 3, 86_400]))
        changes["as_of"] = dice.choice([NOW + ago, (NOW + ago).replace(tzinfo=None)])
    if dice.random() < 0.2:
        changes["symbol"] = dice.choice(["MSFT", "", "AAPL\x00"])
    for name in ("bids", "asks"):
        if dice.random() < 0.3:
            price = dice.choice([D("99.99"), D("100.01"), dice.choice(WILD)])
            level = Level(price, dice.choice([D(5), *WILD]))
            changes[name] = dice.choice([(), (level,), (level, level)])
    return a_quote(**changes)


def wrong_with(quote: Quote) -> str:
    """What makes it unfit to trade on, worked out apart from the gate; "" for nothing."""
    numbers = [getattr(quote, name) for name in NUMBERS]
    levels = [*quote.bids, *quote.asks]
    numbers += [number for level in levels for number in (level.price, level.size)]
    if not all(number.is_finite() for number in numbers):
        return "not a number"
    if min(quote.bid, quote.ask, quote.last, quote.prev_close) <= 0 or quote.bid > quote.ask:
        return "no market"
    if min(quote.bid_size, quote.ask_size, quote.volume, *(one.size for one in levels), D(0)) < 0:
        return "less than nothing"
    prices = [one.price for one in quote.bids], [one.price for one in quote.asks]
    if prices[0] != sorted(set(prices[0]), reverse=True) or prices[1] != sorted(set(prices[1])):
        return "levels out of order"
    if quote.symbol != "AAPL" or quote.as_of.tzinfo is None:
        return "not it"
    if not NOW <= quote.as_of <= NOW + MAX_CLOCK_SKEW:
        return "another time"
    return "" if D(10) <= quote.last <= D(1000) else "a jump"


@pytest.mark.fault("F19")
def test_no_bad_quote_passes_in_any_number_of_messages():
    """WILD_QUOTES of them, a million in `make chaos`; some good ones pass, or nothing is shown."""
    before, dice, passed = a_quote(), random.Random(12), 0
    for number in range(int(os.environ.get("WILD_QUOTES", "20000"))):
        quote = a_wild_quote(dice)
        if check_quote(quote, before, NOW) is None:
            passed += 1
            assert wrong_with(quote) == "", (number, quote)
            quote_to_wire(quote)
    assert passed > 100


def test_a_quote_survives_the_wire():
    quote = a_quote()
    assert quote_from_wire(json.loads(json.dumps(quote_to_wire(quote)))) == quote
    bare = quote_to_wire(quote, depth=False)
    assert "bids" not in bare and "asks" not in bare
    assert quote_from_wire(bare) == replace(quote, bids=(), asks=())


def test_the_wire_form_is_plain():
    wire = quote_to_wire(a_quote(last=D("0.00000690"), prev_close=D("0.00000700")))
    assert wire["last"] == "0.00000690"
    assert wire["change"] == "-0.00000010"
    assert wire["as_of"] == "2026-11-23T15:00:00.250Z"
    assert wire["bids"][0] == ["99.99", "200"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@given(json_values)
def test_parsing_anything_gives_a_quote_or_a_value_error(value):
    with pytest.raises(ValueError):
        quote_from_wire(value)


bad_numbers = ["NaN", "Infinity", "-Infinity", "1e999", "1e5", "-1", "", " 1", "1_0", "١", "+1"]


@pytest.mark.parametrize("value", [*bad_numbers, 1, 1.5, None, True, [], {}, "9" * 40, "1.", ".5"])
@pytest.mark.parametrize("field", ["bid", "volume"])
def test_a_number_that_is_not_plain_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        quote_from_wire(quote_to_wire(a_quote()) | {field: value})


@given(st.sampled_from(sorted(quote_to_wire(a_quote()))), json_values)
@example("seq", True)
@example("seq", 2**63)
@example("as_of", "2026-13-45T99:99:99Z")
@example("as_of", "2026-11-23T15:00:00+01:00")
@example("bids", [["1", "2", "3"]])
@example("asks", [["1", "2"]] * 51)
@example("symbol", "A" * 33)
def test_one_broken_field_gives_a_quote_or_a_value_error(field, value):
    wire = quote_to_wire(a_quote()) | {field: value}
    try:
        quote = quote_from_wire(wire)
    except ValueError:
        return
    assert check_quote(quote, None, NOW) != "NOT_FINITE"


@pytest.mark.parametrize("field", sorted(set(quote_to_wire(a_quote())) - {"change", "change_pct"}))
def test_a_missing_field_is_refused_unless_it_is_depth(field):
    wire = quote_to_wire(a_quote())
    del wire[field]
    if field in ("bids", "asks"):
        assert getattr(quote_from_wire(wire), field) == ()
    else:
        with pytest.raises(ValueError, match=field):
            quote_from_wire(wire)


def test_a_moment_needs_no_fraction():
    assert moment_from_wire("2026-11-23T15:00:00Z") == NOW.replace(microsecond=0)
