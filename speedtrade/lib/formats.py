"""How numbers read on a page. Text only; `templatetags/ui.py` adds the markup.

The rules are in `formats.json`; `static/js/format.js` has the same rules for live values and one
table of cases (`speedtrade/tests/format_cases.json`) is run through both. Numbers come as Decimal,
int or plain decimal text; a float is refused, because it is not what the books say.
"""

import functools
import json
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

RULES: dict[str, Any] = json.loads(Path(__file__).with_name("formats.json").read_text("utf-8"))

MISSING: str = RULES["missing"]

Number = Decimal | int | str | None
Direction = Literal["up", "down", "flat"]

_STEPS = [Decimal(1).scaleb(-places) for places in range(11)]
_WIDE = Context(prec=60)  # a stored number has at most 28 digits; rounding must not run out


def number(value: object) -> Decimal | None:
    """The Decimal of a template value, or None where there is none (None, '', NaN).

    Raises TypeError for a float and for what is no number at all.
    """
    if type(value) is Decimal:  # as almost all are
        return value if value.is_finite() else None
    if value is None or value == "":
        return None
    if isinstance(value, bool | float) or not isinstance(value, Decimal | int | str):
        raise TypeError(f"{value!r} is a {type(value).__name__}; numbers are Decimal or str")
    try:
        parsed = Decimal(value)
    except InvalidOperation as error:
        raise TypeError(f"{value!r} is not a number") from error
    return parsed if parsed.is_finite() else None


def money_text(value: Number, *, sign: bool = False) -> str:
    """'$1,234.50'. An amount under a cent is never shown as zero: '$0.0032'."""
    amount = number(value)
    if amount is None:
        return MISSING
    least = RULES["money_decimals"]
    if amount and abs(amount) < _STEPS[least]:
        text = _rounded(abs(amount), RULES["money_decimals_most"]).rstrip("0").rstrip(".")
        return _signed(amount if text != "0" else Decimal(0), RULES["currency"] + text, sign)
    return _signed(amount, RULES["currency"] + _rounded(abs(amount), least), sign)


def price_text(value: Number, tick: Number = None, *, sign: bool = False) -> str:
    """'$184.32', '$0.5123'; with a tick as many decimals as the tick has, at least two."""
    amount = number(value)
    if amount is None:
        return MISSING
    text = _rounded(abs(amount), price_decimals(amount, tick))
    return _signed(amount if text.strip("0.,") else Decimal(0), RULES["currency"] + text, sign)


def price_decimals(value: Decimal, tick: Number = None) -> int:
    """How many decimals a price has: the tick's, else two, else four below one dollar."""
    step = number(tick)
    if step is not None and step > 0:
        return _tick_decimals(step)
    small = 0 < abs(value) < RULES["price_small_below"]
    return int(RULES["price_small_decimals"] if small else RULES["price_decimals_least"])


@functools.lru_cache(maxsize=100)  # there are few ticks, and many prices
def _tick_decimals(tick: Decimal) -> int:
    exponent = tick.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    least, most = int(RULES["price_decimals_least"]), int(RULES["price_decimals_most"])
    return min(max(places, least), most)


def qty_text(value: Number) -> str:
    """'1,000.5': grouped, exact to ten decimals, no trailing zeros."""
    amount = number(value)
    if amount is None:
        return MISSING
    text = _rounded(abs(amount), RULES["qty_decimals_most"]).rstrip("0").rstrip(".")
    return _signed(amount if text != "0" else Decimal(0), text, False)


def pct_text(value: Number, *, sign: bool = False) -> str:
    """'1.17%' of a number that is already in percent."""
    amount = number(value)
    if amount is None:
        return MISSING
    text = _rounded(abs(amount), RULES["pct_decimals"])
    return _signed(amount if text.strip("0.,") else Decimal(0), text + "%", sign)


def compact_text(value: Number) -> str:
    """'1.24M' for large counts; below ten thousand two decimals, the exact quantity below one."""
    amount = number(value)
    if amount is None:
        return MISSING
    size = abs(amount)
    if size < 1:
        return qty_text(amount)
    if size < RULES["compact_from"]:
        text = _rounded(size, RULES["compact_decimals"])
        return _signed(amount, text.rstrip("0").rstrip(".") if "." in text else text, False)
    for unit, letter in RULES["compact_units"]:
        if size >= unit:
            scaled = _WIDE.divide(size, Decimal(unit))
            text = _rounded(scaled, RULES["compact_decimals"]).rstrip("0").rstrip(".")
            return _signed(amount, text + letter, False)
    return qty_text(amount)


def change_text(amount: Number, pct: Number = None, *, tick: Number = None) -> str:
    """'+$2.14 (+1.17%)'; the amount as a price when a tick is given, else as money."""
    if tick is not None:
        text = price_text(amount, tick, sign=True)
    else:
        text = money_text(amount, sign=True)
    if number(pct) is None:
        return text
    if number(amount) is None:
        return pct_text(pct, sign=True)
    return f"{text} ({pct_text(pct, sign=True)})"


def direction(value: Number) -> Direction:
    """'up', 'down' or 'flat' (zero and nothing)."""
    amount = number(value)
    if not amount:
        return "flat"
    return "up" if amount > 0 else "down"


def _rounded(value: Decimal, places: int) -> str:
    """`value` >= 0 with grouping and exactly `places` decimals, halves away from zero."""
    step = _STEPS[places]
    return f"{value.quantize(step, rounding=ROUND_HALF_UP, context=_WIDE):,f}"


def _signed(amount: Decimal, text: str, sign: bool) -> str:
    if amount < 0:
        return f"{RULES['minus']}{text}"
    return f"{RULES['plus']}{text}" if sign and amount > 0 else text
