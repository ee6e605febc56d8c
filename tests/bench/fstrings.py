"""The floor of a page: its rows as f-strings, each number formatted once, nothing asked twice.

`pages` looks that they are the rows that the pages show, to the letter but for white space.
"""

from datetime import UTC
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from trading.models import Order

NEW_YORK = ZoneInfo("America/New_York")
ICON = '<svg class="icon{}" aria-hidden="true"><use href="/static/icons.svg#{}"/></svg>'
MORE, LIVE = ICON.format(" sm turn", "more"), ICON.format("", "live")
NONE = '<span aria-hidden="true">—</span><span class="vh">not available</span>'


def rows_page(holdings: list[Any], orders: list[Order], token: str) -> str:
    """The rows of the portfolio and of the page of orders."""
    parts = [_holding(holding.row, holding.row.held, holding.instrument) for holding in holdings]
    parts += [_order(order, token) for order in orders]
    return "".join(parts)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _grouped(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(value: Decimal, unit: str = "", after: str = "") -> str:
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{unit}{abs(value):,.2f}{after}"


def _change(value: Decimal, said: str, more: str = "") -> str:
    way, arrow = ("up", "▲") if value > 0 else ("down", "▼") if value < 0 else ("flat", "")
    word = way if arrow else ""
    return (
        f'<span class="chg {way}{more}><span class="arrow" aria-hidden="true">{arrow}</span>'
        f'<span class="vh">{word}</span><span class="num">{said}</span></span>'
    )


def _holding(row: Any, held: Any, instrument: Any) -> str:
    symbol, qty, tick = held.symbol, _plain(held.qty), instrument.price_tick
    places = _places(tick)
    follow = f'data-symbol="{symbol}" data-f='
    pl = row.unrealized_pl
    said = f"{_signed(pl, '$')} ({_signed(row.unrealized_pl_pct, after='%')})"
    pl_of = f'" {follow}"pl" data-qty="{qty}" data-cost="{_plain(held.cost_basis)}"'
    page, lots = f"/markets/{symbol.replace('/', '-')}", f"/portfolio/lots/{held.position_id}"
    return f"""<tbody><tr data-row{" data-stale" if row.stale else ""}>
<th scope="row"><a class="plain-link strong" href="{page}">{symbol}</a>
<span class="small muted row-name"><data value="{held.qty:f}">{_grouped(held.qty)}</data></span>
</th>
<td class="num only-wide"><data class="num" {follow}"last" data-tick="{_plain(tick)}"
value="{row.current_price:f}">${row.current_price:,.{places}f}</data></td>
<td class="num only-wide"><data value="{row.avg_price:f}">${row.avg_price:,.{places}f}</data></td>
<td class="num strong"><span class="only-narrow"></span><data class="num" {follow}"value"
data-qty="{qty}" value="{row.market_value:f}">${row.market_value:,.2f}</data>
<span class="only-narrow row-name">{_change(pl, said, " two-lines small" + pl_of)}</span></td>
<td class="num only-wide">{_change(pl, said, " two-lines" + pl_of)}</td>
<td class="num only-wide">{_change(row.day_pl, _signed(row.day_pl, "$"), '"')}</td>
<td class="num only-wide muted"><data value="{row.share_pct:f}">{row.share_pct:.2f}%</data></td>
</tr><tr class="more-row"><td colspan="9"><div class="more-line"><details><summary>{MORE}Lots
<span class="vh"> of {symbol}</span></summary><div hx-get="{lots}"
hx-trigger="toggle from:closest details once" hx-target="this" hx-swap="innerHTML">
<a href="{lots}">Lots of {symbol}</a></div></details><a class="btn sm close-position"
href="{page}?side=sell&amp;share=100#ticket">Close position</a></div></td></tr></tbody>"""


def _places(tick: Decimal) -> int:
    return min(max(len(_plain(tick).partition(".")[2]), 2), 8)


def _order(order: Order, token: str) -> str:
    at, places = order.created_at, _places(order.instrument.price_tick)
    utc, local = at.astimezone(UTC).isoformat(), at.astimezone(NEW_YORK)
    qty, filled = _grouped(order.qty or Decimal(0)), _grouped(order.filled_qty)
    name, path = order.instrument.symbol.partition("/")[0], f"/orders/{order.pk}"
    limit = f"${order.limit_price:,.{places}f}"
    return f"""<tr><th scope="row"><a class="quiet" href="{path}">
{order.side.title()} {qty} {name}</a>
<span class="small muted row-name">Limit {limit} · <time datetime="{utc[:-6]}Z"
title="{utc[:10]} {utc[11:19]} UTC" data-age>{local:%b} {local.day}, {local.year}, {local:%H:%M} ET
</time></span></th>
<td class="num only-wide"><data value="{order.limit_price:f}">{limit}</data></td>
<td class="num only-wide">{filled} of {qty}<progress max="100" value="0"
aria-label="Filled: {filled} of {qty}"></progress></td>
<td class="num only-wide">{NONE}</td>
<td><span class="pill info">{LIVE}Working</span></td><td class="end">
<form class="over" method="post" action="{path}/cancel" hx-post="{path}/cancel" hx-swap="none"
hx-sync="this:drop" data-once><input type="hidden" name="csrfmiddlewaretoken" value="{token}">
<input type="hidden" name="next" value="/orders?status=all"><button id="cancel-{order.pk}"
class="btn danger sm">Cancel<span class="vh"> order {order.pk}</span></button></form></td></tr>"""
