"""What the promises of a simulated world are read from: queries, and what their rows become."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

from django.db import connection

from trading.simulation.oracle import Trade

D = Decimal
UNIT: Final = Fraction(1, 10**8)  # of money in the books
FINAL: Final = {"filled", "canceled", "expired", "rejected", "replaced"}

ORDERS = """
SELECT o.id, o.brokerage_account_id, i.symbol, i.asset_type, o.state, o.side, o.time_in_force,
       o.qty, o.notional, o.max_qty, o.price_bound, o.fee_rate, o.filled_qty, o.filled_notional,
       o.fees, o.replaces_id, o.expires_at, coalesce(h.amount, -1), h.ledger_account_id,
       p.id, p.status, p.filled_qty,
       (SELECT count(*) FROM trading_submission s WHERE s.order_id = o.id),
       (SELECT count(*) FROM trading_submission s WHERE s.order_id = o.id AND s.done_at IS NULL)
FROM trading_order o
JOIN marketdata_instrument i ON i.id = o.instrument_id
LEFT JOIN portfolio_hold h ON h.order_ref = o.id
LEFT JOIN trading_paperorder p
  ON p.account_ref = o.brokerage_account_id AND p.client_order_id = o.client_order_id
WHERE o.brokerage_account_id = ANY(%s) ORDER BY o.id"""
EVENTS = """
SELECT id, order_id, old_state, new_state FROM trading_orderevent WHERE id > %s ORDER BY id"""
FILLS = """
SELECT f.id, f.order_id, f.trade_id, f.qty, f.price, f.fee, f.executed_at,
       v.id, v.qty, v.price, v.fee, v.executed_at
FROM trading_fill f JOIN trading_order o ON o.id = f.order_id
LEFT JOIN trading_paperorder p
  ON p.account_ref = o.brokerage_account_id AND p.client_order_id = o.client_order_id
LEFT JOIN trading_paperfill v ON v.order_id = p.id
  AND f.trade_id = 'P' || p.id || '-' || lpad(v.sequence::text, 6, '0')
WHERE f.id > %s ORDER BY f.id"""
MATCHES = """
SELECT v.id, i.symbol, i.asset_type, p.side, v.qty, v.price, v.fee, v.executed_at, v.evidence,
       p.price_bound, i.qty_step, p.client_order_id
FROM trading_paperfill v JOIN trading_paperorder p ON p.id = v.order_id
JOIN marketdata_instrument i ON i.id = p.instrument_id WHERE v.id > %s ORDER BY v.id"""
PAPERS = """
SELECT p.time_in_force, p.status, p.filled_qty, p.expires_at, p.received_at, o.id
FROM trading_paperorder p LEFT JOIN trading_order o
  ON o.brokerage_account_id = p.account_ref AND o.client_order_id = p.client_order_id
WHERE p.account_ref = ANY(%s) AND (o.id IS NULL OR p.time_in_force IN ('ioc', 'fok')
  OR (p.status IN ('accepted', 'new', 'partially_filled') AND p.expires_at IS NOT NULL))"""
TRANSFERS = """
SELECT id, source_id, target_id, amount FROM portfolio_transfer WHERE id > %s ORDER BY id"""
POCKETS = """
SELECT id, brokerage_account_id, kind, asset, balance, reserved FROM portfolio_ledgeraccount
WHERE brokerage_account_id = ANY(%s)"""
POSITIONS = """
SELECT p.id, p.brokerage_account_id, i.symbol, p.qty, p.cost_basis, p.realized_pl, p.fees
FROM portfolio_position p JOIN marketdata_instrument i ON i.id = p.instrument_id
WHERE p.brokerage_account_id = ANY(%s) ORDER BY p.id"""


@dataclass(slots=True)
class Seen:
    """An order as it was when it was last looked at; `paper` is the venue's row of it."""

    pk: int
    account: int
    symbol: str
    asset_type: str
    state: str
    side: str
    tif: str
    qty: Decimal | None
    notional: Decimal | None
    max_qty: Decimal | None
    bound: Decimal
    fee_rate: Decimal
    filled: Decimal
    value: Decimal
    fees: Decimal
    replaces: int | None
    expires: datetime | None
    hold: Decimal
    pocket: int | None
    paper: int | None
    status: str | None
    there: Decimal | None
    told: int
    waiting: int

    @property
    def over(self) -> bool:
        return self.state in FINAL


@dataclass(slots=True)
class Tally:
    """What the fills of one order come to, exactly."""

    qty: Fraction = Fraction(0)
    value: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    count: int = 0


@dataclass
class Shelf:
    """What the fills of one account in one symbol come to, for the oracle."""

    qty: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    trades: list[Trade] = field(default_factory=list)


def up(value: Fraction) -> Fraction:
    """To 8 decimals, upwards."""
    return ceil(value / UNIT) * UNIT


def owed(order: Seen) -> Fraction:
    """I3: what an open order may still cost."""
    if order.over:
        return Fraction(0)
    filled = Fraction(order.filled)
    if order.side == "sell":
        asked = order.qty if order.qty is not None else order.max_qty or D(0)
        return max(Fraction(asked) - filled, Fraction(0))
    if order.notional is not None:
        left = Fraction(order.notional) - Fraction(order.value)
    else:
        left = (Fraction(order.qty or 0) - filled) * Fraction(order.bound)
    left = max(left, Fraction(0))
    fee = up((Fraction(order.value) + left) * Fraction(order.fee_rate)) - Fraction(order.fees)
    return up(left) + max(fee, Fraction(0))


#: What only grows, and is read on from where the last look ended.
GROWS: Final = {
    "events": "trading_orderevent",
    "fills": "trading_fill",
    "matches": "trading_paperfill",
    "transfers": "portfolio_transfer",
}


class Reader:
    """Asks the database; remembers what it has seen of that which only grows."""

    def __init__(self) -> None:
        self._last = {what: self.newest(table) for what, table in GROWS.items()}

    def ask(self, query: str, *parameters: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    def new(self, what: str, query: str) -> list[Any]:
        """The rows that came since the last look."""
        found = self.ask(query, self._last[what])
        if found:
            self._last[what] = found[-1][0]
        return found

    def newest(self, table: str) -> int:
        [[newest]] = self.ask(f"SELECT coalesce(max(id), 0) FROM {table}")  # noqa: S608  # nosec B608 - names of ours, values are parameters
        return int(newest)
