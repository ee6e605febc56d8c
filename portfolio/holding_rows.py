"""The rows of the table of holdings, joined in Python: fifty are a page, each has a dozen numbers.

The page and what htmx fetches anew both have them from here, by `{% holding_rows %}`.
"""

from collections.abc import Collection, Iterable
from html import escape

from django.utils.safestring import SafeString

from marketdata.domain.symbols import symbol_slug
from portfolio.holdings import Holding
from speedtrade.lib.formats import money_text, pct_text, price_text, qty_text
from speedtrade.lib.markup import (
    address,
    at_close,
    change_said,
    change_span,
    data,
    icon,
    live_attributes,
    live_data,
)


def holding_rows(holdings: Iterable[Holding], columns: Collection[str]) -> SafeString:
    """A body of the table for each holding: its row with these columns, and its lots below."""
    return SafeString("".join(_body(holding, columns) for holding in holdings))  # nosec B703 - each row is safe


def _body(holding: Holding, columns: Collection[str]) -> str:
    held = holding.row.held
    symbol = escape(held.symbol)
    page = address("marketdata:symbol")(symbol_slug(held.symbol))
    lots = address("portfolio:lots")(held.position_id)
    on_sale = f", {data(held.reserved, qty_text(held.reserved))} on sale" if held.reserved else ""
    return f"""<tbody>
<tr data-row{" data-stale" if holding.row.stale else ""}>
<th scope="row"><a class="plain-link strong" href="{page}">{symbol}</a>\
<span class="small muted row-name">{data(held.qty, qty_text(held.qty))}{on_sale}</span></th>
{_cells(holding, columns)}
</tr>
<tr class="more-row"><td colspan="9"><div class="more-line">
<details><summary>{icon("more", "sm turn")}Lots<span class="vh"> of {symbol}</span></summary>
<div hx-get="{lots}" hx-trigger="toggle from:closest details once" hx-target="this" \
hx-swap="innerHTML"><a href="{lots}">Lots of {symbol}</a></div>
</details>
<a class="btn sm close-position" href="{page}?side=sell&amp;share=100#ticket">Close position</a>
</div></td></tr>
</tbody>
"""


def _cells(holding: Holding, columns: Collection[str]) -> str:
    """The chosen columns, and the value, which a phone always shows with the return below it."""
    row, held, tick = holding.row, holding.row.held, holding.instrument.price_tick
    symbol, mark, cells = held.symbol, at_close(holding.closed_at), []
    closed = f"{mark}\n" if mark else ""
    way, said = change_said(row.unrealized_pl, row.unrealized_pl_pct)
    follows = live_attributes(symbol, "pl", qty=held.qty, cost=held.cost_basis)
    if "price" in columns:
        price, quoted = row.current_price, live_attributes(symbol, "last", tick=tick)
        cells.append(_cell(closed + live_data(price, price_text(price, tick), quoted)))
    if "cost" in columns:
        cells.append(_cell(data(row.avg_price, price_text(row.avg_price, tick))))
    if "paid" in columns:
        cells.append(_cell(data(held.cost_basis, money_text(held.cost_basis))))
    beside_price = ' class="only-narrow"' if "price" in columns else ""
    worth = live_attributes(symbol, "value", qty=held.qty)
    cells.append(
        f'<td class="num strong{"" if "value" in columns else " only-narrow"}">'
        f"<span{beside_price}>{closed}</span>"
        f"{live_data(row.market_value, money_text(row.market_value), worth)}"
        f'<span class="only-narrow row-name">'
        f"{change_span(way, said, 'two-lines small', follows)}</span></td>"
    )
    if "return" in columns:
        cells.append(_cell(change_span(way, said, "two-lines", follows)))
    if "day" in columns:
        cells.append(_cell(change_span(*change_said(row.day_pl))))
    if "share" in columns:
        cells.append(_cell(data(row.share_pct, pct_text(row.share_pct)), " muted"))
    if "realised" in columns:
        cells.append(_cell(change_span(*change_said(held.realized_pl))))
    return "\n".join(cells)


def _cell(content: str, css: str = "") -> str:
    return f'<td class="num only-wide{css}">{content}</td>'
