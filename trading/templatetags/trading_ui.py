"""Orders in templates: `{% load trading_ui %}`."""

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import BrokerageAccount
from marketdata.models import Instrument
from speedtrade.lib.money import plain
from speedtrade.templatetags.ui import icon
from trading import words
from trading.domain.orders import OrderState
from trading.models import Fill, Order, TradingHalt
from trading.reviews import skips_reviews
from trading.selectors import average_price
from trading.standing import standing_of

register = template.Library()
NOT_CANCELABLE = frozenset({OrderState.PENDING_CANCEL, OrderState.PENDING_REPLACE, OrderState.LOST})

register.filter("order_title", words.order_title)
register.filter("order_kind", words.order_kind)
register.filter("unit_words", words.unit_words)
register.filter("short_name", words.short_name)
register.filter("average_price", average_price)
register.filter("filled_of", words.filled_words)
register.filter("plain", plain)
register.filter("skips_reviews", skips_reviews)


@register.simple_tag
def order_status(order: Order) -> SafeString:
    """The status of an order as icon, words and colour."""
    said = words.status_words(order)
    return format_html('<span class="pill {}">{}{}</span>', said.css, icon(said.icon), said.text)


@register.simple_tag
def standing_mark(
    halt: TradingHalt | None, account: BrokerageAccount | None, instrument: Instrument | None
) -> str:
    """What decides whether a page takes orders, in one word: another one means something else."""
    return standing_of(halt or None, account or None, instrument or None)


@register.filter
def cancelable(order: Order) -> bool:
    """Whether a cancel can be asked for: it is open, and nobody has asked for anything yet."""
    return order.is_open and order.state not in NOT_CANCELABLE


@register.filter
def filled_share(order: Order) -> int:
    """How much of an order is filled, 0 to 100, for a progress bar."""
    if order.qty is not None:
        return int(order.filled_qty * 100 / order.qty)
    return int(order.filled_notional * 100 / order.notional) if order.notional else 0


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
