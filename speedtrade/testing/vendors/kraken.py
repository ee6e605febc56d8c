"""A Kraken-like exchange on the loopback, after docs.kraken.com/api-reference (Spot REST).

It answers as the venue is documented to: HTTP 200 and `error[]`, numbers as strings, one nonce per
key that must grow, a client order id that is unique among open orders only. Its books are its own:
tests compare ours with them. `faults` spoils answers; the methods play the market and the customer.

    with KrakenVendor() as vendor:
        settings.CCXT_URLS = {"kraken": vendor.urls}
"""

import base64
import re
from collections.abc import Callable
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from websockets.sync.connection import Connection

from speedtrade.testing.vendors.faults import FaultScript
from speedtrade.testing.vendors.kraken_book import Book, VendorOrder, VendorTrade
from speedtrade.testing.vendors.kraken_http import Loopback, Reply, Request
from speedtrade.testing.vendors.kraken_market import (
    Level,
    Market,
    PublicEndpoints,
    VendorError,
    levels_around,
)
from speedtrade.testing.vendors.kraken_pairs import asset_of, pair_of
from speedtrade.testing.vendors.kraken_private import (
    ENDPOINTS,
    EVERYTHING,
    READ_ONLY,
    PrivateEndpoints,
    VendorKey,
)
from speedtrade.testing.vendors.kraken_stream import PATH as PRICES
from speedtrade.testing.vendors.kraken_stream import PriceSocket

API_KEY = "LOOPBACK-KRAKEN-KEY"
SECRET = base64.b64encode(
    b"the secret of the loopback kraken, 64 bytes long or about that.."
).decode()
READ_KEY = "LOOPBACK-KRAKEN-READS"  # the same customer, and it may only look
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
        self.wire = Loopback(self._answer, endpoint_name, port=port, upgrade=self._upgrade)
        self.stream = PriceSocket(self.markets, self.now)
        self.truth = Book(self.markets, self.now)
        self.private = PrivateEndpoints(self.truth)
        self.keys = {
            API_KEY: VendorKey(API_KEY, SECRET, EVERYTHING),
            READ_KEY: VendorKey(READ_KEY, SECRET, READ_ONLY),
        }
        self.hide_next = 0  # the next order is not seen by so many look-ups
        self.deposit("USD", "100000")

    @property
    def urls(self) -> dict[str, str]:
        return {"public": self.wire.url, "private": self.wire.url}

    @property
    def faults(self) -> FaultScript:
        return self.wire.faults

    def start(self) -> Self:
        self.wire.start()
        return self

    def stop(self) -> None:
        self.stream.drop()
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

    def _upgrade(self, request: Request) -> tuple[int, Callable[[Connection], None]]:
        self.stream.handshakes += 1
        status = self.stream.refuse.pop(0) if self.stream.refuse else 101
        return (status if request.path == PRICES else 404), self.stream.serve

    def _answer(self, request: Request, refusal: str) -> Reply:
        try:
            if refusal:
                raise VendorError(refusal)
            found = PATH.match(request.path)
            if found and found[1] == "private":
                return Reply({"error": [], "result": self._answer_private(found[2], request)})
            if not found or found[2] not in _PUBLIC:
                raise VendorError("EGeneral:Unknown method")
            return Reply({"error": [], "result": getattr(self, _PUBLIC[found[2]])(request.query)})
        except VendorError as error:
            return Reply({"error": [str(error)], "result": {}})
        except (ValueError, ArithmeticError):
            return Reply({"error": ["EGeneral:Invalid arguments"], "result": {}})

    def _answer_private(self, endpoint: str, request: Request) -> Any:
        key = self.keys.get(request.headers.get("api-key", ""))
        if key is None:
            raise VendorError("EAPI:Invalid key")
        with self.truth.lock:
            key.check(request)
        if endpoint not in ENDPOINTS:
            raise VendorError("EGeneral:Unknown method")
        method, rights = ENDPOINTS[endpoint]
        if rights and not key.rights & set(rights):
            raise VendorError("EGeneral:Permission denied")
        result = getattr(self.private, method)(request.form, key)
        if endpoint == "AddOrder" and self.hide_next and "txid" in result:
            self.truth.orders[result["txid"][0]].hidden = self.hide_next
            self.hide_next = 0
        return result

    # ── the customer, elsewhere ────────────────────────────────────────────

    def deposit(self, code: str, amount: str, *, kind: str = "deposit", fee: str = "0") -> str:
        """Money moves without an order; a negative amount goes out. Gives the ledger id."""
        return self.truth.deposit(asset_of(code), Decimal(amount), kind, Decimal(fee))

    def external_order(
        self,
        symbol: str,
        side: str,
        volume: str,
        price: str | None = None,
        *,
        client_id: str | None = None,
        userref: int | None = None,
    ) -> VendorOrder:
        """An order that the customer places in the venue's own app."""
        order = VendorOrder(
            self.truth.id_new("O"),
            pair_of(symbol),
            side,
            "limit" if price else "market",
            Decimal(volume),
            Decimal(price) if price else None,
            self.now(),
            client_id=client_id,
            userref=userref,
        )
        return self.truth.place(order)

    def order_of(self, client_id: str) -> VendorOrder:
        """The newest order with this client id, as the venue knows it."""
        return self.truth.orders[self.truth.accepted[client_id][-1]]

    def fill(self, txid: str, volume: str | None = None, price: str | None = None) -> VendorTrade:
        """Execute part or all of an order."""
        return self.truth.fill(
            txid, Decimal(volume) if volume else None, Decimal(price) if price else None
        )

    def cancel(self, txid: str, status: str = "canceled", reason: str = "User requested") -> None:
        """End an order as the venue would: canceled, expired, or any other word."""
        self.truth.close(self.truth.orders[txid], status, reason)

    # ── the market, as a test or a person plays it ─────────────────────────

    def market(self, symbol: str) -> Market:
        """The market of a symbol as we write it: BTC/USD."""
        return self.markets[pair_of(symbol).id]

    def price(self, symbol: str, bid: str | Decimal, ask: str | Decimal) -> None:
        """Move a market: five levels on each side, on its grid, the last trade at the bid."""
        market = self.market(symbol)
        tick = market.pair.tick
        low = Decimal(bid) // tick * tick
        high = max(-(-Decimal(ask) // tick) * tick, low + tick)
        market.bids, market.asks = levels_around(market.pair, low, high)
        market.last = (market.bid, Decimal("0.01"))
        market.high, market.low = max(market.high, market.bid), min(market.low, market.bid)
        self.truth.move(market.pair)
        self.stream.tell(symbol)

    def book(self, symbol: str, bids: list[Level], asks: list[Level]) -> None:
        """Set the order book, best first."""
        market = self.market(symbol)
        market.bids, market.asks = list(bids), list(asks)
        self.stream.tell(symbol)

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
        self.stream.tell(symbol)
