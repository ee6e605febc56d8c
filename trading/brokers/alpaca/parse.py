"""Alpaca's replies, read into our words: tolerant of what is new, strict about what we rest on.

Numbers come as texts and stay exact. Whatever cannot be read raises Unreadable, which on a submit
means that nobody knows; a field that we do not need may be missing or new.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from speedtrade.lib.money import plain
from trading.brokers.base import BrokerFill, BrokerOrder, BrokerTerms
from trading.domain.orders import OrderState

logger = logging.getLogger(__name__)
S = OrderState

#: Alpaca's word for a status -> ours. `done_for_day` is apart: it depends on the time in force.
STATES = {
    "new": S.NEW,
    "partially_filled": S.PARTIALLY_FILLED,
    "filled": S.FILLED,
    "canceled": S.CANCELED,
    "expired": S.EXPIRED,
    "replaced": S.REPLACED,
    "rejected": S.REJECTED,
    "pending_cancel": S.PENDING_CANCEL,
    "pending_replace": S.PENDING_REPLACE,
    "pending_new": S.ACCEPTED,  # it has the order, and a trading place will soon
    "pending_review": S.ACCEPTED,
    "accepted": S.ACCEPTED,
    "accepted_for_bidding": S.ACCEPTED,
    "held": S.ACCEPTED,
    "calculated": S.ACCEPTED,  # done for the day, its final figures outstanding
    "stopped": S.ACCEPTED,  # a trade is guaranteed and has not happened yet
    "suspended": S.SUSPENDED,
}
CLASSES = {"us_equity": "stock", "crypto": "crypto"}
QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH")  # what a pair may end in, the longest first
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_MOMENT = re.compile(r"(.*?\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


class Unreadable(ValueError):
    """A reply that is not what it should be."""


def loads(text: str) -> Any:
    """JSON with every number exact, and none of what JSON does not have."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise Unreadable(f"{name} is no number")


def number(value: object) -> Decimal:
    """The Decimal of a number's text, or of an exact JSON number."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise Unreadable(f"not a number: {value!r:.50}")


def maybe_number(value: object) -> Decimal | None:
    return None if value is None or value == "" else number(value)


def word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Unreadable(f"not a word: {value!r:.50}")
    return value


def moment(value: object) -> datetime:
    """A time in UTC; nanoseconds are cut to microseconds."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Unreadable(f"not a time: {value!r:.50}")
    whole, fraction, zone = match.groups()
    try:
        made = datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6]:0<6}{zone or 'Z'}")
        return made.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"not a time: {value!r:.50}") from error


def row(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"not an object: {value!r:.50}")
    return value


def rows(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise Unreadable(f"not a list: {value!r:.50}")
    return [row(one) for one in value]


def symbol_of(name: object, asset_class: str) -> str:
    """Our symbol: positions say BTCUSD where orders say BTC/USD."""
    text = word(name)
    if asset_class != "crypto" or "/" in text:
        return text
    for quote in QUOTES:
        if text.endswith(quote) and len(text) > len(quote):
            return f"{text.removesuffix(quote)}/{quote}"
    return text


def state_of(status: str, time_in_force: object) -> OrderState | None:
    """Our state for Alpaca's word; None for one that we do not know, from which nothing follows."""
    if status == "done_for_day":
        return S.EXPIRED if time_in_force == "day" else S.ACCEPTED  # a lasting one goes on tomorrow
    found = STATES.get(status)
    if found is None:
        logger.warning("alpaca_unknown_status", extra={"status": status[:40]})
    return found


def trade_id(order_id: str, cum_qty: Decimal) -> str:
    """A fill's name, the same on every channel: the order, and its quantity with this fill.

    Padded, so that the text of a later fill sorts after that of an earlier one.
    """
    whole, dot, fraction = plain(cum_qty).partition(".")
    return f"{order_id}:{whole.rjust(12, '0')}{dot}{fraction}"


def order(
    value: object, fills: tuple[BrokerFill, ...] = (), *, now: datetime, strict: bool = True
) -> BrokerOrder:
    """An order. Not strict, for one in a list: what is unreadable beyond its ids is left unsaid.

    A list with one odd order must neither hide the others nor be taken for a list without it.
    """
    found = row(value)
    client_order_id, order_id = word(found.get("client_order_id")), word(found.get("id"))
    try:
        status = word(found.get("status"))
        filled = maybe_number(found.get("filled_qty")) or Decimal(0)
        average = maybe_number(found.get("filled_avg_price"))
        at = found.get("updated_at") or found.get("submitted_at") or found.get("created_at")
        when = moment(at) if at else now
        if filled < 0 or (filled == 0 and status in {"filled", "partially_filled"}):
            raise Unreadable(f"{status} with a quantity of {filled}")
        state = state_of(status, found.get("time_in_force"))
    except Unreadable as error:
        if strict:
            raise
        logger.warning("alpaca_odd_order", extra={"order": order_id, "error": str(error)})
        return BrokerOrder(client_order_id, order_id, None, Decimal(0), (), now)
    return BrokerOrder(
        client_order_id=client_order_id,
        broker_order_id=order_id,
        state=state,
        filled_qty=filled,
        fills=fills,
        at=when,
        reason="Alpaca rejected it." if state == S.REJECTED else "",
        complete=status == "filled",
        avg_price=average,
        terms=terms(found),
        raw_status=status,
    )


def terms(found: Mapping[str, Any]) -> BrokerTerms | None:
    """What the order asks for; None where that cannot be read (an order of many legs)."""
    try:
        asset_class = word(found.get("asset_class") or "us_equity")
        return BrokerTerms(
            symbol=symbol_of(found.get("symbol"), asset_class),
            asset_type=CLASSES.get(asset_class, asset_class),
            side=word(found.get("side")),
            order_type=word(found.get("type") or found.get("order_type")),
            time_in_force=word(found.get("time_in_force")),
            qty=maybe_number(found.get("qty")),
            notional=maybe_number(found.get("notional")),
            limit_price=maybe_number(found.get("limit_price")),
            stop_price=maybe_number(found.get("stop_price")),
            created_at=moment(found.get("created_at") or found.get("submitted_at")),
            trail_price=maybe_number(found.get("trail_price")),
            trail_percent=maybe_number(found.get("trail_percent")),
        )
    except Unreadable:
        return None


def fill(
    order_id: str, cum_qty: Decimal, qty: Decimal, price: Decimal, at: datetime, **evidence: str
) -> BrokerFill:
    """One execution. Alpaca takes no commission; what it passes on comes as activities."""
    if qty <= 0 or price < 0 or cum_qty < qty:
        raise Unreadable("a fill of nothing, or of more than there is")
    return BrokerFill(
        trade_id=trade_id(order_id, cum_qty),
        qty=qty,
        price=price,
        fee=Decimal(0),
        executed_at=at,
        evidence=evidence,
        cum_qty=cum_qty,
    )


def fills_by_order(found: Iterable[Mapping[str, Any]]) -> dict[str, tuple[BrokerFill, ...]]:
    """FILL activities by the id of their order, in sequence; an unreadable one is left out.

    The order's own filled quantity then runs ahead of its fills, and the next look asks again.
    """
    made: dict[str, dict[str, BrokerFill]] = {}
    for one in found:
        try:
            order_id = word(one.get("order_id"))
            each = fill(
                order_id,
                number(one.get("cum_qty")),
                number(one.get("qty")),
                number(one.get("price")),
                moment(one.get("transaction_time")),
                source="activity",
                id=str(one.get("id")),
            )
        except Unreadable as error:
            logger.warning("alpaca_odd_fill", extra={"error": str(error)})
            continue
        made.setdefault(order_id, {})[each.trade_id] = each
    return {
        order_id: tuple(sorted(of.values(), key=lambda one: one.trade_id))
        for order_id, of in made.items()
    }
