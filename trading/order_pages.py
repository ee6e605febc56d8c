"""What the pages of orders show: contexts for `order_views`."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from accounts.models import BrokerageAccount
from marketdata.selectors import UnknownSymbol, instrument_get, market_clock
from speedtrade.lib.money import plain
from trading.cautions import closed_words
from trading.domain.orders import OrderState, OrderType
from trading.models import Order
from trading.order_forms import ReplaceForm
from trading.outcomes import is_checking, outcome
from trading.selectors.orders import OrdersPage, order_events, orders_page
from trading.words import TIF_WORDS, event_moment, order_steps, ticket_values

MOVING = frozenset(
    {
        OrderState.PENDING,
        OrderState.SUBMITTING,
        OrderState.PENDING_CANCEL,
        OrderState.PENDING_REPLACE,
    }
)
TABS = {"open": "Open", "filled": "Filled", "all": "All"}


def orders_context(account: BrokerageAccount, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A page of a tab; nonsense in the address shows the first page of the open orders."""
    tab = asked.get("status", "open")
    tab = tab if tab in {*TABS, "closed"} else "open"
    typed = " ".join(str(asked.get("symbol", "")).split())[:20]
    symbol, known = _symbol(typed)
    after = str(asked.get("after", ""))
    number = int(after) if after.isascii() and after.isdecimal() and len(after) <= 18 else None
    found = (
        orders_page(account, tab=tab, symbol=symbol, after=number)
        if known
        else OrdersPage([], None)
    )
    kept = {"symbol": symbol} if symbol else {}
    return {
        "tab": tab,
        "tabs": [
            (code, label, urlencode({"status": code, **kept})) for code, label in TABS.items()
        ],
        "symbol": symbol,
        "found": found.orders,
        # What happens between the page and its socket is told to nobody: ask while one moves.
        "moving": any(order.state in MOVING for order in found.orders),
        "older": urlencode({"status": tab, **kept, "after": found.older}) if found.older else "",
        "newest": urlencode({"status": tab, **kept}) if number is not None else "",
    }


def _symbol(typed: str) -> tuple[str, bool]:
    """(the symbol as we write it, or what was typed; whether there is such a one)."""
    try:
        return (instrument_get(typed).symbol if typed else ""), True
    except UnknownSymbol:
        return typed, False


def order_context(
    order: Order, base: str, now: datetime, form: ReplaceForm | None = None
) -> dict[str, Any]:
    """All of one order's page; `form` is a change that was typed and refused."""
    events = list(order_events(order)[: settings.ORDER_EVENTS_SHOWN])
    checking = is_checking(order, now)
    state = market_clock(now)[order.instrument.asset_type]
    queued = order.state == OrderState.ACCEPTED and not state.is_open
    fills = list(order.fills.all())
    rest = order.qty - order.filled_qty if order.qty and not order.is_open else None
    return {
        "order": order,
        "shown": order.brokerage_account,  # whichever was chosen: the page is about this one
        "stamp": f"{order.updated_at.isoformat()}{'+checking' if checking else ''}",
        "checking": checking,
        "steps": order_steps(order),
        "outcome": outcome(order, events, now),
        "moments": [event_moment(event) for event in events],
        "closed": closed_words(state, now, "The order") if queued else "",
        "reload": form is None and _reloads(order, now),
        "fills": fills[-settings.ORDER_FILLS_SHOWN :],
        "fills_before": max(len(fills) - settings.ORDER_FILLS_SHOWN, 0),
        "change": form or ReplaceForm.of(order),
        "change_open": form is not None,
        "tifs": [(code, label) for code, (label, _) in TIF_WORDS.items()],
        "again": urlencode(ticket_values(order)),
        "again_rest": urlencode(ticket_values(order, rest)) if rest and order.filled_qty else "",
        "curls": curls(order, base),
    }


def _reloads(order: Order, now: datetime) -> bool:
    """Whether the page loads itself again where nothing runs in the browser: while it is young.

    Not where somebody may be typing other terms. A market order is filled before they could.
    """
    typing = order.order_type == OrderType.LIMIT and ReplaceForm.of(order) is not None
    return order.is_open and not typing and now - order.created_at < settings.PAGE_FRESH


def events_context(order: Order) -> dict[str, Any]:
    """The raw events, first to last."""
    return {
        "order": order,
        "shown": order.brokerage_account,
        "events": order_events(order)[: settings.ORDER_EVENTS_SHOWN],
    }


def curls(order: Order, base: str) -> list[tuple[str, str]]:
    """(what it does, the command) for this order through the API; the token is the shell's."""
    auth = '-H "Authorization: Bearer $TOKEN"'
    one = f"{base.rstrip('/')}{reverse('api:order', args=[order.pk])}"
    body: dict[str, Any] = {
        "symbol": order.instrument.symbol,
        "asset_type": order.instrument.asset_type,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
    }
    for name in ("qty", "notional", "limit_price"):
        value = getattr(order, name)
        if value is not None:
            body[name] = plain(value)
    if not order.brokerage_account.is_default:
        body["account_id"] = order.brokerage_account_id
    lines = [
        ("Read it", f"curl {auth} {one}"),
        (
            "Place one like it",
            f'curl {auth} -H "Idempotency-Key: $(uuidgen)" \\\n'
            f"  --json '{json.dumps(body)}' \\\n  {base.rstrip('/')}{reverse('api:orders')}",
        ),
    ]
    return [*lines, ("Cancel it", f"curl -X DELETE {auth} {one}")] if order.is_open else lines
