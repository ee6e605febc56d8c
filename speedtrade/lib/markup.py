"""The small pieces of a page as markup: numbers, changes, moments, icons, addresses.

`templatetags/ui.py` gives them to templates; rows of long tables are joined from them in Python
(`portfolio/holding_rows.py`, `trading/order_rows.py`). Each is one f-string, because a page has
hundreds of them and `format_html` costs several times as much. So mind what goes in: a text of
somebody else is escaped here, once; `css` and `field` are words of ours.
"""

import functools
import re
from calendar import month_abbr
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.templatetags.static import static
from django.urls import reverse
from django.utils.http import RFC3986_SUBDELIMS
from django.utils.safestring import SafeString

from speedtrade.lib import formats
from speedtrade.lib.money import plain

NEW_YORK: Final = ZoneInfo("America/New_York")
MISSING: Final = SafeString(  # nosec B703 - escaped above or made of constants
    f'<span aria-hidden="true">{formats.RULES["missing"]}</span>'
    f'<span class="vh">{formats.RULES["missing_words"]}</span>'
)
_ARROWS: Final = {
    way: f'<span class="arrow" aria-hidden="true">{formats.RULES.get(way, "")}</span>'
    f'<span class="vh">{formats.RULES.get(f"{way}_words", "")}</span>'
    for way in ("up", "down", "flat")
}
_MONTHS: Final = list(month_abbr)  # "" before January
_not_zero = re.compile("[1-9]").search


def _more(css: str) -> str:
    """A class beside others."""
    return f" {css}" if css else ""


# ── numbers ──────────────────────────────────────────────────────────────────
def data(amount: Decimal, text: str) -> SafeString:
    """A number as a person reads it, with its exact value beside."""
    return SafeString(f'<data value="{amount:f}">{text}</data>')  # nosec B703 - escaped above or made of constants


def data_or_missing(value: Any, text: str) -> SafeString:
    """`data` of a template value, or the dash where there is none."""
    amount = formats.number(value)
    return MISSING if amount is None else data(amount, text)


def change_said(amount: Any, percent: Any = None, tick: Any = None) -> tuple[str, str]:
    """(up, down or flat, the words) of a gain or loss.

    What reads as zero has no direction either, however little it is off.
    """
    text = formats.change_text(amount, percent, tick=tick)
    if not _not_zero(text):
        return "flat", text
    return formats.direction(percent if formats.number(amount) is None else amount), text


def change_span(way: str, text: str, css: str = "", attributes: str = "") -> SafeString:
    """A gain or loss: arrow, hidden word, sign and colour, so that colour is never the only cue."""
    return SafeString(  # nosec B703 - escaped above or made of constants
        f'<span class="chg {way}{_more(css)}"{attributes}>{_ARROWS[way]}'
        f'<span class="num">{text}</span></span>'
    )


def live_data(amount: Decimal | None, text: str, attributes: str, css: str = "") -> SafeString:
    """A number that a script keeps up to date, by its `attributes`."""
    value = "" if amount is None else f"{amount:f}"
    return SafeString(f'<data class="num{_more(css)}"{attributes} value="{value}">{text}</data>')  # nosec B703 - escaped above or made of constants


def live_attributes(
    symbol: str, field: str, *, tick: Any = None, qty: Any = None, cost: Any = None
) -> str:
    """What makes an element follow a quote; nothing without a symbol."""
    if not symbol:
        return ""
    text = f' data-symbol="{escape(symbol)}" data-f="{field}"'
    for name, value in (("tick", tick), ("qty", qty), ("cost", cost)):
        if value is not None and (amount := formats.number(value)) is not None:
            text += f' data-{name}="{plain(amount)}"'
    return text


# ── times ────────────────────────────────────────────────────────────────────
def day_text(value: date) -> str:
    """'Jan 5, 2026'."""
    return f"{_MONTHS[value.month]} {value.day}, {value.year}"


def clock_text(value: datetime) -> str:
    """'14:30:05 ET'."""
    return f"{value.astimezone(NEW_YORK).isoformat()[11:19]} ET"


def moment(value: datetime, style: str = "datetime") -> SafeString:
    """A moment as <time>, in the styles of the filter `dt`; raises TypeError without a zone."""
    if value.tzinfo is None:
        raise TypeError("a moment needs a time zone")
    utc, local = value.astimezone(UTC).isoformat(), value.astimezone(NEW_YORK)  # no strftime: slow
    if style == "date":
        text = day_text(local)
    elif style == "time":
        text = clock_text(value)
    else:
        text = f"{day_text(local)}, {local.hour:02}:{local.minute:02} ET"
    age = " data-age" if style == "age" else ""
    return SafeString(  # nosec B703 - escaped above or made of constants
        f'<time datetime="{utc.removesuffix("+00:00")}Z" '
        f'title="{utc[:10]} {utc[11:19]} UTC"{age}>{text}</time>'
    )


def weekday_time(value: datetime) -> str:
    """'Mon 9:30 ET': when a market opens or closed, near enough that the weekday says which day."""
    local = value.astimezone(NEW_YORK)
    return f"{local:%a} {local.hour}:{local:%M} ET"


def at_close(closed_at: datetime | None) -> SafeString:
    """The mark of a price that no longer moves, gone once it does; nothing without a close."""
    if not closed_at:  # also where a template has no such variable
        return SafeString("")
    title = f"Last close, {weekday_time(closed_at)}"
    return SafeString(f'<span class="at-close stale-only" title="{title}">Close</span>')  # nosec B703 - escaped above or made of constants


# ── pictures, addresses ──────────────────────────────────────────────────────
@functools.cache
def icon(name: str, css: str = "") -> SafeString:
    """An icon of the sprite, hidden from screen readers: the words beside it say what it means."""
    return SafeString(  # nosec B703 - escaped above or made of constants
        f'<svg class="icon{_more(css)}" aria-hidden="true">'
        f'<use href="{escape(static("icons.svg"))}#{name}"/></svg>'
    )


@functools.cache
def address_plain(name: str) -> str:
    """The address of a route without arguments."""
    return reverse(name)


@functools.cache
def address(name: str) -> Callable[[object], str]:
    """What writes the addresses of a route with one argument, escaped; reverse() is asked once.

    The argument is what `reverse` would be handed; whether the route takes it is not checked.
    """
    mark = "8070605040302010"  # a number and a text, and in no address of ours
    before, _, after = reverse(name, args=[mark]).partition(mark)

    def write(argument: object) -> str:
        if isinstance(argument, int):
            return f"{before}{argument}{after}"
        return escape(f"{before}{quote(str(argument), safe=_IN_A_PATH)}{after}")

    return write


_IN_A_PATH: Final = RFC3986_SUBDELIMS + "/~:@"  # as reverse() has it
