from marketdata.models.alerts import Alert, AlertFiring
from marketdata.models.bars import Bar, BarSeries
from marketdata.models.instruments import AssetType, Instrument
from marketdata.models.watchlists import Watchlist, WatchlistItem

__all__ = [
    "Alert",
    "AlertFiring",
    "AssetType",
    "Bar",
    "BarSeries",
    "Instrument",
    "Watchlist",
    "WatchlistItem",
]
