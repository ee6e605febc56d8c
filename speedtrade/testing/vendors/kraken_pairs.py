"""What the Kraken-like vendor lists: assets and pairs, as /public/Assets and AssetPairs tell them.

The numbers are those of the venue's own tables for the same pairs; only the list is short.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

FEE_PERCENT = Decimal("0.25")  # taker, the first tier
MAKER_PERCENT = Decimal("0.25")


@dataclass(frozen=True, slots=True)
class Asset:
    """One currency. `id` is what balances and ledgers say, `altname` what pairs are made of."""

    id: str
    altname: str
    decimals: int
    display: int

    def told(self) -> dict[str, Any]:
        return {
            "aclass": "currency",
            "altname": self.altname,
            "decimals": self.decimals,
            "display_decimals": self.display,
            "status": "enabled",
        }


@dataclass(frozen=True, slots=True)
class Pair:
    """One market. `id`, `altname` and `wsname` all name it in a request."""

    id: str
    altname: str
    wsname: str
    base: str
    quote: str
    pair_decimals: int
    lot_decimals: int
    cost_decimals: int
    order_min: str
    cost_min: str

    @property
    def tick(self) -> Decimal:
        return Decimal(1).scaleb(-self.pair_decimals)

    @property
    def lot(self) -> Decimal:
        return Decimal(1).scaleb(-self.lot_decimals)

    def price(self, value: Decimal) -> str:
        """A price as the venue prints it."""
        return f"{value:.{self.pair_decimals}f}"

    def volume(self, value: Decimal) -> str:
        """A quantity as the venue prints it."""
        return f"{value:.{self.lot_decimals}f}"

    def cost(self, value: Decimal) -> str:
        """An amount of the quote currency as the venue prints it."""
        return f"{value:.{self.cost_decimals}f}"

    def told(self, status: str = "online") -> dict[str, Any]:
        return {
            "altname": self.altname,
            "wsname": self.wsname,
            "aclass_base": "currency",
            "base": self.base,
            "aclass_quote": "currency",
            "quote": self.quote,
            "lot": "unit",
            "cost_decimals": self.cost_decimals,
            "pair_decimals": self.pair_decimals,
            "lot_decimals": self.lot_decimals,
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, float(FEE_PERCENT)], [10000, 0.2]],
            "fees_maker": [[0, float(MAKER_PERCENT)], [10000, 0.14]],
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": self.order_min,
            "costmin": self.cost_min,
            "tick_size": f"{self.tick:f}",
            "status": status,
        }


ASSETS = {
    asset.id: asset
    for asset in (
        Asset("ZUSD", "USD", 4, 2),
        Asset("ZEUR", "EUR", 4, 2),
        Asset("XXBT", "XBT", 10, 5),
        Asset("XETH", "ETH", 10, 5),
        Asset("XLTC", "LTC", 10, 5),
        Asset("XXDG", "XDG", 8, 2),
        Asset("SOL", "SOL", 10, 5),
        Asset("USDT", "USDT", 8, 4),
        Asset("ADA", "ADA", 8, 6),
        Asset("ADA.S", "ADA.S", 8, 6),  # staked: has a balance and no market
        Asset("XBT.F", "XBT.F", 10, 5),  # earns on its own: likewise
        Asset("KFEE", "FEE", 2, 2),
    )
}

PAIRS = {
    pair.id: pair
    for pair in (
        Pair("XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD", 1, 8, 5, "0.00005", "0.5"),
        Pair("XETHZUSD", "ETHUSD", "ETH/USD", "XETH", "ZUSD", 2, 8, 5, "0.001", "0.5"),
        Pair("XXBTZEUR", "XBTEUR", "XBT/EUR", "XXBT", "ZEUR", 1, 8, 5, "0.00005", "0.45"),
        Pair("XETHXXBT", "ETHXBT", "ETH/XBT", "XETH", "XXBT", 5, 8, 10, "0.001", "0.00002"),
        Pair("XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT", 1, 8, 8, "0.00005", "0.5"),
        Pair("LTCUSDT", "LTCUSDT", "LTC/USDT", "XLTC", "USDT", 2, 8, 8, "0.04", "0.5"),
        Pair("XDGUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD", 7, 8, 5, "13", "0.5"),
        Pair("SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD", 2, 8, 5, "0.02", "0.5"),
        Pair("ADAUSD", "ADAUSD", "ADA/USD", "ADA", "ZUSD", 6, 8, 5, "4.4", "0.5"),
    )
}

#: bid and ask at the start
PRICES = {
    "XXBTZUSD": ("43210.0", "43210.1"),
    "XETHZUSD": ("2300.00", "2300.05"),
    "XXBTZEUR": ("39800.0", "39800.5"),
    "XETHXXBT": ("0.05322", "0.05323"),
    "XBTUSDT": ("43205.0", "43205.9"),
    "LTCUSDT": ("74.00", "74.01"),
    "XDGUSD": ("0.0801000", "0.0801200"),
    "SOLUSD": ("98.00", "98.02"),
    "ADAUSD": ("0.512000", "0.512100"),
}

_NAMES = {name: pair for pair in PAIRS.values() for name in (pair.id, pair.altname, pair.wsname)}
_UNIFIED = {"XBT": "BTC", "XDG": "DOGE"}


def pair_named(name: str) -> Pair | None:
    """The pair of a request's `pair` parameter, by any of its three names."""
    return _NAMES.get(name)


def pair_of(symbol: str) -> Pair:
    """The pair of a symbol as we write it (BTC/USD); raises KeyError. For tests and controls."""
    for pair in PAIRS.values():
        base, quote = pair.wsname.split("/")
        if f"{_UNIFIED.get(base, base)}/{_UNIFIED.get(quote, quote)}" == symbol:
            return pair
    raise KeyError(symbol)


def asset_of(code: str) -> str:
    """The venue's id of a currency as we write it: BTC is XXBT."""
    for asset in ASSETS.values():
        if _UNIFIED.get(asset.altname, asset.altname) == code:
            return asset.id
    raise KeyError(code)
