"""Every fault of the matrix, for every door of the Alpaca-like vendor, chosen by dice."""

import random
from collections.abc import Callable
from typing import Any

from speedtrade.testing.vendors import faults as f
from speedtrade.testing.vendors.faults import Fault

READS = ("orders", "orders", "by_client_id", "activities", "account", "positions", "clock")
DUPLICATE = b'{"code": 40010001, "message": "client_order_id must be unique"}'
STUBBORN = b'{"code": 42210000, "message": "order is not cancelable"}'
TOO_MANY = b'{"code": 42910000, "message": "rate limit exceeded"}'
NOT_THERE = b'{"code": 40410000, "message": "order not found"}'
#: What we rest on, or not: any of it may be missing one day.
FIELDS = [
    *("id", "client_order_id", "status", "symbol", "filled_qty", "created_at", "asset_class"),
    *("updated_at", "filled_avg_price", "order_id", "cum_qty", "qty", "price", "cash"),
    *("limit_price", "notional", "transaction_time", "activity_type", "side", "type"),
    *("submitted_at", "time_in_force"),
]
WORDS = ("zonked", "pending_review", "held", "calculated", "stopped", "")


def each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """A change of one object, for an answer that may be a list of them, or none."""

    def apply(reply: Any) -> Any:
        if isinstance(reply, list):
            return [change(one) for one in reply]
        return change(reply) if isinstance(reply, dict) else reply

    return apply


def lacking(name: str) -> Fault:
    return f.edited(each(lambda one: {key: one[key] for key in one if key != name}))


def odd_word(word: str) -> Fault:
    return f.edited(each(lambda one: one | {"status": word} if "status" in one else one))


def more_fields() -> Fault:
    return f.edited(each(lambda one: one | {"vibe": {"a": [1, None]}, "leg_count": 0.5}))


def line_fault(dice: random.Random, *, accept: bool, seconds: float) -> Fault:
    """One broken answer; `accept`: the vendor carries the request out all the same."""
    made = [
        f.drop_after() if accept else f.drop_before(),
        Fault(accept, "hang", seconds=seconds),
        f.gateway(dice.choice([502, 503, 504]), accept=accept),
        Fault(accept, b"", 200),
        Fault(accept, f.HTML, 200, content_type="text/html"),
        Fault(accept, dice.choice([b"null", b"[]", b"{}", b'"ok"', b"NaN", b"\xff\xfe"]), 200),
        f.answer(500, b'{"code": 50010000, "message": "internal server error"}', accept=accept),
        f.answer(408, b"", accept=accept),
        f.answer(302, b"", accept=accept, Location="/login"),
    ]
    if accept:
        made += [f.truncated_after()] * 2
    return dice.choice(made)


def crowded(dice: random.Random) -> Fault:
    """429, with words on how long it lasts, or without."""
    headers = dice.choice([{}, {"Retry-After": str(dice.randint(1, 15))}, {"Retry-After": "soon"}])
    return Fault(False, dice.choice([TOO_MANY, f.HTML, b""]), 429, headers)


def fault_any(dice: random.Random, *, seconds: float) -> tuple[str, Fault]:
    """(door, fault): mostly at the doors at which an order could be lost or doubled."""
    door = dice.choice(["submit"] * 5 + ["cancel"] * 3 + list(READS))
    if door == "submit":
        makers: list[Callable[[], Fault]] = [
            lambda: line_fault(dice, accept=True, seconds=seconds),
            lambda: line_fault(dice, accept=True, seconds=seconds),
            lambda: line_fault(dice, accept=False, seconds=seconds),
            lambda: crowded(dice),
            lambda: f.answer(422, DUPLICATE, accept=True),
            lambda: lacking(dice.choice(FIELDS)),
            lambda: odd_word(dice.choice(WORDS)),
            more_fields,
            lambda: f.answer(401, b'{"message": "unauthorized."}'),
        ]
    elif door == "cancel":
        makers = [
            lambda: line_fault(dice, accept=True, seconds=seconds),
            lambda: line_fault(dice, accept=False, seconds=seconds),
            lambda: crowded(dice),
            lambda: f.answer(422, STUBBORN),
            lambda: f.answer(404, NOT_THERE),
        ]
    else:
        makers = [
            lambda: line_fault(dice, accept=False, seconds=seconds),
            lambda: f.truncated_after(),
            lambda: crowded(dice),
            lambda: lacking(dice.choice(FIELDS)),
            lambda: odd_word(dice.choice(WORDS)),
            more_fields,
        ]
        if door == "by_client_id":
            makers.append(lambda: f.answer(404, NOT_THERE))
    return door, dice.choice(makers)()
