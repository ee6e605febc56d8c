"""The market behind the Alpaca-like data vendor: assets, snapshots and bars."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
NAMES = {"AAPL": "Apple Inc. Common Stock", "SPY": "SPDR S&P 500", "MSFT": "Microsoft Corporation"}
STEPS = {"1Min": 60, "5Min": 300, "15Min": 900, "1Hour": 3600, "1Day": 86400}


def wire_time(moment: datetime) -> str:
    """RFC 3339 with nanoseconds, as Alpaca writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def asset(symbol: str, **changes: Any) -> dict[str, Any]:
    """An asset as GET /v2/assets lists it."""
    return {
        "id": f"00000000-0000-4000-8000-{sum(map(ord, symbol)):012d}",
        "class": "us_equity",
        "exchange": "NASDAQ",
        "symbol": symbol,
        "name": NAMES.get(symbol, f"{symbol} Corporation"),
        "status": "active",
        "tradable": True,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": True,
        "attributes": [],
    } | changes


def bar(t: datetime, price: float, volume: int = 1000) -> dict[str, Any]:
    """A bar that moved a little."""
    return {
        "t": t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "o": price,
        "h": round(price * 1.01, 2),
        "l": round(price * 0.99, 2),
        "c": price,
        "v": volume,
        "n": 10,
        "vw": price,
    }


class DataMarket:
    """What REST answers from. Bars exist around the clock, as Alpaca has some before the bell."""

    def __init__(self) -> None:
        self.assets: list[dict[str, Any]] = [asset(symbol) for symbol in NAMES]
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.bad_symbols: set[str] = set()  # one of these in a question spoils all of it
        self.split: float = 1.0  # every price of a bar is divided by it
        self.page = 10_000  # bars on one page

    def move(
        self, symbol: str, bid: float, ask: float, at: datetime, size: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Change the latest quote and trade; both, with `at` as a datetime."""
        mid = round((bid + ask) / 2, 4)
        quote = {"ax": "V", "ap": ask, "as": size, "bx": "V", "bp": bid, "bs": size, "c": ["R"]}
        trade = {"i": 1, "x": "V", "p": mid, "s": 10, "c": ["@"], "z": "C"}
        midnight = at.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
        self.snapshots[symbol] = {
            "latestTrade": trade | {"t": wire_time(at)},
            "latestQuote": quote | {"t": wire_time(at), "z": "C"},
            "minuteBar": bar(at.replace(second=0, microsecond=0), mid),
            "dailyBar": bar(midnight, mid, 500_000),
            "prevDailyBar": bar(midnight - timedelta(days=1), round(mid * 0.98, 2), 900_000),
        }
        return quote | {"t": at, "z": "C"}, trade | {"t": at}

    def answer(self, path: str, asked: dict[str, str]) -> tuple[int, Any]:
        """(status, body) of a GET."""
        if path == "/v2/assets":
            return 200, self.assets
        symbols = [name for name in asked.get("symbols", "").split(",") if name]
        if self.bad_symbols.intersection(symbols):
            return 400, {"message": "invalid symbol"}
        known = {name: self.snapshots[name] for name in symbols if name in self.snapshots}
        if path == "/v2/stocks/snapshots":
            return 200, known
        if path == "/v2/stocks/quotes/latest":
            return 200, {"quotes": {name: row["latestQuote"] for name, row in known.items()}}
        if path == "/v2/stocks/trades/latest":
            return 200, {"trades": {name: row["latestTrade"] for name, row in known.items()}}
        if path == "/v2/stocks/bars":
            return 200, self._bars(symbols, asked)
        return 404, {"message": "endpoint not found."}

    def _bars(self, symbols: list[str], asked: dict[str, str]) -> dict[str, Any]:
        start, end = datetime.fromisoformat(asked["start"]), datetime.fromisoformat(asked["end"])
        step = STEPS[asked["timeframe"]]
        offset = int(asked.get("page_token", "0"))
        rows = self._moments(start, end, step)
        page = rows[offset : offset + self.page]
        more = offset + self.page < len(rows)
        return {
            "bars": {symbol: [bar(t, self._price(t)) for t in page] for symbol in symbols},
            "next_page_token": str(offset + self.page) if more else None,
        }

    def _price(self, t: datetime) -> float:
        """Between 100 and 110, the same for the same moment."""
        return round((100 + t.timestamp() / 60 % 1000 / 100) / self.split, 4)

    def _moments(self, start: datetime, end: datetime, step: int) -> list[datetime]:
        if step == STEPS["1Day"]:
            day = start.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
            days = [day + timedelta(days=n) for n in range((end - start).days + 2)]
            return [t for t in days if start <= t <= end]
        first = -(-int(start.timestamp()) // step) * step
        return [
            datetime.fromtimestamp(s, UTC) for s in range(first, int(end.timestamp()) + 1, step)
        ]
