"""Alpaca's own OpenAPI document, against which the loopback vendor checks all that it says.

What the vendor's document leaves open (almost every field of an order is optional there) is closed
by our own lists, so that a reply which lacks what the real one has cannot pass.
"""

import json
import re
import sys
import uuid
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FOLDER = Path(sys.prefix) / "vendor-specs" / "alpaca-2.4.0"  # tools/vendor_specs.py fills it
FORMATS = FormatChecker(formats=())
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

#: Fields that the real replies have (recorded), whatever the document calls optional.
REQUIRED = {
    "Order": [
        "id",
        "client_order_id",
        "status",
        "symbol",
        "asset_class",
        "qty",
        "notional",
        "filled_qty",
        "filled_avg_price",
        "type",
        "order_type",
        "order_class",
        "side",
        "time_in_force",
        "limit_price",
        "stop_price",
        "extended_hours",
        "created_at",
        "submitted_at",
        "updated_at",
        "replaced_by",
    ],
    "Account": [
        "id",
        "account_number",
        "status",
        "currency",
        "cash",
        "buying_power",
        "non_marginable_buying_power",
        "trading_blocked",
        "account_blocked",
        "trade_suspended_by_user",
    ],
    "Position": ["qty_available"],
    "TradingActivities": [
        "id",
        "activity_type",
        "order_id",
        "symbol",
        "side",
        "type",
        "price",
        "qty",
        "cum_qty",
        "leaves_qty",
        "transaction_time",
    ],
    "NonTradeActivities": ["id", "activity_type", "date", "net_amount", "status"],
}
#: Texts that are numbers, whatever the document calls them.
NUMBERS = frozenset(
    [
        "qty",
        "notional",
        "filled_qty",
        "filled_avg_price",
        "limit_price",
        "stop_price",
        "cash",
        "buying_power",
        "price",
        "cum_qty",
        "leaves_qty",
        "net_amount",
        "cost_basis",
        "avg_entry_price",
        "qty_available",
    ]
)


class Drift(AssertionError):
    """Our vendor said what the real one never would, or was sent what the real one refuses."""


@FORMATS.checks("date-time")
def _moment(value: object) -> bool:
    return not isinstance(value, str) or _MOMENT.fullmatch(value) is not None


@FORMATS.checks("date", raises=ValueError)
def _day(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.strptime(value, "%Y-%m-%d"))  # noqa: DTZ007


@FORMATS.checks("uuid", raises=ValueError)
def _uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(uuid.UUID(value))


@FORMATS.checks("decimal")
def _decimal(value: object) -> bool:
    return not isinstance(value, str) or _DECIMAL.fullmatch(value) is not None


@cache
def document() -> dict[str, Any]:
    """The trading document; raises where `make test` has not fetched it yet."""
    path = FOLDER / "trading-api.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run python tools/vendor_specs.py")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@cache
def _named(name: str) -> Draft202012Validator:
    schema = {
        "$ref": f"#/components/schemas/{name}",
        "components": document()["components"],
    }
    return Draft202012Validator(schema, format_checker=FORMATS)


@cache
def _reply(path: str, method: str, status: int) -> Draft202012Validator | None:
    answers = document()["paths"][path][method]["responses"]
    content = answers.get(str(status), {}).get("content")
    if content is None:
        return None
    schema = {**content["application/json"]["schema"], "components": document()["components"]}
    return Draft202012Validator(schema, format_checker=FORMATS)


def check_named(name: str, body: object) -> None:
    """Raise Drift where `body` is not a thing of this name, in the document or in our lists."""
    _complain(_named(name), body)
    if isinstance(body, dict):
        missing = [field for field in REQUIRED.get(name, ()) if field not in body]
        if missing:
            raise Drift(f"{name} lacks {', '.join(missing)}")
        _check_numbers(body)


def check_reply(path: str, method: str, status: int, body: object) -> None:
    """Raise Drift where a reply is not one that the document allows."""
    if status >= 400:
        if status != 401:  # which is recorded without a code
            check_named("Error", body)
        return
    validator = _reply(path, method, status)
    if validator is None:
        if status != 204 or body is not None:
            raise Drift(f"{method} {path} has no answer {status} in the document")
        return
    rows = body if isinstance(body, list) else [body]
    # One by one: a list of activities is "oneOf" two kinds that each allow the other, never true.
    names = [_name(path, one) for one in rows]
    if not all(names):
        _complain(validator, body)
    for name, one in zip(names, rows, strict=True):
        if name:
            check_named(name, one)


def _name(path: str, one: Any) -> str | None:
    if "/orders" in path:
        return "Order" if "client_order_id" in one else None
    if "/activities" in path:
        return "TradingActivities" if one["activity_type"] == "FILL" else "NonTradeActivities"
    for part, name in (("/positions", "Position"), ("/account", "Account"), ("/assets", "Assets")):
        if part in path:
            return name
    return None


def _complain(validator: Draft202012Validator, body: object) -> None:
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    if faults:
        raise Drift("; ".join(faults[:5]))


def _check_numbers(body: dict[str, Any]) -> None:
    for field, value in body.items():
        if field in NUMBERS and value is not None and not _DECIMAL.fullmatch(str(value)):
            raise Drift(f"{field} is no number: {value!r}")
