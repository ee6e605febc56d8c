"""The prices of a simulated world: random walks, shown through the real gate of quotes."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata import quote_store
from marketdata.domain.quotes import MAX_CLOCK_SKEW, Level, Quote, check_quote
from marketdata.models import Instrument
from trading.simulation.dice import Dice, Faults
from trading.simulation.trace import Violation

D = Decimal


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol, its grid, and where its walk begins (in ticks)."""

    symbol: str
    asset_type: str
    tick: Decimal
    step: Decimal
    start: int


#: Stocks and coins; DUST is on a grid so fine that its money has to be rounded.
LISTINGS: Final = (
    Listing("ACME", "stock", D("0.01"), D("0.000001"), 10_000),
    Listing("ZINC", "stock", D("0.01"), D("0.000001"), 1_999),
    Listing("COIN/USD", "crypto", D("0.01"), D("0.000001"), 5_000_000),
    Listing("DUST/USD", "crypto", D("0.0001"), D("0.000000001"), 71_337),
)


def instruments_ensure() -> dict[str, Instrument]:
    """The rows of LISTINGS, made where they are missing."""
    rows = {}
    for one in LISTINGS:
        rows[one.symbol], _ = Instrument.objects.get_or_create(
            symbol=one.symbol,
            defaults={
                "name": f"{one.symbol} of the simulation",
                "asset_type": one.asset_type,
                "exchange": "CRYPTO" if one.asset_type == "crypto" else "NYSE",
                "price_tick": one.tick,
                "qty_step": one.step,
                "min_qty": one.step,
                "min_notional": D(1),
                "fractionable": True,
            },
        )
    return rows


class Market:
    """What has been shown, by symbol and sequence: the truth that fills are compared with."""

    def __init__(self, dice: Dice, faults: Faults) -> None:
        self._dice, self._faults = dice, faults
        self._mid = {one.symbol: one.start for one in LISTINGS}
        self._seq = 0
        self.shown: dict[tuple[str, int], Quote] = {}
        self.last: dict[str, Quote] = {}

    def move(self, one: Listing, now: datetime) -> str:
        """A new price, or a bad one that the gate must not let through; what came of it."""
        luck = self._dice[f"price:{one.symbol}"]
        width = max(one.start // 100, 2)
        mid = self._mid[one.symbol] + luck.randint(-width, width)
        self._mid[one.symbol] = min(max(mid, one.start // 2), one.start * 2)
        made = self._quote(one, now)
        if self._faults.strike("bad_quote"):
            made, code = self._spoil(made, now)
            found = check_quote(made, self.last.get(one.symbol), now)
            if found is None:
                raise Violation("I15 no bad quote passes", f"{code} of {one.symbol}")
            return found
        refusal = check_quote(made, self.last.get(one.symbol), now)
        if refusal is not None:
            raise Violation("I15 a good quote passes", f"{refusal} of {one.symbol}")
        self.shown[one.symbol, made.seq] = self.last[one.symbol] = made
        quote_store.quotes_put([made])
        return f"{made.bid}/{made.ask}"

    def _quote(self, one: Listing, now: datetime) -> Quote:
        luck = self._dice[f"book:{one.symbol}"]
        self._seq += 1
        spread = luck.choice([1, 2, max(one.start // 1000, 1)])
        # From dust to plenty: half of the orders should meet less than they ask for.
        worth = D(luck.choice([50, 2_000, 20_000, 1_000_000]))
        sizes = [
            (worth / (self._mid[one.symbol] * one.tick) * luck.randint(1, 9)).quantize(one.step)
            for _ in range(luck.randint(1, 3))
        ]
        bid = self._mid[one.symbol] * one.tick
        ask = bid + spread * one.tick
        bids = tuple(Level(bid - one.tick * n, size) for n, size in enumerate(sizes))
        asks = tuple(Level(ask + one.tick * n, size) for n, size in enumerate(sizes))
        return Quote(
            symbol=one.symbol,
            bid=bid,
            ask=ask,
            bid_size=sizes[0],
            ask_size=sizes[0],
            last=ask,
            prev_close=one.start * one.tick,
            open=one.start * one.tick,
            day_high=ask,
            day_low=bid,
            volume=D(1000),
            as_of=now - timedelta(microseconds=now.microsecond % 1000),  # the wire's precision
            seq=self._seq,
            bids=bids,
            asks=asks,
            source="simulated",
        )

    def _spoil(self, made: Quote, now: datetime) -> tuple[Quote, str]:
        """A quote that no sane reader takes, and what is wrong with it."""
        kind = self._dice["spoil"].choice(["nan", "inf", "zero", "negative", "crossed", "future"])
        changes: dict[str, dict[str, object]] = {
            "nan": {"last": D("NaN")},
            "inf": {"ask": D("Infinity")},
            "zero": {"bid": D(0)},
            "negative": {"ask_size": D(-1)},
            "crossed": {"bid": made.ask + D(1), "bids": ()},
            "future": {"as_of": now + MAX_CLOCK_SKEW * 2},
        }
        return replace(made, **changes[kind]), kind  # type: ignore[arg-type]
