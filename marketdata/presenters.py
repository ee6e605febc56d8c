"""The JSON shapes of the market: what the API and the socket answer. Numbers are exact strings."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from marketdata.alert_words import alert_text
from marketdata.bar_store import BarLines
from marketdata.domain.quotes import Level, Quote, moment_to_wire, quote_to_wire
from marketdata.feeds.registry import source_label
from marketdata.models import Alert, AlertFiring, Instrument
from marketdata.selectors import MarketState, Priced, is_stale
from speedtrade.lib.money import plain
from speedtrade.lib.times import rfc3339

QUOTE_FIELDS: Final = (
    "symbol",
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "last",
    "prev_close",
    "change",
    "change_pct",
    "open",
    "day_high",
    "day_low",
    "volume",
    "as_of",
    "source",
)


def quote_json(quote: Quote, now: datetime) -> dict[str, Any]:
    """A quote without depth; `stale` holds for `now`."""
    wire = quote_to_wire(quote, depth=False)
    return {name: wire[name] for name in QUOTE_FIELDS} | {"stale": is_stale(quote, now)}


def mover_json(row: Priced, now: datetime) -> dict[str, Any]:
    """A quote, and what it is a quote of."""
    named = {"name": row.instrument.name, "asset_type": row.instrument.asset_type}
    return quote_json(row.quote, now) | named


def book_json(quote: Quote, now: datetime) -> dict[str, Any]:
    """The order book, best prices first."""
    return {
        "symbol": quote.symbol,
        "bids": _levels(quote.bids),
        "asks": _levels(quote.asks),
        "as_of": moment_to_wire(quote.as_of),
        "source": quote.source,
        "stale": is_stale(quote, now),
    }


def bars_text(symbol: str, timeframe: str, lines: BarLines, **more: Any) -> str:
    """Bars as JSON, oldest first. `loading`: some are on their way.

    Written as text: a thousand small dicts would cost more than the query behind them.
    """
    head = _json({"symbol": symbol, "timeframe": timeframe})
    tail = _json({"loading": lines.loading, **more})
    return f'{head[:-1]},"bars":[{lines}],{tail[1:]}'


def instrument_json(instrument: Instrument) -> dict[str, Any]:
    """An instrument and the rules of its prices and quantities."""
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "asset_type": instrument.asset_type,
        "exchange": instrument.exchange,
        "sector": instrument.sector,
        "price_tick": plain(instrument.price_tick),
        "qty_step": plain(instrument.qty_step),
        "min_qty": plain(instrument.min_qty),
        "min_notional": plain(instrument.min_notional),
        "fractionable": instrument.fractionable,
        "tradable": instrument.tradable,
        "shortable": instrument.shortable,
        "source": source_label(instrument.feed),
        "halted": instrument.halted_at is not None,
    }


def clock_json(states: Mapping[str, MarketState], mode: str, now: datetime) -> dict[str, Any]:
    """When each market trades; `mode` is always or nyse."""
    markets = {
        kind: {
            "is_open": state.is_open,
            "session_open": _moment(state.session_open),
            "session_close": _moment(state.session_close),
            "next_open": _moment(state.next_open),
            "next_close": _moment(state.next_close),
        }
        for kind, state in states.items()
    }
    return {"timestamp": moment_to_wire(now), "mode": mode, "markets": markets}


def alert_json(alert: Alert) -> dict[str, Any]:
    """An alert with its words; `fired_at` and `fired_price` are of the last time it fired."""
    return {
        "id": alert.pk,
        "symbol": alert.instrument.symbol,
        "direction": alert.direction,
        "price": plain(alert.price, 2),
        "repeat": alert.repeat,
        "note": alert.note,
        "state": alert.state,
        "text": alert_text(alert),
        "fired_at": None if alert.fired_at is None else rfc3339(alert.fired_at),
        "fired_price": None if alert.fired_price is None else plain(alert.fired_price, 2),
        "created_at": rfc3339(alert.created_at),
    }


def firing_json(firing: AlertFiring) -> dict[str, Any]:
    """What an alert has said, and of which quote."""
    return {
        "alert_id": firing.alert_number,
        "symbol": firing.instrument.symbol,
        "direction": firing.direction,
        "level": plain(firing.level, 2),
        "note": firing.note,
        "price": plain(firing.price, 2),
        "quote_at": rfc3339(firing.quote_at),
        "at": rfc3339(firing.at),
    }


def _levels(levels: Iterable[Level]) -> list[dict[str, str]]:
    return [{"price": format(row.price, "f"), "size": format(row.size, "f")} for row in levels]


def _json(value: object) -> str:
    """As the API writes all of it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()[:19] + "Z"
