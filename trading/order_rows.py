"""Orders in lists, joined in Python: fifty rows are a page, each with a form of its own.

Pages and what htmx fetches anew both have them from here, by the tags of `trading_ui`.
"""

from collections.abc import Iterable
from html import escape

from django.utils.safestring import SafeString

from speedtrade.lib.formats import price_text
from speedtrade.lib.markup import address, data_or_missing, icon, moment
from trading import words
from trading.domain.orders import OrderState
from trading.models import Order
from trading.selectors.orders import average_price

NOT_CANCELABLE = frozenset({OrderState.PENDING_CANCEL, OrderState.PENDING_REPLACE, OrderState.LOST})


def cancelable(order: Order) -> bool:
    """Whether a cancel can be asked for: it is open, and nobody has asked for anything yet."""
    return order.is_open and order.state not in NOT_CANCELABLE


def filled_share(order: Order) -> int:
    """How much of an order is filled, 0 to 100, for a progress bar."""
    if order.qty is not None:
        return int(order.filled_qty * 100 / order.qty)
    return int(order.filled_notional * 100 / order.notional) if order.notional else 0


def order_status(order: Order) -> SafeString:
    """The status of an order as icon, words and colour."""
    said = words.status_words(order)
    return SafeString(f'<span class="pill {said.css}">{icon(said.icon)}{escape(said.text)}</span>')  # nosec B703 - text is escaped


def order_rows(orders: Iterable[Order], back: str, guard: str) -> SafeString:
    """A row of the table for each order; `back` and `guard` as `cancel_form` takes them."""
    return SafeString("".join(_row(order, back, guard) for order in orders))  # nosec B703 - each row is safe


def _row(order: Order, back: str, guard: str) -> str:
    tick, average, filled = order.instrument.price_tick, average_price(order), _filled(order)
    limit = data_or_missing(order.limit_price, price_text(order.limit_price, tick))
    bar = f'max="100" value="{filled_share(order)}" aria-label="Filled: {filled}"></progress>'
    narrow_bar = f'<progress class="only-narrow" {bar}' if order.state == "partially_filled" else ""
    return f"""<tr>
<th scope="row">
<a class="quiet" href="{address("trading:order")(order.pk)}">{escape(words.order_title(order))}</a>
<span class="small muted row-name">{order_line_words(order)}</span>
</th>
<td class="num only-wide">{limit}</td>
<td class="num only-wide">{filled}<progress {bar}</td>
<td class="num only-wide">{data_or_missing(average, price_text(average, tick))}</td>
<td>{order_status(order)}{narrow_bar}</td>
<td class="end">{cancel_form(order, back, guard) if cancelable(order) else ""}</td>
</tr>
"""


def order_line_words(order: Order) -> str:
    """What stands below an order's title: its kind and its age."""
    return f"{escape(words.order_kind(order))} · {moment(order.created_at, 'age')}"


def _filled(order: Order) -> str:
    return escape(words.filled_words(order))


def cancel_form(order: Order, back: str, guard: str) -> SafeString:
    """The button that cancels an open order; one that has filled in part asks first.

    `back` is an address of ours to return to, or ""; `guard` the hidden field that proves that the
    form is of our page. The names let a list that is fetched anew keep the question open and the
    focus where they are (`parts.js`).
    """
    to, number = address("trading:order_cancel")(order.pk), order.pk
    label = f'Cancel<span class="vh"> order {number}</span>'
    sent = (
        f'method="post" action="{to}" hx-post="{to}" hx-swap="none" hx-sync="this:drop" data-once'
    )
    fields = guard + (f'<input type="hidden" name="next" value="{escape(back)}">' if back else "")
    if not order.filled_qty:
        return SafeString(f"""<form class="over" {sent}>
{fields}
<button id="cancel-{number}" class="btn danger sm">{label}</button>
</form>""")  # nosec B703 - back is escaped
    return SafeString(f"""<details id="sure-{number}" class="sure over">
<summary id="cancel-{number}" class="btn danger sm">{label}</summary>
<form class="stack-sm" {sent}>
{fields}
<p>{_filled(order)} have filled and stay. Cancel the rest?</p>
<button id="cancel-rest-{number}" class="btn danger sm wide">Cancel the rest</button>
</form>
</details>""")  # nosec B703 - back is escaped
