"""Quotes, instruments and a clock for the tests of this app."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from marketdata.domain.quotes import Level, Quote
from marketdata.models import Instrument


def make_quote(symbol: str, last: str, *, at: datetime, spread: str = "0", **changes: Any) -> Quote:
    """A quote that passes the gate: one level each side, `spread` apart, unchanged today."""
    price = Decimal(last)
    bid, ask = price - Decimal(spread) / 2, price + Decimal(spread) / 2
    size = changes.pop("size", Decimal(100))
    values: dict[str, Any] = {
        "symbol": symbol,
        "bid": bid,
        "ask": ask,
        "bid_size": size,
        "ask_size": size,
        "last": price,
        "prev_close": price,
        "open": price,
        "day_high": price,
        "day_low": price,
        "volume": Decimal(1000),
        "as_of": at,
        "seq": int(at.timestamp() * 4),
        "bids": (Level(bid, size),),
        "asks": (Level(ask, size),),
        "source": "test",
    }
    return Quote(**{**values, **changes})


def make_instrument(symbol: str = "AAPL", **changes: Any) -> Instrument:
    """An instrument in the database: a fractionable stock, or a coin where the symbol has a /."""
    coin = "/" in symbol
    values: dict[str, Any] = {
        "symbol": symbol,
        "name": f"{symbol} of the tests",
        "asset_type": "crypto" if coin else "stock",
        "exchange": "COIN" if coin else "NASDAQ",
        "price_tick": Decimal("0.01"),
        "qty_step": Decimal("0.000001"),
        "min_qty": Decimal("0.000001"),
        "min_notional": Decimal(1),
        "fractionable": True,
    }
    return Instrument.objects.create(**{**values, **changes})


class StillClock:
    """A clock that tests move: waiting takes no time and moves it on; `until` says stop."""

    def __init__(self, start: datetime, until: datetime) -> None:
        self.moment, self.until = start, until
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)
        self.on_wait()
        return self.moment >= self.until
