"""The prices of the Kraken-like vendor as they move: /v2 of docs.kraken.com (Spot WebSocket v2).

Channels `ticker` and `book`, as ccxt.pro subscribes to them: a snapshot, then what changes. Numbers
are JSON numbers there. Faults: `drop()` cuts every line, `mute` swallows all but pongs, `refuse`
answers the next handshakes with that status, `send` puts any text on the line, and while `hold` is
on what would be told is kept, for `let_go` to tell backwards.
"""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from speedtrade.testing.vendors.kraken_market import Level, Market
from speedtrade.testing.vendors.kraken_pairs import pair_of

PATH = "/v2"
DEPTHS = (10, 25, 100, 500, 1000)
Sides = dict[str, list[Level]]


class PriceSocket:
    """All connections to /v2, and what each has subscribed to: {(channel, symbol): depth}."""

    def __init__(self, markets: dict[str, Market], now: Callable[[], float]) -> None:
        self._markets, self._now = markets, now
        self._lock = threading.RLock()
        self._told: dict[str, Sides] = {}  # the books as they were told last
        self._kept: list[tuple[Connection, str]] = []
        self.lines: dict[Connection, dict[tuple[str, str], int]] = {}
        self.handshakes = 0
        self.received: list[dict[str, Any]] = []
        self.refuse: list[int] = []
        self.mute = self.hold = False

    # ── the client's side of the line ────────────────────────────────────────
    def serve(self, line: Connection) -> None:
        """One connection, until it ends; it has a thread of its own."""
        with self._lock:
            self.lines[line] = {}
        about = {"version": "2.0.10", "system": "online", "api_version": "v2"}
        status = about | {"connection_id": self.handshakes}
        with suppress(ConnectionClosed, OSError):
            self._say(line, {"channel": "status", "type": "update", "data": [status]})
            for text in line:
                self._answer(line, json.loads(text))
        with self._lock:
            self.lines.pop(line, None)

    def _answer(self, line: Connection, asked: dict[str, Any]) -> None:
        self.received.append(asked)
        method, params = asked.get("method"), asked.get("params") or {}
        head = {"method": method} | {k: asked[k] for k in ("req_id",) if k in asked}
        if method == "ping":
            line.send(self._text(head | {"method": "pong"} | self._times()))
            return
        for symbol in params.get("symbol", []):
            wrong = self._wrong(line, params.get("channel"), symbol, params.get("depth", 10))
            if method != "subscribe" or wrong:
                no = {"success": False, "symbol": symbol, "error": wrong or "Malformed request"}
                self._say(line, head | no | self._times())
                continue
            channel = params["channel"]
            result = {"channel": channel, "symbol": symbol, "snapshot": True}
            if channel == "ticker":
                result["event_trigger"] = params.get("event_trigger", "trades")
            self._say(line, head | {"result": result, "success": True} | self._times())
            with self._lock:
                self.lines[line][channel, symbol] = params.get("depth", 10)
                self._snapshot(line, channel, symbol)

    def _wrong(self, line: Connection, channel: Any, symbol: str, depth: Any) -> str:
        if channel not in ("ticker", "book"):
            return "Malformed request"
        if depth not in DEPTHS:
            return "Subscription depth not supported"
        if (channel, symbol) in self.lines[line]:
            return "Already subscribed to one ore more channels"  # the venue's own spelling
        try:
            pair_of(symbol)
        except KeyError:
            return f"Currency pair not supported {symbol}"
        return ""

    # ── what it tells ────────────────────────────────────────────────────────
    def tell(self, symbol: str) -> None:
        """The market of the symbol has moved: whoever listens hears of it."""
        market = self._market(symbol)
        with self._lock:
            listening = [key for line in self.lines.values() for key in line]
            change = self._change(symbol, market) if ("book", symbol) in listening else None
            for line, channels in list(self.lines.items()):
                if change and ("book", symbol) in channels:
                    self._say(line, {"channel": "book", "type": "update", "data": [change]})
                if ("ticker", symbol) in channels:
                    data = [self._ticker(symbol, market)]
                    self._say(line, {"channel": "ticker", "type": "update", "data": data})

    def _snapshot(self, line: Connection, channel: str, symbol: str) -> None:
        market = self._market(symbol)
        data = self._ticker(symbol, market)
        if channel == "book":
            # Who listens already must hear the changes up to here, or never would.
            self.tell(symbol) if symbol in self._told else None
            self._told[symbol] = {"bids": list(market.bids), "asks": list(market.asks)}
            sides = {name: _rows(levels) for name, levels in self._told[symbol].items()}
            data = {"symbol": symbol, **sides, "checksum": 0}
        self._say(line, {"channel": channel, "type": "snapshot", "data": [data]})

    def _change(self, symbol: str, market: Market) -> dict[str, Any] | None:
        before = self._told.get(symbol, {"bids": [], "asks": []})
        after: Sides = {"bids": list(market.bids), "asks": list(market.asks)}
        self._told[symbol] = after
        rows = {}
        for side, levels in after.items():
            gone = {price for price, _ in before[side]} - {price for price, _ in levels}
            new = [level for level in levels if level not in before[side]]
            rows[side] = _rows([(price, Decimal(0)) for price in gone] + new)
        if not rows["bids"] and not rows["asks"]:
            return None
        return {"symbol": symbol, **rows, "checksum": 0, "timestamp": self._moment()}

    def _ticker(self, symbol: str, market: Market) -> dict[str, Any]:
        (bid, bid_size), (ask, ask_size) = market.bids[0], market.asks[0]
        change = market.last[0] - market.opened
        return {
            "symbol": symbol,
            "bid": bid,
            "bid_qty": bid_size,
            "ask": ask,
            "ask_qty": ask_size,
            "last": market.last[0],
            "volume": market.volume,
            "vwap": market.last[0],
            "low": market.low,
            "high": market.high,
            "change": change,
            "change_pct": round(change / market.opened * 100, 2),
        }

    def _market(self, symbol: str) -> Market:
        return self._markets[pair_of(symbol).id]

    # ── the line, and what goes wrong on it ──────────────────────────────────
    def send(self, text: str) -> None:
        """Any text to everybody."""
        with self._lock:
            for line in list(self.lines):
                self._put(line, text)

    def let_go(self) -> None:
        """Tell what was kept, the last of it first."""
        with self._lock:
            self.hold, kept, self._kept = False, self._kept, []
            for line, text in reversed(kept):
                self._put(line, text)

    def drop(self) -> None:
        """Cut every line, without a word of goodbye."""
        with self._lock:
            for line in list(self.lines):
                with suppress(OSError):
                    line.socket.shutdown(2)

    def _say(self, line: Connection, message: dict[str, Any]) -> None:
        if self.hold:
            self._kept.append((line, self._text(message)))
        elif not self.mute:
            self._put(line, self._text(message))

    def _put(self, line: Connection, text: str) -> None:
        with suppress(ConnectionClosed, OSError):
            line.send(text)

    def _text(self, message: dict[str, Any]) -> str:
        return json.dumps(message, default=float)

    def _times(self) -> dict[str, str]:
        return {"time_in": self._moment(), "time_out": self._moment()}

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat().replace("+00:00", "Z")


def _rows(levels: list[Level]) -> list[dict[str, Decimal]]:
    return [{"price": price, "qty": size} for price, size in levels]
