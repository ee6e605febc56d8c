"""How orders read on a page: one place for the words, so that no two pages differ."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from marketdata.models import AssetType, Instrument
from speedtrade.lib.formats import money_text, pct_text, price_text, qty_text
from speedtrade.lib.money import plain
from trading.domain.estimates import Estimate
from trading.domain.orders import OrderIntent, OrderState, OrderType, Side
from trading.models import Order, OrderEvent

S = OrderState

TIF_WORDS = {
    "day": ("Good for the day", "What is not filled when the market closes is canceled."),
    "gtc": ("Until canceled", "It waits for up to 90 days, or until you cancel it."),
    "ioc": ("At once, in part", "What fills immediately fills, the rest is canceled."),
    "fok": ("All or nothing", "All of it fills immediately, or none of it does."),
}
TYPE_WORDS = {
    "market": ("Market", "Trades at once at the best price on display."),
    "limit": ("Limit", "Trades at your price or a better one, or waits for it."),
}
SOURCE_WORDS = {
    "page": "on a page",
    "api": "by the API",
    "admin": "by support",
    "command": "by a command",
    "worker": "by the system",
    "venue": "by the paper market",
    "poll": "by asking the broker",
    "stream": "by the broker",
    "external": "by the broker",
    "sweep": "by the system",
}
RULE_WORDS = {
    "displayed-depth-1": "Best displayed price first, never more than the size on display, never "
    "beyond the order's own bound.",
}


@dataclass(frozen=True, slots=True)
class StatusWords:
    """A status as a pill: words, colour class, icon. `outcomes` has the sentences."""

    text: str
    css: str
    icon: str


_STATUS: dict[OrderState, StatusWords] = {
    S.PENDING: StatusWords("Submitting", "info", "clock"),
    S.SUBMITTING: StatusWords("Submitting", "info", "clock"),
    S.LOST: StatusWords("Being checked", "warn", "warn"),
    S.ACCEPTED: StatusWords("Queued", "info", "hourglass"),
    S.NEW: StatusWords("Working", "info", "live"),
    S.PARTIALLY_FILLED: StatusWords("Partially filled", "warn", "partial"),
    S.PENDING_CANCEL: StatusWords("Canceling, may still fill", "warn", "clock"),
    S.PENDING_REPLACE: StatusWords("Updating", "warn", "clock"),
    S.SUSPENDED: StatusWords("Pending at the broker", "warn", "warn"),
    S.FILLED: StatusWords("Filled", "gain", "ok"),
    S.CANCELED: StatusWords("Canceled", "", "ban"),
    S.EXPIRED: StatusWords("Expired", "", "hourglass"),
    S.REJECTED: StatusWords("Rejected", "loss", "bad"),
    S.REPLACED: StatusWords("Replaced", "", "retry"),
}


def status_words(order: Order) -> StatusWords:
    """The words of an order's status, with how far a partial fill has come."""
    words = _STATUS[OrderState(order.state)]
    if order.state == S.PARTIALLY_FILLED:
        text = f"{words.text} {filled_words(order)}"
        return StatusWords(text, words.css, words.icon)
    if order.state in {S.CANCELED, S.EXPIRED} and order.filled_qty:
        text = f"{words.text}, {qty_text(order.filled_qty)} filled"
        return StatusWords(text, words.css, words.icon)
    return words


def filled_words(order: Order) -> str:
    """How far an order has come: '3 of 5', '$200.00 of $500.00'."""
    if order.qty is not None:
        return f"{qty_text(order.filled_qty)} of {qty_text(order.qty)}"
    return f"{money_text(order.filled_notional)} of {money_text(order.notional)}"


# ── amounts and sentences ────────────────────────────────────────────────────
def unit_words(instrument: Instrument, qty: Decimal | None = None) -> str:
    """'shares', 'share' for exactly one, or the coin: 'BTC'."""
    if instrument.asset_type == AssetType.CRYPTO:
        return instrument.symbol.partition("/")[0]
    return "share" if qty == 1 else "shares"


def short_name(instrument: Instrument) -> str:
    """'AAPL', 'BTC'."""
    return instrument.symbol.partition("/")[0]


def amount_words(instrument: Instrument, qty: Decimal | None, notional: Decimal | None) -> str:
    """'5 shares of AAPL', '0.5 BTC', '$50.00 of AAPL'."""
    name = short_name(instrument)
    if qty is None:
        return f"{money_text(notional)} of {name}"
    if instrument.asset_type == AssetType.CRYPTO:
        return f"{qty_text(qty)} {name}"
    return f"{qty_text(qty)} {unit_words(instrument, qty)} of {name}"


def order_title(order: Order) -> str:
    """'Buy 5 AAPL', 'Sell $50.00 of BTC': an order in a list."""
    name = short_name(order.instrument)
    if order.qty is None:
        return f"{order.side.title()} {money_text(order.notional)} of {name}"
    return f"{order.side.title()} {qty_text(order.qty)} {name}"


def order_kind(order: Order) -> str:
    """'Market', 'Limit $180.00', 'Stop Limit $90.00, limit $89.00', 'Trailing Stop by 2.50%'."""
    name = TYPE_WORDS.get(order.order_type, (order.order_type.replace("_", " ").title(), ""))[0]
    tick = order.instrument.price_tick
    parts = []
    if order.stop_price is not None:
        parts.append(price_text(order.stop_price, tick))
    if order.trail_price is not None:
        parts.append(f"by {price_text(order.trail_price, tick)}")
    if order.trail_percent is not None:
        parts.append(f"by {pct_text(order.trail_percent)}")
    if order.limit_price is not None:
        price = price_text(order.limit_price, tick)
        parts.append(f"limit {price}" if parts else price)
    return " ".join([name, ", ".join(parts)]) if parts else name


def ticket_values(order: Order, qty: Decimal | None = None) -> dict[str, str]:
    """The fields of a ticket that asks for the same again, or for `qty` of it."""
    qty = order.qty if qty is None else qty
    amount = order.notional if qty is None else qty
    values = {
        "side": order.side,
        "order_type": order.order_type,
        "unit": "dollars" if qty is None else "shares",
        "amount": plain(amount) if amount is not None else "",
        "limit_price": plain(order.limit_price) if order.limit_price is not None else "",
        "time_in_force": order.time_in_force,
    }
    return {name: value for name, value in values.items() if value}


def intent_sentence(intent: OrderIntent, likely: Estimate, instrument: Instrument) -> str:
    """'Buy 5 shares of AAPL at market, about $921.60.' in one sentence, limits included."""
    what = f"{intent.side.value.title()} {amount_words(instrument, intent.qty, intent.notional)}"
    worth = (
        money_text(likely.amount)
        if intent.qty is not None
        else f"{qty_text(likely.qty)} {unit_words(instrument, likely.qty)}"
    )
    if intent.order_type != OrderType.LIMIT or intent.limit_price is None:
        return f"{what} at market, about {worth}."
    price = price_text(intent.limit_price, instrument.price_tick)
    bound = "or less" if intent.side == Side.BUY else "or more"
    return f"{what} at {price} {bound}, about {worth}."


def open_words(at: datetime) -> str:
    """'Mon 9:30 ET' for a moment in New York."""
    return f"{at:%a} {at.hour}:{at:%M} ET"


# ── the life of an order ─────────────────────────────────────────────────────
_EVENTS: dict[OrderState, tuple[str, str]] = {
    S.PENDING: ("Placed", ""),
    S.SUBMITTING: ("Sent", ""),
    S.LOST: ("No answer from the broker", "loss"),
    S.ACCEPTED: ("Accepted", ""),
    S.NEW: ("Working", ""),
    S.PARTIALLY_FILLED: ("Partially filled", "gain"),
    S.PENDING_CANCEL: ("Cancel asked for", ""),
    S.PENDING_REPLACE: ("Change asked for", ""),
    S.SUSPENDED: ("On hold at the broker", "loss"),
    S.FILLED: ("Filled", "gain"),
    S.CANCELED: ("Canceled", "loss"),
    S.EXPIRED: ("Expired", "loss"),
    S.REJECTED: ("Rejected", "loss"),
    S.REPLACED: ("Replaced", ""),
}
_OBVIOUS = {"placed", "cancel asked for"}  # reasons that the headline says already


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, slots=True)
class Moment:
    """A row of a timeline: headline, what is known beyond it, colour class, when."""

    text: str
    detail: str
    css: str
    at: datetime


def event_moment(event: OrderEvent) -> Moment:
    """One OrderEvent in words: what, why, by whom."""
    text, css = _EVENTS[OrderState(event.new_state)]
    if event.new_state == S.PENDING and event.old_state:
        text = "Not sent yet: will be tried again"
    if event.new_state == event.old_state:
        text, css = "News that we cannot read", "loss"
    reason = event.reason.rstrip(".") if event.reason not in _OBVIOUS else ""
    who = SOURCE_WORDS.get(event.source, f"by {event.source}")
    if event.actor:
        who = f"{event.actor.get_username()}, {who}"
    elif not reason:
        who = upper_first(who)
    return Moment(text, f"{upper_first(reason)}, {who}" if reason else who, css, event.at)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the stepper: done, now, next or ended (it will not come)."""

    text: str
    state: Literal["done", "now", "next", "ended"]
    at: datetime | None


def order_steps(order: Order) -> list[Step]:
    """Sent, accepted, filled; an order that ended otherwise says so in place of the last step."""
    state = OrderState(order.state)
    sent, accepted = order.submitted_at, order.accepted_at
    steps = [_step("Sent", sent, True), _step("Accepted", accepted, sent is not None)]
    if state == S.FILLED:
        return [*steps, Step("Filled", "done", order.filled_at)]
    if not order.is_open:
        reached = [step for step in steps if step.at is not None]
        return [*reached, Step(_EVENTS[state][0], "ended", order.closed_at)]
    words = f"Filling {filled_words(order)}" if state == S.PARTIALLY_FILLED else "Filled"
    return [*steps, _step(words, None, accepted is not None)]


def _step(text: str, at: datetime | None, reached: bool) -> Step:
    if at is not None:
        return Step(text, "done", at)
    return Step(text, "now" if reached else "next", None)
