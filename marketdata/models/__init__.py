from marketdata.models.instruments import AssetType, Instrument
from marketdata.models.watchlists import Watchlist, WatchlistItem

__all__ = ["AssetType", "Instrument", "Watchlist", "WatchlistItem"]
