"""What it is worth now: cash, positions and P&L from quantities and prices. Plain Python.

Nothing here is stored per tick: it is computed when somebody looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from speedtrade.lib.money import ZERO, money_round, percent


@dataclass(frozen=True, slots=True)
class PricePoint:
    """What the market says of one symbol: last price, previous close, and whether it is fresh."""

    last: Decimal
    prev_close: Decimal
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """One position, and what was traded in it since the previous close.

    `qty_today` is bought minus sold, `cash_today` what these fills did to cash, and `paid_today`
    what the purchases among them cost, fees included.
    """

    position_id: int
    symbol: str
    name: str
    asset_type: str
    qty: Decimal
    cost_basis: Decimal
    realized_pl: Decimal
    fees: Decimal
    reserved: Decimal
    qty_today: Decimal
    cash_today: Decimal
    opened_at: datetime | None
    paid_today: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Book:
    """All that must be known of an account to value it at any prices."""

    account_id: int
    currency: str
    cash: Decimal
    reserved: Decimal
    net_deposits: Decimal
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class PositionValue:
    """One position at today's prices; `stale` when its price is old or missing (then at cost)."""

    held: Held
    current_price: Decimal | None
    market_value: Decimal
    avg_price: Decimal
    unrealized_pl: Decimal
    unrealized_pl_pct: Decimal
    day_pl: Decimal
    day_pl_pct: Decimal
    share_pct: Decimal
    stale: bool

    @property
    def at_close(self) -> Decimal | None:
        """What it was worth at the close before; None where it was traded since."""
        if self.held.qty_today or self.held.paid_today or self.held.cash_today:
            return None
        return self.market_value - self.day_pl


@dataclass(frozen=True, slots=True)
class Summary:
    """An account at today's prices. Percentages are in percent."""

    account_id: int
    currency: str
    cash_balance: Decimal
    buying_power: Decimal
    reserved: Decimal
    positions_value: Decimal
    portfolio_value: Decimal
    net_deposits: Decimal
    total_pl: Decimal
    total_pl_pct: Decimal
    day_pl: Decimal
    day_pl_pct: Decimal
    positions: tuple[PositionValue, ...]
    stale: bool
    as_of: datetime


def value_book(book: Book, prices: Mapping[str, PricePoint], now: datetime) -> Summary:
    """Value `book` at `prices`. A symbol without a price counts at cost and is marked stale.

    Day P&L compares with the previous close: what was held then is revalued, and what was traded
    since is compared with what it cost. Deposits and withdrawals are no profit.
    """
    worth = {held.symbol: _worth(held, prices.get(held.symbol)) for held in book.held}
    positions_value = sum((one.market_value for one in worth.values()), ZERO)
    total = book.cash + positions_value
    positions = tuple(
        _position(held, prices.get(held.symbol), worth[held.symbol], total)
        for held in book.held
        if held.qty > 0
    )
    day_pl = sum((one.day_pl for one in worth.values()), ZERO)
    total_pl = total - book.net_deposits
    return Summary(
        account_id=book.account_id,
        currency=book.currency,
        cash_balance=book.cash,
        buying_power=book.cash - book.reserved,
        reserved=book.reserved,
        positions_value=positions_value,
        portfolio_value=total,
        net_deposits=book.net_deposits,
        total_pl=total_pl,
        # Who has taken out more than was paid in has nothing left to compare a profit with.
        total_pl_pct=percent(total_pl, max(book.net_deposits, ZERO)),
        day_pl=day_pl,
        day_pl_pct=percent(day_pl, total - day_pl),
        positions=positions,
        stale=any(position.stale for position in positions),
        as_of=now,
    )


@dataclass(frozen=True, slots=True)
class _Worth:
    """One position now. `day_base` is what could win or lose today: the open and what was paid."""

    market_value: Decimal
    day_pl: Decimal
    day_base: Decimal


def _worth(held: Held, price: PricePoint | None) -> _Worth:
    if price is None:
        return _Worth(held.cost_basis, ZERO, ZERO)
    market_value = money_round(held.qty * price.last)
    at_close = money_round((held.qty - held.qty_today) * price.prev_close)
    day_pl = market_value - at_close + held.cash_today
    return _Worth(market_value, day_pl, at_close + held.paid_today)


def _position(held: Held, price: PricePoint | None, worth: _Worth, total: Decimal) -> PositionValue:
    unrealized = worth.market_value - held.cost_basis
    return PositionValue(
        held=held,
        current_price=price.last if price else None,
        market_value=worth.market_value,
        avg_price=money_round(held.cost_basis / held.qty),
        unrealized_pl=unrealized,
        unrealized_pl_pct=percent(unrealized, held.cost_basis),
        day_pl=worth.day_pl,
        day_pl_pct=percent(worth.day_pl, worth.day_base),
        share_pct=percent(worth.market_value, total, 2),
        stale=price is None or price.stale,
    )


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """Equity at one time, and all that had been paid in (net) by then."""

    at: datetime
    equity: Decimal
    net_deposits: Decimal


def equity_change(points: Sequence[EquityPoint]) -> tuple[Decimal, Decimal]:
    """(P&L, percent) over the points, with deposits and withdrawals in between taken out."""
    if not points:
        return ZERO, ZERO
    first, last = points[0], points[-1]
    paid_in = last.net_deposits - first.net_deposits
    change = last.equity - first.equity - paid_in
    return change, percent(change, first.equity + max(paid_in, ZERO))
