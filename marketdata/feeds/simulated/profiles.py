"""What exists in the simulated market: the instruments and how each of them behaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

DATA_FILE: Final = Path(__file__).resolve().parents[2] / "data" / "instruments.json"


@dataclass(frozen=True, slots=True)
class Profile:
    """How the simulated price of one symbol behaves.

    `anchor_price` is the close of `anchor_day`, in quote currency. `annual_volatility` is a
    fraction (0.3 = 30 % a year), `spread_bps` the spread in 1/100 % of the price, `daily_volume`
    and `typical_size` (of one level of the book) are in units. `market_weight` and
    `sector_weight` say how much of each move is the market's and the sector's: the squares of
    the two and of what is left to the symbol alone make 1.
    """

    symbol: str
    asset_type: str
    sector: str
    price_tick: Decimal
    size_step: Decimal
    anchor_day: date
    anchor_price: Decimal
    annual_volatility: float
    spread_bps: float
    daily_volume: Decimal
    typical_size: Decimal
    market_weight: float
    sector_weight: float


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """One row of the data file: the instrument as it is listed, and its simulation profile."""

    symbol: str
    name: str
    asset_type: str
    exchange: str
    sector: str
    price_tick: Decimal
    qty_step: Decimal
    min_qty: Decimal
    min_notional: Decimal
    fractionable: bool
    tradable: bool
    shortable: bool
    profile: Profile


@lru_cache(maxsize=1)
def load_instruments() -> tuple[InstrumentSpec, ...]:
    """Read the data file once; the order is the file's. Raises ValueError for a bad row."""
    document = json.loads(DATA_FILE.read_text(encoding="utf-8"))
    anchor_day = date.fromisoformat(document["anchor_day"])
    specs = tuple(_spec(row, anchor_day) for row in document["instruments"])
    if len({spec.symbol for spec in specs}) != len(specs):
        raise ValueError(f"a symbol stands twice in {DATA_FILE.name}")
    return specs


def load_profiles() -> dict[str, Profile]:
    """Return symbol -> profile for every instrument of the data file."""
    return {spec.symbol: spec.profile for spec in load_instruments()}


def _spec(row: dict[str, Any], anchor_day: date) -> InstrumentSpec:
    if row["asset_type"] not in ("stock", "crypto"):
        raise ValueError(f"{row['symbol']}: unknown asset type {row['asset_type']!r}")
    qty_step = Decimal(row["qty_step"])
    return InstrumentSpec(
        symbol=row["symbol"],
        name=row["name"],
        asset_type=row["asset_type"],
        exchange=row["exchange"],
        sector=row["sector"],
        price_tick=Decimal(row["price_tick"]),
        qty_step=qty_step,
        min_qty=Decimal(row["min_qty"]),
        min_notional=Decimal(row["min_notional"]),
        fractionable=row["fractionable"],
        tradable=row["tradable"],
        shortable=row["shortable"],
        profile=_profile(row, anchor_day, qty_step),
    )


def _profile(row: dict[str, Any], anchor_day: date, qty_step: Decimal) -> Profile:
    profile = Profile(
        symbol=row["symbol"],
        asset_type=row["asset_type"],
        sector=row["sector"],
        price_tick=Decimal(row["price_tick"]),
        # Exchanges quote shares whole, whatever fraction of one a customer may own.
        size_step=Decimal(1) if row["asset_type"] == "stock" else qty_step,
        anchor_day=anchor_day,
        anchor_price=Decimal(row["anchor_price"]),
        annual_volatility=float(row["annual_volatility"]),
        spread_bps=float(row["spread_bps"]),
        daily_volume=Decimal(row["daily_volume"]),
        typical_size=Decimal(row["typical_size"]),
        market_weight=float(row["market_weight"]),
        sector_weight=float(row["sector_weight"]),
    )
    if profile.market_weight**2 + profile.sector_weight**2 > 1:
        raise ValueError(f"{profile.symbol}: market and sector weigh more than the whole")
    if (anchor_day.month, anchor_day.day) != (12, 31):
        raise ValueError("the anchor must be the last day of a year")
    return profile
