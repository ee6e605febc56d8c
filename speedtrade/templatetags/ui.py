"""What every template may use without loading it: numbers, changes, times, icons, small pictures.

Filters and tags take Decimal or text, never a float. `*_text` gives words for an attribute or a
title; the others give markup. The rules of the numbers are in `speedtrade/lib/formats.py`.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Any

from django import template
from django.template import Context
from django.template.base import Parser, Token
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as django_url
from django.urls import NoReverseMatch
from django.utils.crypto import get_random_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from speedtrade.lib import formats, markup
from speedtrade.lib.curls import CALLS, curls_for
from speedtrade.lib.money import plain
from speedtrade.lib.terms import TERMS

register = template.Library()

SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 72, 28, 60
DONUT_PALETTE = 6
HERO = " data-hero"

#: public status of an order -> (words, colour class, icon)
ORDER_STATUS: dict[str, tuple[str, str, str]] = {
    "pending_new": ("Sending", "info", "clock"),
    "accepted": ("Accepted", "info", "check"),
    "new": ("Working", "info", "live"),
    "held": ("Waiting for entry", "info", "hourglass"),
    "partially_filled": ("Partly filled", "warn", "partial"),
    "filled": ("Filled", "gain", "ok"),
    "pending_cancel": ("Cancelling", "warn", "clock"),
    "canceled": ("Cancelled", "", "ban"),
    "pending_replace": ("Changing", "warn", "clock"),
    "replaced": ("Replaced", "", "retry"),
    "expired": ("Expired", "", "hourglass"),
    "rejected": ("Rejected", "loss", "bad"),
    "suspended": ("On hold at the broker", "warn", "warn"),
}


@register.simple_tag
def missing() -> SafeString:
    """A dash, said as 'not available'."""
    return markup.MISSING


# ── numbers ─────────────────────────────────────────────────────────────────
register.filter("money_text", formats.money_text)
register.filter("price_text", formats.price_text)
register.filter("qty_text", formats.qty_text)
register.filter("pct_text", formats.pct_text)
register.filter("compact_text", formats.compact_text)
register.filter("direction", formats.direction)


@register.filter("money")
def money_data(value: Any) -> SafeString:
    """An amount in dollars: {{ cash|money }}."""
    return markup.data_or_missing(value, formats.money_text(value))


@register.filter("price")
def price_data(value: Any, tick: Any = None) -> SafeString:
    """A price with the decimals of its tick: {{ p|price:instrument.price_tick }}."""
    return markup.data_or_missing(value, formats.price_text(value, tick))


@register.filter("qty")
def qty_data(value: Any) -> SafeString:
    """Shares or coins, without trailing zeros: {{ order.qty|qty }}."""
    return markup.data_or_missing(value, formats.qty_text(value))


@register.filter("pct")
def pct_data(value: Any) -> SafeString:
    """A number that is already in percent: {{ share|pct }}."""
    return markup.data_or_missing(value, formats.pct_text(value))


@register.filter("compact")
def compact_data(value: Any) -> SafeString:
    """A large count, '1.24M', with the whole number as its title."""
    amount = formats.number(value)
    if amount is None:
        return markup.MISSING
    text, whole = formats.compact_text(amount), formats.qty_text(amount)
    return format_html('<data value="{}" title="{}">{}</data>', format(amount, "f"), whole, text)


@register.simple_tag
def change(
    amount: Any,
    percent: Any = None,
    *,
    tick: Any = None,
    symbol: str = "",
    field: str = "change",
    qty: Any = None,
    cost: Any = None,
    css: str = "",
) -> SafeString:
    """A gain or loss: arrow, hidden word, sign and colour, so that colour is never the only cue.

    {% change order.pl order.pl_pct %}. With symbol= it follows a quote: field="change" (with tick=)
    or "change_pct" of the day, "pl" (qty= and cost=) of a position. Without a symbol,
    field="total_pl" or "day_pl" follows the account.
    """
    if not symbol and formats.number(amount) is None and formats.number(percent) is None:
        return markup.MISSING
    attributes = markup.live_attributes(symbol, field, tick=tick, qty=qty, cost=cost)
    if not symbol and field != "change":
        attributes = f' data-portfolio="{field}"'
    return markup.change_span(*markup.change_said(amount, percent, tick), css, attributes)


@register.simple_tag
def live(
    symbol: str,
    value: Any,
    *,
    field: str = "last",
    tick: Any = None,
    qty: Any = None,
    css: str = "",
    hero: bool = False,
) -> SafeString:
    """A number of a quote that follows it: {% live "AAPL" quote.last tick=instrument.price_tick %}.

    `field` is last, bid, ask (prices), as_of (a time of day) or value (last x qty=, money).
    The one number of a page that its chart speaks through has hero=True.
    """
    amount = formats.number(value) if field != "as_of" else None
    if field == "as_of":
        text = markup.clock_text(value) if isinstance(value, datetime) else formats.MISSING
    elif field == "value":
        text = formats.money_text(amount)
    else:
        text = formats.price_text(amount, tick)
    attributes = markup.live_attributes(symbol, field, tick=tick, qty=qty)
    return markup.live_data(amount, text, attributes + (HERO if hero else ""), css)


@register.simple_tag
def live_money(field: str, value: Any, css: str = "", hero: bool = False) -> SafeString:
    """An amount of the account that follows it: {% live_money "cash_balance" v %}."""
    amount = formats.number(value)
    attributes = f' data-portfolio="{field}"{HERO if hero else ""}'
    return markup.live_data(amount, formats.money_text(amount), attributes, css)


# ── addresses ────────────────────────────────────────────────────────────────
class _Address(URLNode):
    """`{% url name %}` without arguments: one text per process, and thirty of them in a shell."""

    def render(self, context: Context) -> str:
        if getattr(getattr(context, "request", None), "current_app", None) is not None:
            return super().render(context)  # the admin's pages choose among sites
        try:
            address = markup.address_plain(self.view_name.resolve(context))
        except NoReverseMatch:
            return super().render(context)
        if self.asvar:
            context[self.asvar] = address
            return ""
        return escape(address)


@register.tag("url")
def url(parser: Parser, token: Token) -> URLNode:
    """Django's {% url %}, which does not look up the same address on every page."""
    node = django_url(parser, token)
    if node.args or node.kwargs:
        return node
    return _Address(node.view_name, [], {}, node.asvar)


@register.inclusion_tag("components/_api_calls.html", takes_context=True)
def api_calls(context: Context) -> dict[str, Any]:
    """The API calls for the page that is rendered, or nothing: `speedtrade/lib/curls.py`."""
    request = context["request"]
    match, shown = request.resolver_match, context.get("shown")
    if match is None or match.view_name not in CALLS:
        return {}
    lines = curls_for(
        match.view_name,
        origin=request.build_absolute_uri("/").rstrip("/"),
        names=match.kwargs,
        asked=request.GET,
        account_id=shown.pk if shown else None,
    )
    return {"lines": lines}


# ── words ───────────────────────────────────────────────────────────────────
@register.simple_tag
def term(key: str, words: str = "") -> SafeString:
    """Words with a "?" that explains them: {% term "buying-power" "Buying power" %}.

    Keys are those of `speedtrade/lib/terms.py`; without words it is the term's own title. Not
    inside a label or a link. The id is drawn, because a fragment that htmx brings later must not
    repeat one of its page.
    """
    known, place = TERMS[key], f"term-{key}-{get_random_string(6)}"
    title = escape(known.title)
    begin, space, last = (words or known.title).rpartition(" ")
    what = f'{markup.icon("help", "sm")}<span class="vh">What does {title} mean?</span>'
    terms = f"{markup.address_plain('learn-terms')}#{key}"
    more = markup.address("learn-page")(known.learn)
    return SafeString(  # nosec B703 - escaped above or made of constants
        # The "?" goes to the next line with the last word, never alone.
        f'<span class="term">{escape(begin)}{space}<span class="nowrap">{escape(last)}'
        f'<button type="button" class="what" popovertarget="{place}">{what}</button>'
        f'<a class="what what-link" href="{terms}">{what}</a></span></span>'
        f'<span class="term-pop" id="{place}" popover><b>{title}</b>'
        f"<span>{escape(known.text)}</span>"
        f'<a href="{more}">Learn more<span class="vh"> about {title}</span></a></span>'
    )


# ── times ───────────────────────────────────────────────────────────────────
@register.filter
def dt(value: Any, style: str = "datetime") -> SafeString:
    """A moment as <time>: "datetime" (default), "date", "time" (with seconds) or "age".

    Times are New York's; the exact moment in UTC is in the title. "age" is made relative
    ('2 min ago') by ui.js and reads as a date and time without it.
    """
    if value is None or value == "":
        return markup.MISSING
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return markup.moment(value, style)
    if isinstance(value, date):
        day = markup.day_text(value)
        return SafeString(f'<time datetime="{value.isoformat()}">{day}</time>')  # nosec B703 - escaped above or made of constants
    raise TypeError(f"{value!r} is no date and no time")


register.filter("weekday_time", markup.weekday_time)
register.filter("at_close", markup.at_close)


@register.filter
def wait(seconds: int | str) -> str:
    """How long to wait, in one unit and never too short: '4 minutes'; door.js says the same."""
    seconds = int(seconds)
    size, unit = (60, "minute") if seconds >= 60 else (1, "second")
    count = -(-seconds // size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


# ── pictures ────────────────────────────────────────────────────────────────
register.simple_tag(markup.icon, name="icon")


@register.simple_tag
def sparkline(values: Iterable[Any], css: str = "") -> SafeString:
    """A small line of prices, oldest first, as inline SVG; decoration beside a change in words."""
    prices = [price for value in values if (price := formats.number(value)) is not None]
    if len(prices) < 2:
        return SafeString("")
    stride = max(1, -(-len(prices) // SPARK_POINTS))
    last = prices[-1]
    prices = [*prices[:-1:stride], last]
    way = formats.direction(prices[-1] - prices[0])
    return format_html(
        '<svg class="spark {}{}" viewBox="0 0 {} {}" aria-hidden="true"><path d="{}"/></svg>',
        way,
        f" {css}" if css else "",
        SPARK_WIDTH,
        SPARK_HEIGHT,
        _path(prices),
    )


def _path(prices: Sequence[Decimal]) -> str:
    low, high = min(prices), max(prices)
    span = high - low or Decimal(1)
    step = Decimal(SPARK_WIDTH) / (len(prices) - 1)
    points = (
        f"{step * n:.1f} {(high - price) / span * (SPARK_HEIGHT - 2) + 1:.1f}"
        for n, price in enumerate(prices)
    )
    return "M" + "L".join(points)


@register.simple_tag
def depth_bar(share: Any, side: str) -> SafeString:
    """The bar behind a row of an order book: `share` of the largest size, 0 to 100."""
    width = formats.number(share) or Decimal(0)
    return format_html(
        '<svg class="depth {}" aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 100 1">'
        '<rect width="{}" height="1"/></svg>',
        side,
        f"{min(max(width, Decimal(0)), Decimal(100)):.1f}",
    )


@register.simple_tag
def donut(shares: Iterable[Any], colours: Sequence[int] = ()) -> SafeString:
    """Rings of a whole, in percent and in order; a table beside it says the same in words.

    Their colours are those of the palette in order, unless `colours` names others.
    """
    rings = []
    start = Decimal(0)
    for place, value in enumerate(shares):
        number = colours[place] if colours else place
        share = formats.number(value) or Decimal(0)
        rings.append(
            format_html(
                '<circle class="slice-{}" cx="21" cy="21" r="15.9" pathLength="100" '
                'stroke-dasharray="{} 100" stroke-dashoffset="{}"/>',
                number % DONUT_PALETTE,
                f"{max(share - Decimal('0.6'), Decimal('0.2')):.2f}",
                f"{-start:.2f}",
            )
        )
        start += share
    return format_html(
        '<svg class="donut" viewBox="0 0 42 42" aria-hidden="true">{}</svg>',
        mark_safe("".join(rings)),  # noqa: S308 # nosec B308 B703 - each ring went through format_html
    )


@register.simple_tag
def status_pill(status: str) -> SafeString:
    """The public status of an order as icon, words and colour."""
    words, css, name = ORDER_STATUS.get(status, (status.replace("_", " ").capitalize(), "", "info"))
    return format_html('<span class="pill {}">{}{}</span>', css, markup.icon(name), words)


@register.filter
def slug(symbol: str) -> str:
    """A symbol in an address: BTC/USD -> BTC-USD."""
    return symbol.replace("/", "-")


@register.filter
def glyph(symbol: str) -> str:
    """The letters in the round mark of a symbol: 'BTC/USD' -> 'BTC'."""
    return symbol.partition("/")[0][:4]


@register.simple_tag
def current(path: str, address: str) -> SafeString:
    """aria-current for a link of the navigation: on the page itself and below it."""
    here = bool(address) and (path == address or path.startswith(address.rstrip("/") + "/"))
    return mark_safe(' aria-current="page"') if here else SafeString("")  # nosec B308 - a constant


@register.filter
def words(text: str) -> list[str]:
    """The words of a constant, to loop over."""
    return text.split()


register.filter("plain", plain)
