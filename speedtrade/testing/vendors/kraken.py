"""A Kraken-like exchange on the loopback, after docs.kraken.com/api-reference (Spot REST).

It answers as the venue is documented to: HTTP 200 and `error[]`, numbers as strings, one nonce per
key that must grow, a client order id that is unique among open orders only. Its books are its own:
tests compare ours with them. `faults` spoils answers; the methods play the market and the customer.

    with KrakenVendor() as vendor:
        settings.CCXT_URLS = {"kraken": vendor.urls}
"""

import re
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from speedtrade.testing.vendors.kraken_faults import Faults
from speedtrade.testing.vendors.kraken_http import Loopback, Reply, Request
from speedtrade.testing.vendors.kraken_market import (
    Level,
    Market,
    PublicEndpoints,
    VendorError,
    levels_around,
)
from speedtrade.testing.vendors.kraken_pairs import pair_of

PATH = re.compile(r"^/0/(public|private)/(\w+)$")
_PUBLIC = {
    "Time": "public_time",
    "SystemStatus": "public_system_status",
    "Assets": "public_assets",
    "AssetPairs": "public_asset_pairs",
    "Ticker": "public_ticker",
    "Depth": "public_depth",
    "OHLC": "public_ohlc",
    "Trades": "public_trades",
}


def endpoint_name(request: Request) -> str:
    """What faults and counts go by: the last part of the path (AddOrder, Ticker)."""
    found = PATH.match(request.path)
    return found[2] if found else request.path


class KrakenVendor(PublicEndpoints):
    """One exchange; `urls` is what CCXT_URLS takes for "kraken"."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.wire = Loopback(self._answer, endpoint_name, port=port)

    @property
    def urls(self) -> dict[str, str]:
        return {"public": self.wire.url, "private": self.wire.url}

    @property
    def faults(self) -> Faults:
        return self.wire.faults

    def start(self) -> Self:
        self.wire.start()
        return self

    def stop(self) -> None:
        self.wire.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer(self, request: Request, refusal: str) -> Reply:
        try:
            if refusal:
                raise VendorError(refusal)
            found = PATH.match(request.path)
            method = _PUBLIC.get(found[2]) if found and found[1] == "public" else None
            if method is None:
                raise VendorError("EGeneral:Unknown method")
            return Reply({"error": [], "result": getattr(self, method)(request.query)})
        except VendorError as error:
            return Reply({"error": [str(error)], "result": {}})
        except (ValueError, ArithmeticError):
            return Reply({"error": ["EGeneral:Invalid arguments"], "result": {}})

    # ── the market, as a test or a person plays it ─────────────────────────

    def market(self, symbol: str) -> Market:
        """The market of a symbol as we write it: BTC/USD."""
        return self.markets[pair_of(symbol).id]

    def price(self, symbol: str, bid: str | Decimal, ask: str | Decimal) -> None:
        """Move a market: five levels on each side, the last trade at the bid."""
        market = self.market(symbol)
        market.bids, market.asks = levels_around(market.pair, Decimal(bid), Decimal(ask))
        market.last = (market.bid, Decimal("0.01"))
        market.high, market.low = max(market.high, market.bid), min(market.low, market.bid)

    def book(self, symbol: str, bids: list[Level], asks: list[Level]) -> None:
        """Set the order book, best first."""
        market = self.market(symbol)
        market.bids, market.asks = list(bids), list(asks)

    def candles(self, symbol: str, interval: int, rows: list[list[Any]]) -> None:
        """Set the candles of an interval (minutes), oldest first: [time, o, h, l, c, volume]."""
        market = self.market(symbol)
        price, volume = market.pair.price, market.pair.volume
        market.candles[interval] = [
            [
                int(at),
                *(price(Decimal(str(value))) for value in (opened, high, low, close, close)),
                volume(Decimal(str(size))),
                1,
            ]
            for at, opened, high, low, close, size in rows
        ]

    def trade(self, symbol: str, price: str, volume: str, side: str = "buy", at: float = 0) -> None:
        """Somebody traded: it shows in Trades and as the last price."""
        market = self.market(symbol)
        value, size, number = Decimal(price), Decimal(volume), len(market.trades) + 1
        market.trades.append(
            [
                market.pair.price(value),
                market.pair.volume(size),
                at or self.now(),
                side[0],
                "m",
                "",
                number,
            ]
        )
        market.last = (value, size)
