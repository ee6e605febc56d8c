"""What vendors write as numbers and times, read without trust."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

#: Ten places is what the columns of prices and quantities carry.
_PLACES: Final = Decimal(10) ** -10
_LARGEST: Final = Decimal(10) ** 18
#: Price times quantity has at most eight places in the books, so that it is exact there.
_BOOK_PLACES: Final = 8


def number_of(value: Any) -> Decimal | None:
    """The number in a JSON value, at most ten places; None for what is none, or is not finite.

    A float counts as the digits that are shortest for it, as on the vendor's wire.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, ValueError):
        return None
    if not number.is_finite() or abs(number) >= _LARGEST:
        return None
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -10:
        number = number.quantize(_PLACES, ROUND_HALF_EVEN)
    return number


def price_of(value: Any) -> Decimal | None:
    """A price above zero, or None."""
    number = number_of(value)
    return number if number is not None and number > 0 else None


def size_of(value: Any) -> Decimal:
    """A size; zero for what is no number or negative."""
    number = number_of(value)
    return number if number is not None and number > 0 else Decimal(0)


def moment_of(value: Any) -> datetime | None:
    """The aware moment in RFC 3339, with any number of digits, or in a msgpack timestamp."""
    if isinstance(value, str):
        return _parsed(value)
    if callable(getattr(value, "to_datetime", None)):
        value = value.to_datetime()
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return None


def moment_of_millis(value: Any) -> datetime | None:
    """The moment in milliseconds since 1970, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def exact_step(venue_step: Decimal, tick: Decimal) -> Decimal:
    """The venue's step of quantity, or a coarser one at which any price is exact in the books.

    A multiple of the venue's step is always a quantity that the venue takes.
    """
    exponent = tick.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    return max(venue_step, Decimal(10) ** (places - _BOOK_PLACES))


def _parsed(text: str) -> datetime | None:
    head, dot, tail = text.partition(".")
    if dot:  # nanoseconds: Python reads six digits
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        text = f"{head}.{digits[:6]}{tail[len(digits) :]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)
