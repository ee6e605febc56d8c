"""What the Alpaca-like vendor answers on each of its paths.

Each function of `ROUTES` gets the call, taken apart, and gives (status, JSON); `Refused` is a no.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from re import Pattern, compile
from typing import TYPE_CHECKING, Any

from speedtrade.testing.vendors import alpaca_wire as wire
from speedtrade.testing.vendors.alpaca_book import OPEN, Refused, VendorAccount, VendorOrder
from speedtrade.testing.vendors.alpaca_rules import order_from

if TYPE_CHECKING:
    from speedtrade.testing.vendors.alpaca import AlpacaVendor

Answer = tuple[int, Any]


@dataclass
class Call:
    """One request, taken apart. `name` is what the path ends in (an order's id, a symbol)."""

    vendor: "AlpacaVendor"
    account: VendorAccount
    query: dict[str, str]
    body: Any
    name: str = ""


def _missing(what: str) -> Refused:
    return Refused(404, 40410000, f"{what} not found")


def _order(call: Call) -> VendorOrder:
    found = call.account.orders.get(call.name)
    if found is None:
        raise _missing("order")
    return found


def submit(call: Call) -> Answer:
    """The reply is `pending_new` even where the order works already, as recorded."""
    with call.account.lock:
        made = order_from(call.account, call.body, is_open=call.vendor.is_open)
        call.account.accept(made)
        reply = wire.order(made) | ({"status": "pending_new"} if made.status == "new" else {})
    call.vendor.on_accept(call.account, made)
    return 200, reply


def orders(call: Call) -> Answer:
    query = call.query
    status, limit = query.get("status", "open"), min(int(query.get("limit", 50)), 500)
    after, until = _when(query.get("after")), _when(query.get("until"))
    rows = [
        row
        for row in call.account.orders.values()
        if (status == "all" or (row.status in OPEN) == (status == "open"))
        and (after is None or row.created_at + timedelta(milliseconds=4) > after)
        and (until is None or row.created_at + timedelta(milliseconds=4) < until)
    ]
    rows.sort(key=lambda row: row.created_at, reverse=query.get("direction", "desc") == "desc")
    return 200, [wire.order(row) for row in rows[:limit]]


def order(call: Call) -> Answer:
    return 200, wire.order(_order(call))


def by_client_id(call: Call) -> Answer:
    found = call.account.by_client_id(call.query.get("client_order_id", ""))
    if found is None:
        raise _missing("order")
    return 200, wire.order(found)


def cancel(call: Call) -> Answer:
    row = _order(call)
    if row.status not in OPEN:
        raise Refused(422, 42210000, f'order is already in "{row.status}" state')
    call.vendor.on_cancel(call.account, row)
    return 204, None


def cancel_all(call: Call) -> Answer:
    rows = [row for row in call.account.orders.values() if row.status in OPEN]
    for row in rows:
        call.account.cancel(row)
    return 207, [{"id": row.id, "status": 200} for row in rows]


def replace(call: Call) -> Answer:
    """A new order with a new id takes the place of the old one."""
    row = _order(call)
    if row.status not in {"new", "partially_filled"}:
        raise Refused(422, 42210000, f"cannot replace an order in {row.status} status")
    terms = {
        "symbol": row.symbol,
        "side": row.side,
        "type": row.type,
        "qty": wire.text(row.qty),
        "time_in_force": row.time_in_force,
        "limit_price": wire.text(row.limit_price),
        **call.body,
    }
    call.account.set_status(row, "replaced")
    body = {name: value for name, value in terms.items() if value is not None}
    made = order_from(call.account, body, is_open=call.vendor.is_open)
    return 200, wire.order(call.account.accept(made)) | {"replaces": row.id}


def positions(call: Call) -> Answer:
    places = call.account.positions.items()
    return 200, [wire.position(symbol, place) for symbol, place in places]


def position(call: Call) -> Answer:
    for symbol, place in call.account.positions.items():
        if call.name in {symbol, symbol.replace("/", "")}:
            return 200, wire.position(symbol, place)
    raise _missing("position")


def account(call: Call) -> Answer:
    return 200, wire.account(call.account)


def activities(call: Call) -> Answer:
    query = call.query
    if "category" in query and "activity_types" in query:
        raise Refused(422, 42210000, "category cannot be used with activity_types")
    kinds = {kind for kind in query.get("activity_types", call.name).split(",") if kind}
    after, until = _when(query.get("after")), _when(query.get("until"))
    rows = [
        row
        for row in call.account.activities
        if (not kinds or row["activity_type"] in kinds)
        and ("order_id" not in query or row.get("order_id") == query["order_id"])
        and (after is None or row["at"] > after)
        and (until is None or row["at"] < until)
        and (row["activity_type"] == "FILL")
        == (query.get("category", _category(row)) == "trade_activity")
    ]
    if query.get("direction", "desc") == "desc":
        rows.reverse()
    if "page_token" in query:
        places = [place for place, row in enumerate(rows) if row["id"] == query["page_token"]]
        rows = rows[places[0] + 1 :] if places else []
    return 200, [wire.activity(row) for row in rows[: int(query.get("page_size", 100))]]


def _category(row: dict[str, Any]) -> str:
    return "trade_activity" if row["activity_type"] == "FILL" else "non_trade_activity"


def assets(call: Call) -> Answer:
    wanted = call.query.get("asset_class", "us_equity")
    return 200, [wire.asset(name) for name, row in wire.ASSETS.items() if row[0] == wanted]


def asset(call: Call) -> Answer:
    for symbol in wire.ASSETS:
        if call.name in {symbol, symbol.replace("/", ""), wire.asset_id(symbol)}:
            return 200, wire.asset(symbol)
    raise _missing(f"asset for {call.name}")


def clock(call: Call) -> Answer:
    return 200, wire.clock(call.vendor.now(), is_open=call.vendor.is_open)


def calendar(call: Call) -> Answer:
    first = date.fromisoformat(call.query.get("start", "2026-01-01"))
    last = date.fromisoformat(call.query.get("end", "2026-12-31"))
    return 200, wire.calendar(first, last)


def _when(text: str | None) -> datetime | None:
    if text is None:
        return None
    made = datetime.fromisoformat(text)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


#: (method, path, where the document has it, name for the fault script, what answers)
ROUTES: list[tuple[str, Pattern[str], str, str, Callable[[Call], Answer]]] = [
    (method, compile(path), document, name, answer)
    for method, path, document, name, answer in [
        ("POST", r"/v2/orders", "/v2/orders", "submit", submit),
        ("GET", r"/v2/orders", "/v2/orders", "orders", orders),
        ("DELETE", r"/v2/orders", "/v2/orders", "cancel_all", cancel_all),
        (
            "GET",
            r"/v2/orders:by_client_order_id",
            "/v2/orders:by_client_order_id",
            "by_client_id",
            by_client_id,
        ),
        ("GET", r"/v2/orders/([^/]+)", "/v2/orders/{order_id}", "order", order),
        ("DELETE", r"/v2/orders/([^/]+)", "/v2/orders/{order_id}", "cancel", cancel),
        ("PATCH", r"/v2/orders/([^/]+)", "/v2/orders/{order_id}", "replace", replace),
        ("GET", r"/v2/positions", "/v2/positions", "positions", positions),
        (
            "GET",
            r"/v2/positions/(.+)",
            "/v2/positions/{symbol_or_asset_id}",
            "position",
            position,
        ),
        ("GET", r"/v2/account", "/v2/account", "account", account),
        ("GET", r"/v2/account/activities", "/v2/account/activities", "activities", activities),
        (
            "GET",
            r"/v2/account/activities/([A-Z]+)",
            "/v2/account/activities/{activity_type}",
            "activities",
            activities,
        ),
        ("GET", r"/v2/assets", "/v2/assets", "assets", assets),
        ("GET", r"/v2/assets/(.+)", "/v2/assets/{symbol_or_asset_id}", "asset", asset),
        ("GET", r"/v2/clock", "/v2/clock", "clock", clock),
        ("GET", r"/v2/calendar", "/v2/calendar", "calendar", calendar),
    ]
]


def route(method: str, path: str) -> tuple[str, str, Callable[[Call], Answer], str] | None:
    """(where the document has it, its name, what answers, what the path ends in)."""
    for verb, pattern, document, name, answer in ROUTES:
        match = pattern.fullmatch(path)
        if match and verb == method:
            return document, name, answer, match[1] if match.groups() else ""
    return None
