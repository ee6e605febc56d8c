"""Alpaca's REST through alpaca-py: time limits mounted, its own retries off, one budget for all."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from django.conf import settings

from marketdata.domain.bars import Bar
from marketdata.domain.calendar import NEW_YORK
from marketdata.feeds.alpaca.parse import bars_of, listing_of
from marketdata.feeds.base import FeedFailed, Listing
from marketdata.feeds.pacing import Budget

#: Our timeframe -> what Alpaca is asked for; hours are made of quarters.
TIMEFRAMES: Final = {"1m": "1Min", "5m": "5Min", "15m": "15Min", "1h": "15Min", "1D": "1Day"}
PAGE: Final = 10_000
PAGES: Final = 10  # of one question: a vendor whose pages never end is broken
TOO_MANY_REST: Final = 30.0  # seconds of silence after "too many", where no header says how long


class Refused(FeedFailed):
    """The vendor does not take the key."""


class BadRequest(FeedFailed):
    """The vendor does not take the question, as for a symbol that it does not know."""


class _TimedSession(requests.Session):
    """alpaca-py sets no time limit; a mute server would hold its thread for ever."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", settings.BROKER_TIMEOUT)
        return super().request(*args, **kwargs)


class AlpacaRest:
    """Snapshots, bars and assets. Each thread has one of its own; the budget is shared.

    Once `stop` is set it asks for nothing more.
    """

    def __init__(self, key: str, secret: str, budget: Budget, stop: threading.Event) -> None:
        self._budget, self.stop = budget, stop
        data, trading = settings.ALPACA_DATA_URL, settings.ALPACA_TRADING_URL
        self._data = _safe(StockHistoricalDataClient(key, secret, url_override=data))
        self._trading = _safe(TradingClient(key, secret, url_override=trading))

    def snapshots(self, symbols: Sequence[str]) -> dict[str, Any]:
        """Symbol -> its snapshot, of those that have one. A bad symbol does not hide the others."""
        if not symbols:
            return {}
        try:
            reply = self._get(
                self._data, "/stocks/snapshots", {"symbols": ",".join(symbols), "feed": data_feed()}
            )
        except BadRequest:
            if len(symbols) == 1:
                return {}
            half = len(symbols) // 2
            return self.snapshots(symbols[:half]) | self.snapshots(symbols[half:])
        return _mapping(reply, "snapshots")

    def bars(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> list[Bar]:
        """Bars that begin in [start, end], oldest first, adjusted for splits."""
        asked: dict[str, Any] = {
            "symbols": symbol,
            "timeframe": TIMEFRAMES[timeframe],
            "start": _whole_session(start, timeframe).isoformat(),
            "end": end.isoformat(),
            "adjustment": "split",
            "feed": data_feed(),
            "limit": PAGE,
        }
        rows: list[Any] = []
        for _ in range(PAGES):
            reply = _mapping(self._get(self._data, "/stocks/bars", asked), "bars")
            found = reply.get("bars")
            page = found.get(symbol) if isinstance(found, dict) else None
            rows.extend(page if isinstance(page, list) else [])
            token = reply.get("next_page_token")
            if not token:
                break
            asked = asked | {"page_token": token}
        return [bar for bar in bars_of(rows, timeframe) if start <= bar.t <= end]

    def assets(self) -> list[Listing]:
        """Every share that is traded there."""
        asked = {"status": "active", "asset_class": "us_equity"}
        rows = self._get(self._trading, "/assets", asked)
        if not isinstance(rows, list):
            raise FeedFailed("assets: no list")
        return [listing for row in rows if (listing := listing_of(row)) is not None]

    def _get(self, client: RESTClient, path: str, asked: dict[str, Any]) -> Any:
        if not self._budget.wait(self.stop):
            raise FeedFailed("stopping")
        try:
            return client.get(path, asked)
        except APIError as error:
            raise self._failure(path, error) from error
        except (requests.RequestException, ValueError) as error:
            raise FeedFailed(f"{path}: {type(error).__name__}") from error

    def _failure(self, path: str, error: APIError) -> FeedFailed:
        status = error.status_code
        if status == 429:
            self._budget.rest(_rest_of(error))
        kind = {400: BadRequest, 422: BadRequest, 401: Refused, 403: Refused}.get(
            status, FeedFailed
        )
        return kind(f"{path}: HTTP {status}")


def data_feed() -> str:
    """iex or sip, as the address of the stream ends."""
    return settings.ALPACA_DATA_STREAM_URL.rsplit("/", 1)[-1]


def _safe(client: RESTClient) -> RESTClient:
    """The client with time limits and without retries; RuntimeError when its inside has changed."""
    for name in ("_session", "_retry"):
        if not hasattr(client, name):
            raise RuntimeError(f"alpaca-py has no {name} any more: time limits cannot be set")
    client._session = _TimedSession()
    client._retry = 0
    return client


def _whole_session(start: datetime, timeframe: str) -> datetime:
    """Where to begin so that the first bar is whole: a day begins at midnight in New York."""
    if timeframe not in ("1h", "1D"):
        return start
    day = start.astimezone(NEW_YORK)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


def _mapping(reply: Any, what: str) -> dict[str, Any]:
    if not isinstance(reply, dict):
        raise FeedFailed(f"{what}: no object")
    return reply


def _rest_of(error: APIError) -> float:
    """How long to be silent, by X-RateLimit-Reset (unix seconds) where it is believable."""
    longest = timedelta(minutes=2).total_seconds()
    try:
        rest = float(error.response.headers["X-RateLimit-Reset"]) - time.time()
    except (AttributeError, KeyError, TypeError, ValueError):
        return TOO_MANY_REST
    return rest if 0 < rest <= longest else TOO_MANY_REST
