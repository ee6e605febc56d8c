"""Decimal arithmetic at the ledger's edge. Plain Python: no Django, no clock, no I/O.

Money is kept to 8 decimal places, prices and quantities to 10 (`fields.py` has the columns).
Rounding happens once, where a number enters the books, and is named at the call site.
"""

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

ZERO = Decimal(0)
CENT = Decimal("0.01")
MONEY_STEP = Decimal("0.00000001")
MONEY_MAX = Decimal(10) ** 20  # NUMERIC(28,8) holds twenty digits before the point
#: Wide enough that a product of two stored numbers is exact (28 + 28 digits).
EXACT = Context(prec=60)

_PLAIN = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,10})?", re.ASCII)


class NotANumber(ValueError):
    """The text is not a plain decimal number (no exponent, no NaN, no grouping, ASCII digits)."""


def parse_decimal(text: object) -> Decimal:
    """The Decimal of a plain decimal text such as '12.50'; raises NotANumber for all else.

    Decimal() itself also takes '1_000', '1e5', 'NaN' and Arabic digits, none of which a person
    who orders shares can have meant.
    """
    if not isinstance(text, str) or not _PLAIN.fullmatch(text):
        raise NotANumber("Write a plain number such as 12.5.")
    return Decimal(text)


def parse_given(value: object) -> Decimal:
    """A number as a body or a form gives it: plain text, or a whole JSON number.

    Never a float: 0.1 has been rounded before we could see it. Raises NotANumber.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return parse_decimal(value.strip() if isinstance(value, str) else value)


def plain(value: Decimal, least: int = 0) -> str:
    """Exact text without exponent or trailing zeros, with at least `least` decimal places."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in {"-0", ""}:
        text = "0"
    if least:
        whole, _, fraction = text.partition(".")
        text = f"{whole}.{fraction.ljust(least, '0')}"
    return text


def money(value: Decimal) -> str:
    """Money as JSON text: exact, at least two decimals ('100000.00', '0.00000001')."""
    return plain(value, 2)


def money_round(value: Decimal) -> Decimal:
    """To 8 decimals, half to even: the one rounding of an amount that enters the ledger."""
    return _quantize(value, ROUND_HALF_EVEN)


def money_up(value: Decimal) -> Decimal:
    """To 8 decimals, upwards: for holds, which may be too large but never too small."""
    return _quantize(value, ROUND_CEILING)


def _quantize(value: Decimal, rounding: str) -> Decimal:
    try:
        rounded = value.quantize(MONEY_STEP, rounding=rounding, context=EXACT)
    except InvalidOperation as error:
        raise OverflowError(f"{value} is no amount of money") from error
    if not rounded.is_finite():
        raise OverflowError(f"{value} is no amount of money")
    if abs(rounded) >= MONEY_MAX:
        raise OverflowError(f"{value} is more than the books can hold")
    return rounded


def times(left: Decimal, right: Decimal) -> Decimal:
    """The exact product (the default context keeps only 28 digits)."""
    return EXACT.multiply(left, right)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is at most `value` (value >= 0, step > 0)."""
    count = EXACT.divide_int(value, step)
    return EXACT.multiply(count, step)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is at least `value` (value >= 0, step > 0)."""
    floor = floor_to(value, step)
    return floor if floor == value else floor + step


def on_grid(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole multiple of `step`."""
    return EXACT.remainder(value, step) == 0


def percent(part: Decimal, whole: Decimal, places: int = 4) -> Decimal:
    """100 x part / whole, rounded for display; 0 where there is no whole to compare with."""
    if whole == 0:
        return ZERO
    step = Decimal(1).scaleb(-places)
    return (part / whole * 100).quantize(step, rounding=ROUND_HALF_EVEN)


def cents_down(value: Decimal) -> Decimal:
    """Whole cents, downwards: what a person may still spend is never shown too large."""
    return value.quantize(CENT, rounding=ROUND_DOWN)
