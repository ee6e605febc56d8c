"""A market for tests: instruments with known rules, and quotes at chosen prices."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from marketdata import quote_store
from marketdata.domain.quotes import Level, Quote
from marketdata.models import Instrument

D = Decimal
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)  # a Wednesday


def instrument(symbol: str = "AAPL", **changes: object) -> Instrument:
    """A stock with cents and millionths of a share, or a coin when the symbol has a slash."""
    crypto = "/" in symbol
    row = Instrument(
        symbol=symbol,
        name=f"{symbol} of the tests",
        asset_type="crypto" if crypto else "stock",
        exchange="CRYPTO" if crypto else "NASDAQ",
        price_tick=D("0.01"),
        qty_step=D("0.000001"),
        min_qty=D("0.000001"),
        min_notional=D(1),
        fractionable=True,
    )
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


def quote(
    symbol: str = "AAPL",
    bid: str = "99.99",
    ask: str = "100.00",
    *,
    now: datetime,
    sizes: Sequence[str] = ("100",),
    step: str = "0.01",
    seq: int = 1,
    prev_close: str = "98.00",
) -> Quote:
    """A quote whose levels stand `step` apart, with these sizes on both sides."""
    best_bid, best_ask, gap = D(bid), D(ask), D(step)
    bids = tuple(Level(best_bid - gap * i, D(size)) for i, size in enumerate(sizes))
    asks = tuple(Level(best_ask + gap * i, D(size)) for i, size in enumerate(sizes))
    return Quote(
        symbol=symbol,
        bid=best_bid,
        ask=best_ask,
        bid_size=bids[0].size,
        ask_size=asks[0].size,
        last=best_ask,
        prev_close=D(prev_close),
        open=D(prev_close),
        day_high=best_ask,
        day_low=D(prev_close),
        volume=D(1000),
        as_of=now,
        seq=seq,
        bids=bids,
        asks=asks,
        source="test",
    )


def put_quote(made: Quote) -> Quote:
    """Store a quote where every reader finds it."""
    quote_store.quotes_put([made])
    return made
