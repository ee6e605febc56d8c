"""A venue's orders and trades in the words of the broker interface, exact to the last digit.

Numbers come out of the venue's own texts (`info`); ccxt's are floats, and only where the venue
itself says no more is the shortest text of such a float taken. What is not there is not guessed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from trading.brokers.base import BrokerFill, BrokerOrder, BrokerTerms, OutcomeUnknown
from trading.brokers.ccxt.venues import Venue
from trading.domain.orders import OrderState

ZERO = Decimal(0)
NUMBER_LENGTH = 64
_TYPES = {
    "market": "market",
    "limit": "limit",
    "stop-loss": "stop",
    "stop-loss-limit": "stop_limit",
    "stop_loss": "stop",
    "stop_loss_limit": "stop_limit",
    "stop_limit": "stop_limit",
    "trailing-stop": "trailing_stop",
}


def exact(value: Any) -> Decimal | None:
    """A number as it was written; None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = Decimal(value if isinstance(value, (str, int)) else repr(value))
    except (InvalidOperation, ValueError, TypeError):
        return None
    return number if number.is_finite() else None


def needed(value: Any, what: str) -> Decimal:
    """A number without which nothing can be said; raises OutcomeUnknown."""
    number = exact(value)
    if number is None:
        raise OutcomeUnknown(f"the answer does not say {what}")
    return number


def moment(milliseconds: Any) -> datetime | None:
    """A time of ccxt."""
    number = exact(milliseconds)
    if number is None:
        return None
    try:
        return datetime.fromtimestamp(float(number) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def number_of(value: Any) -> str:
    """The name of an account at its venue, which all its keys share; "" where it tells none."""
    told = isinstance(value, (str, int)) and not isinstance(value, bool)
    return str(value)[:NUMBER_LENGTH] if told else ""


def order_report(
    venue: Venue,
    order: Mapping[str, Any],
    client_order_id: str,
    *,
    now: datetime,
    trades: Sequence[Mapping[str, Any]] = (),
    base: str = "",
    quote: str = "",
) -> BrokerOrder:
    """One order; raises OutcomeUnknown where it lacks what an order must have.

    Its fills are told only where `trades` add up to what the order says has filled.
    """
    info: Mapping[str, Any] = order.get("info") or {}
    broker_id, word = order.get("id"), info.get(venue.info_status)
    if not isinstance(broker_id, str) or not broker_id or not isinstance(word, str):
        raise OutcomeUnknown("the answer does not say which order it is, or how it stands")
    filled = needed(info.get(venue.info_filled), "how much has filled")
    qty = exact(info.get(venue.info_qty)) or exact(order.get("amount"))
    flags = info.get("oflags")
    by_money = isinstance(flags, str) and "viqc" in flags  # then the volume is money
    state = venue.states.get(word)
    short = qty is not None and filled < qty and not by_money
    if state == OrderState.FILLED and short:
        state = OrderState.CANCELED  # it ended with something left
    if state == OrderState.NEW and filled:
        state = OrderState.PARTIALLY_FILLED
    created = moment(order.get("timestamp")) or now
    average = exact(info.get(venue.info_average)) or exact(order.get("average"))
    return BrokerOrder(
        client_order_id=client_order_id,
        broker_order_id=broker_id,
        state=state,
        filled_qty=filled,
        fills=fills_of(venue, trades, filled, base=base, quote=quote),
        at=moment(order.get("lastUpdateTimestamp")) or created,
        reason=_text(info.get("reason") or info.get("reject_message")),
        complete=state == OrderState.FILLED,
        avg_price=average if average and filled else None,
        terms=_terms(order, info, qty, created, by_money=by_money),
        raw_status=word,
    )


def _text(value: Any) -> str:
    return value[:300] if isinstance(value, str) else ""


def _terms(
    order: Mapping[str, Any],
    info: Mapping[str, Any],
    qty: Decimal | None,
    created: datetime,
    *,
    by_money: bool,
) -> BrokerTerms:
    told: Mapping[str, Any] = info.get("descr") or {}
    price = exact(told.get("price")) or exact(order.get("price"))
    word = str(told.get("ordertype") or order.get("type") or "")
    # A kind that is none of ours is shown as an order at the market; its price may be a trigger.
    kind = _TYPES.get(word, "market") if word else ("limit" if price else "market")
    stop = exact(order.get("stopLossPrice")) or exact(order.get("triggerPrice"))
    if kind == "stop_limit":
        price = exact(told.get("price2")) or price
    return BrokerTerms(
        symbol=order.get("symbol") or "",
        asset_type="crypto",
        side=order.get("side") or "",
        order_type=kind,
        time_in_force=str(order.get("timeInForce") or "gtc").lower(),
        qty=None if by_money else qty,
        notional=qty if by_money else None,
        limit_price=price if kind in {"limit", "stop_limit"} else None,
        stop_price=stop,
        created_at=created,
    )


def fills_of(
    venue: Venue,
    trades: Iterable[Mapping[str, Any]],
    filled: Decimal,
    *,
    base: str,
    quote: str,
) -> tuple[BrokerFill, ...]:
    """All fills of an order in sequence, or none where these are not all."""
    found: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
    for trade in trades:
        at = moment(trade.get("timestamp"))
        if not isinstance(trade.get("id"), str) or at is None:
            return ()
        found[f"{at:%Y%m%dT%H%M%S.%f}"[:19] + f"-{trade['id']}"] = (at, trade)
    told: list[BrokerFill] = []
    total = ZERO
    for trade_id, (at, trade) in sorted(found.items()):
        info: Mapping[str, Any] = trade.get("info") or {}
        names = () if info.get("size_in_quote") else ("vol", "qty", "size")
        qty = _first(info, names) or exact(trade.get("amount"))
        price = _first(info, ("price",)) or exact(trade.get("price"))
        if qty is None or price is None or qty <= 0 or price <= 0:
            return ()
        total += qty
        fee, fee_qty = _fee(trade, info, base=base, quote=quote)
        told.append(
            BrokerFill(
                trade_id=trade_id,
                qty=qty,
                price=price,
                fee=fee,
                executed_at=at,
                evidence={"exchange": venue.id, "trade": {k: str(v) for k, v in info.items()}},
                cum_qty=total,
                fee_qty=fee_qty,
            )
        )
    return tuple(told) if total == filled else ()


def _first(info: Mapping[str, Any], names: Iterable[str]) -> Decimal | None:
    return next((number for name in names if (number := exact(info.get(name)))), None)


def _fee(
    trade: Mapping[str, Any], info: Mapping[str, Any], *, base: str, quote: str
) -> tuple[Decimal, Decimal]:
    """What the trade cost: in money, and taken out of what was traded. A third coin is neither.

    What a venue pays back to its makers is no cost below nothing: it shows where cash is compared.
    """
    told: Mapping[str, Any] = trade.get("fee") or {}
    amount = max(_first(info, ("fee", "commission")) or exact(told.get("cost")) or ZERO, ZERO)
    currency = told.get("currency")
    if currency == base:
        return ZERO, amount
    return (amount, ZERO) if currency in {quote, None} else (ZERO, ZERO)
