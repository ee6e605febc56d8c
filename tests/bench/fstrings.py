"""The floor of a page: its rows as f-strings, each number formatted once, each attribute there."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from trading.models import Order


def rows_page(holdings: list[Any], orders: list[Order]) -> str:
    """The rows of the portfolio and of the page of orders, with the markup that the pages have."""
    parts = [_holding(holding.row, holding.row.held) for holding in holdings]
    parts += [_order(order) for order in orders]
    return "".join(parts)


def _money(value: Decimal) -> str:
    return f"${value:,.2f}"


def _change(value: Decimal, percent: Decimal) -> str:
    way, arrow = ("up", "▲") if value > 0 else ("down", "▼")
    return f"""<span class="chg {way} two-lines" data-f="pl">
<span class="arrow" aria-hidden="true">{arrow}</span><span class="vh">{way}</span>
<span class="num">{value:+,.2f} ({percent:+.2f}%)</span></span>"""


def _holding(row: Any, held: Any) -> str:
    symbol, qty, cost = held.symbol, f"{held.qty.normalize():f}", f"{held.cost_basis:f}"
    change = _change(row.unrealized_pl, row.unrealized_pl_pct)
    day = _change(row.day_pl, row.unrealized_pl_pct)
    live = f'data-symbol="{symbol}" data-qty="{qty}" data-cost="{cost}"'
    lots = f"/portfolio/lots/{held.position_id}"
    return f"""<tbody><tr data-row>
<th scope="row"><a class="plain-link strong" href="/markets/{symbol}">{symbol}</a>
<span class="small muted row-name"><data value="{qty}">{qty}</data></span></th>
<td class="num only-wide"><data class="num" {live} data-f="last" value="{row.current_price:f}">
{row.current_price:,.2f}</data></td>
<td class="num only-wide"><data value="{row.avg_price:f}">{row.avg_price:,.2f}</data></td>
<td class="num only-wide"><data value="{cost}">{_money(held.cost_basis)}</data></td>
<td class="num strong"><data class="num" {live} data-f="value" value="{row.market_value:f}">
{_money(row.market_value)}</data><span class="only-narrow row-name">{change}</span></td>
<td class="num only-wide">{change}</td><td class="num only-wide">{day}</td>
<td class="num only-wide muted"><data value="{row.share_pct:f}">{row.share_pct:.2f}%</data></td>
</tr><tr class="more-row"><td colspan="9"><div class="more-line"><details><summary>
<svg class="icon sm turn" aria-hidden="true"><use href="/static/icons.svg#more"/></svg>Lots
<span class="vh"> of {symbol}</span></summary><div hx-get="{lots}"
hx-trigger="toggle from:closest details once" hx-target="this" hx-swap="innerHTML">
<a href="{lots}">Lots of {symbol}</a></div></details><a class="btn sm close-position"
href="/markets/{symbol}?side=sell&amp;share=100#ticket">Close position</a></div></td></tr>
</tbody>"""


def _order(order: Order) -> str:
    at: datetime = order.created_at
    qty, filled = f"{(order.qty or 0):f}", f"{order.filled_qty.normalize():f}"
    limit = order.limit_price or order.price_bound
    return f"""<tr><th scope="row"><a class="quiet" href="/orders/{order.pk}">
{order.side.title()} {qty} {order.instrument.symbol}</a><span class="small muted row-name">
{order.order_type} · <time datetime="{at:%Y-%m-%dT%H:%M:%S}Z" title="{at:%Y-%m-%d %H:%M:%S} UTC"
data-age>{at:%b} {at.day}, {at:%H:%M} ET</time></span></th>
<td class="num only-wide"><data value="{limit:f}">{limit:,.2f}</data></td>
<td class="num only-wide">{filled} of {qty}<progress max="100" value="0"
aria-label="Filled: {filled} of {qty}"></progress></td>
<td class="num only-wide"><data value="{limit:f}">{limit:,.2f}</data></td>
<td><span class="status info"><svg class="icon" aria-hidden="true"><use
href="/static/icons.svg#live"/></svg>{order.state}</span></td><td class="end">
<form method="post" action="/orders/{order.pk}/cancel" hx-post="/orders/{order.pk}/cancel">
<input type="hidden" name="back" value="/orders"><button class="btn sm">Cancel</button></form>
</td></tr>"""
