"""Orders in templates: `{% load trading_ui %}`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.template import Context
from django.template.defaulttags import CsrfTokenNode
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from speedtrade.lib.money import plain
from trading import order_rows, words
from trading.models import Fill, Order, TradingHalt
from trading.reviews import held_from, skips_reviews
from trading.selectors.orders import average_price
from trading.standing import market_turns_in, standing_of

register = template.Library()

register.filter("order_title", words.order_title)
register.filter("order_kind", words.order_kind)
register.filter("unit_words", words.unit_words)
register.filter("short_name", words.short_name)
register.filter("average_price", average_price)
register.filter("filled_of", words.filled_words)
register.filter("plain", plain)
register.filter("skips_reviews", skips_reviews)
register.filter("held_from", held_from)


register.filter("cancelable", order_rows.cancelable)
register.simple_tag(order_rows.order_status, name="order_status")


@register.simple_tag(takes_context=True, name="order_rows")
def rows(context: Context, orders: Iterable[Order], back: str) -> SafeString:
    """{% order_rows found address %}: the rows of a table of orders."""
    return order_rows.order_rows(orders, back, _guard(context))


@register.simple_tag
def standing_mark(
    halt: TradingHalt | None, account: BrokerageAccount | None, instrument: Instrument | None
) -> str:
    """What decides whether a page takes orders, in one word: another one means something else."""
    return standing_of(halt or None, account or None, instrument or None, timezone.now())


@register.simple_tag
def market_turn(instrument: Instrument | None) -> int | None:
    """In how many seconds the market of the page opens or closes; None where it never does."""
    return market_turns_in(instrument or None, timezone.now())


@register.simple_tag(takes_context=True)
def cancel_form(context: Context, order: Order, back: str = "") -> SafeString:
    """The button that cancels an order which is `cancelable`, and leads `back`."""
    return order_rows.cancel_form(order, back, _guard(context))


def _guard(context: Context) -> str:
    """What {% csrf_token %} writes: drawn once for all rows, and not once a row."""
    return CsrfTokenNode().render(context)


@register.filter
def tif_words(code: str) -> str:
    """'Good for the day' for 'day'."""
    return words.TIF_WORDS.get(code, (code.upper(), ""))[0]


@register.filter
def proof(fill: Fill) -> dict[str, Any]:
    """The evidence of a fill: bid, ask, level, displayed, bound, at, and the rule in words."""
    said = dict(fill.evidence)
    said["rule_words"] = words.RULE_WORDS.get(said.get("rule", ""), "")
    said["at"] = datetime.fromisoformat(said["quote_at"]) if said.get("quote_at") else None
    return said
