"""The public half of the Kraken-like vendor: prices as a test sets them, told as documented."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from speedtrade.testing.vendors.kraken_pairs import ASSETS, PAIRS, PRICES, Pair, pair_named

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)  # minutes
CANDLES_MAX = 720
TRADES_MAX = 1000
Params = dict[str, str]
Level = tuple[Decimal, Decimal]


class VendorError(Exception):
    """A refusal in the venue's words: HTTP 200 with this in `error`."""


@dataclass
class Market:
    """What one pair costs. `bids` and `asks` are best first; a candle is what OHLC tells."""

    pair: Pair
    bids: list[Level]
    asks: list[Level]
    last: Level
    opened: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal = Decimal("1234.56789012")
    count: int = 4321
    status: str = "online"
    candles: dict[int, list[list[Any]]] = field(default_factory=dict)
    trades: list[list[Any]] = field(default_factory=list)

    @property
    def bid(self) -> Decimal:
        return self.bids[0][0]

    @property
    def ask(self) -> Decimal:
        return self.asks[0][0]


def market_new(pair: Pair) -> Market:
    """A market at its starting price, with five levels on each side."""
    bid, ask = map(Decimal, PRICES[pair.id])
    bids, asks = levels_around(pair, bid, ask)
    return Market(pair, bids, asks, (bid, Decimal("0.01")), bid, ask, bid)


def levels_around(
    pair: Pair, bid: Decimal, ask: Decimal, size: Decimal = Decimal("1.5")
) -> tuple[list[Level], list[Level]]:
    """Five levels on each side, a tick apart, growing."""
    steps = range(5)
    return (
        [(bid - step * pair.tick, size * (step + 1)) for step in steps],
        [(ask + step * pair.tick, size * (step + 1)) for step in steps],
    )


class PublicEndpoints:
    """GET /0/public/*: each method takes the query and gives `result`, or raises VendorError."""

    def __init__(self) -> None:
        self.markets = {pair.id: market_new(pair) for pair in PAIRS.values()}
        self.clock_offset = 0.0  # seconds that the venue's clock is ahead of ours
        self.status = "online"

    def now(self) -> float:
        """The venue's clock."""
        return time.time() + self.clock_offset

    def _markets(self, params: Params) -> list[Market]:
        if not params.get("pair"):
            return list(self.markets.values())
        found = []
        for name in params["pair"].split(","):
            pair = pair_named(name)
            if pair is None:
                raise VendorError("EQuery:Unknown asset pair")
            found.append(self.markets[pair.id])
        return found

    def _market(self, params: Params) -> Market:
        if not params.get("pair"):
            raise VendorError("EGeneral:Invalid arguments")
        return self._markets(params)[0]

    def public_time(self, params: Params) -> Any:
        now = self.now()
        said = datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %y %H:%M:%S +0000")
        return {"unixtime": int(now), "rfc1123": said}

    def public_system_status(self, params: Params) -> Any:
        said = datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"status": self.status, "timestamp": said}

    def public_assets(self, params: Params) -> Any:
        return {asset.id: asset.told() for asset in ASSETS.values()}

    def public_asset_pairs(self, params: Params) -> Any:
        return {market.pair.id: market.pair.told(market.status) for market in self._markets(params)}

    def public_ticker(self, params: Params) -> Any:
        return {market.pair.id: _ticker(market) for market in self._markets(params)}

    def public_depth(self, params: Params) -> Any:
        market, now = self._market(params), int(self.now())
        count = int(params.get("count", "100"))
        pair = market.pair
        if not 1 <= count <= 500:
            raise VendorError("EGeneral:Invalid arguments")

        def told(levels: list[Level]) -> list[list[Any]]:
            return [[pair.price(price), f"{size:.3f}", now] for price, size in levels[:count]]

        return {pair.id: {"asks": told(market.asks), "bids": told(market.bids)}}

    def public_ohlc(self, params: Params) -> Any:
        market = self._market(params)
        interval = int(params.get("interval", "1"))
        if interval not in INTERVALS:
            raise VendorError("EGeneral:Invalid arguments")
        rows = market.candles.get(interval, [])[-CANDLES_MAX:]
        since = float(params.get("since", "0"))
        last = rows[-2][0] if len(rows) > 1 else 0  # the last one is not committed yet
        return {market.pair.id: [row for row in rows if row[0] > since], "last": last}

    def public_trades(self, params: Params) -> Any:
        market = self._market(params)
        since = params.get("since", "")
        # Seconds or nanoseconds, as long as the number says.
        after = float(since or 0) / (1e9 if len(since.partition(".")[0]) > 11 else 1)
        count = min(int(params.get("count", TRADES_MAX)), TRADES_MAX)
        rows = [row for row in market.trades if row[2] > after]
        rows = rows[:count] if since else rows[-count:]
        last = f"{rows[-1][2] * 1e9:.0f}" if rows else since or "0"
        return {market.pair.id: rows, "last": last}


def _ticker(market: Market) -> dict[str, Any]:
    """One pair of /public/Ticker: today's figure and that of 24 hours."""
    pair = market.pair
    price, volume = pair.price, pair.volume

    def best(level: Level) -> list[str]:
        whole = f"{level[1]:.0f}"
        return [price(level[0]), whole, f"{level[1]:.3f}"]

    return {
        "a": best(market.asks[0]),
        "b": best(market.bids[0]),
        "c": [price(market.last[0]), volume(market.last[1])],
        "v": [volume(market.volume), volume(market.volume)],
        "p": [price(market.last[0])] * 2,
        "t": [market.count] * 2,
        "l": [price(market.low)] * 2,
        "h": [price(market.high)] * 2,
        "o": price(market.opened),
    }
