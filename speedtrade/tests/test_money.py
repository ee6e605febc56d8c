"""Numbers at the edge of the books: what is let in, what goes out, and how it is rounded."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from speedtrade.lib.money import (
    MONEY_MAX,
    NotANumber,
    ceil_to,
    floor_to,
    money,
    money_round,
    money_up,
    on_grid,
    parse_decimal,
    percent,
    plain,
    times,
)

D = Decimal
#: What a person can have meant: ASCII digits, at most 18 before and 10 after one point.
PLAIN = st.from_regex(
    r"-?[0-9]{1,18}(\.[0-9]{1,10})?", fullmatch=True, alphabet=st.characters(max_codepoint=127)
)
AMOUNTS = st.decimals("-99999999999999", "99999999999999", places=10)
STEPS = st.sampled_from([D("1"), D("0.01"), D("0.05"), D("0.000001"), D("0.25"), D("0.00000001")])


@given(PLAIN)
def test_a_plain_number_is_read_to_the_last_digit(text: str):
    assert Fraction(parse_decimal(text)) == Fraction(text)


@given(st.text())
@example("1_000")
@example("1e5")
@example("1E5")
@example("NaN")
@example("sNaN")
@example("Infinity")
@example("-inf")
@example("٣.١٤")  # Arabic digits
@example("１２")  # full-width digits
@example(" 1")
@example("1 ")
@example("1\n")
@example("+1")
@example(".5")
@example("5.")
@example("1,5")
@example("0x10")
@example("")
@example("--1")
@example("1" * 19)
@example("0." + "1" * 11)
@settings(max_examples=500)
def test_any_other_text_is_refused_and_nothing_else_is_raised(text: str):
    """Fuzz: it is a plain number that comes back the same, or NotANumber."""
    try:
        number = parse_decimal(text)
    except NotANumber:
        return
    assert number.is_finite()
    assert text.isascii() and set(text) <= set("-.0123456789")
    assert parse_decimal(plain(number)) == number


@pytest.mark.parametrize("value", [None, 1, 1.5, True, D("1"), b"1", ["1"], {"1": 1}])
def test_what_is_no_text_is_no_number(value: object):
    with pytest.raises(NotANumber):
        parse_decimal(value)


@given(AMOUNTS, st.integers(0, 4))
def test_written_and_read_again_it_is_the_same(value: Decimal, least: int):
    text = plain(value, least)
    assert parse_decimal(text) == value
    assert "E" not in text and text != "-0"
    assert len(text.partition(".")[2]) >= least
    assert json.loads(json.dumps(text)) == text


@pytest.mark.parametrize(
    "value, text",
    [
        ("100000", "100000.00"),
        ("1E+5", "100000.00"),
        ("0.00000001", "0.00000001"),
        ("-0", "0.00"),
        ("-0.000", "0.00"),
        ("12.50000000", "12.50"),
        ("12.345", "12.345"),
    ],
)
def test_money_is_plain_with_at_least_two_decimals(value: str, text: str):
    assert money(D(value)) == text


@given(AMOUNTS)
def test_rounding_to_the_ledger_is_to_the_nearest_and_up_is_up(value: Decimal):
    nearest, up = money_round(value), money_up(value)
    assert abs(Fraction(nearest) - Fraction(value)) <= Fraction(1, 2 * 10**8)
    assert 0 <= Fraction(up) - Fraction(value) < Fraction(1, 10**8)
    assert nearest.as_tuple().exponent == up.as_tuple().exponent == -8


@pytest.mark.parametrize(
    "value, rounded",
    [("0.000000005", "0"), ("0.000000015", "0.00000002"), ("-0.000000015", "-0.00000002")],
)
def test_halves_go_to_the_even_neighbour(value: str, rounded: str):
    assert money_round(D(value)) == D(rounded)


@pytest.mark.parametrize("value", [MONEY_MAX, -MONEY_MAX, D("1e40"), D("NaN"), D("Infinity")])
def test_more_than_the_books_can_hold_is_refused(value: Decimal):
    with pytest.raises(OverflowError):
        money_round(value)


@given(AMOUNTS, AMOUNTS)
def test_a_product_is_exact(left: Decimal, right: Decimal):
    assert Fraction(times(left, right)) == Fraction(left) * Fraction(right)


@given(st.decimals(0, "99999999999", places=10), STEPS)
def test_floor_and_ceiling_embrace_a_value_on_the_grid(value: Decimal, step: Decimal):
    low, high = floor_to(value, step), ceil_to(value, step)
    assert on_grid(low, step) and on_grid(high, step)
    assert low <= value <= high
    assert (high - low == step) if not on_grid(value, step) else (low == high == value)


@given(st.decimals("-1e9", "1e9", places=8), st.decimals("0.01", "1e9", places=8))
def test_percent_is_right_to_its_last_place(part: Decimal, whole: Decimal):
    exact = Fraction(part) / Fraction(whole) * 100
    assert abs(Fraction(percent(part, whole)) - exact) <= Fraction(1, 2 * 10**4)


def test_percent_of_nothing_is_zero():
    assert percent(D(5), D(0)) == 0


def test_plain_numbers_need_no_context_of_the_house():
    """A narrow default context (28 digits) must not eat digits on the way out."""
    value = D("123456789012345678.0123456789")
    assert plain(value) == "123456789012345678.0123456789"
    assert plain(money_round(value)) == "123456789012345678.01234568"
