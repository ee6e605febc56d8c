"""Pages of the market: the list, search and the watchlist; one symbol is in `symbol_views`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from marketdata import quote_store, selectors
from marketdata.domain.quotes import Quote
from marketdata.domain.symbols import symbol_slug
from marketdata.models import AssetType, Instrument
from marketdata.palette import places_for
from marketdata.services.watchlists import (
    watchlist_add,
    watchlist_remove,
    watchlists_choose,
)
from marketdata.sorting import sort_asked, sort_links, sort_symbols
from speedtrade.lib.errors import Conflict, Unavailable
from speedtrade.lib.htmx import page
from speedtrade.lib.requests import own_address, whole_number

MOVERS_ON_PAGE = 5
RECENT = 5  # symbols that the palette remembers (palette.js)
SPARK_BARS, SPARK_LIMIT = "5m", 288  # a market that never closes has a day of so many


def quote_rows(instruments: Iterable[Instrument], now: datetime) -> list[dict[str, Any]]:
    """{instrument, quote or None, stale, closed_at} for `_quote_row.html`, in the order given."""
    chosen = list(instruments)
    quotes = quote_store.quotes_get([instrument.symbol for instrument in chosen])
    return rows_of([(instrument, quotes.get(instrument.symbol)) for instrument in chosen], now)


def rows_of(
    found: Iterable[tuple[Instrument, Quote | None]], now: datetime
) -> list[dict[str, Any]]:
    """The rows of `quote_rows` for quotes that are known; closed_at: see MarketState.close_of."""
    states = selectors.market_clock(now)
    return [
        {
            "instrument": instrument,
            "quote": quote,
            "stale": quote is None or selectors.is_stale(quote, now),
            "closed_at": states[instrument.asset_type].close_of(quote),
        }
        for instrument, quote in found
    ]


def with_sparks(
    rows: list[dict[str, Any]], now: datetime, timeframe: str = SPARK_BARS
) -> list[dict[str, Any]]:
    """Add `spark` to each row: the previous close and the prices of today's session."""
    opened = {kind: state.session_open for kind, state in selectors.market_clock(now).items()}
    for row in rows:
        instrument, quote = row["instrument"], row["quote"]
        if quote is None:
            continue
        start = opened[instrument.asset_type]
        try:
            today = selectors.bars(
                instrument, timeframe, now=now, start=start, limit=SPARK_LIMIT, wait=False
            )
        except Unavailable:  # no feed prices it any more: what is left is its last quote
            continue
        row["spark"] = [quote.prev_close, *(bar.c for bar in today), quote.last]
    return rows


@require_safe
def markets(request: HttpRequest) -> HttpResponse:
    """What moved most, and all there is to trade (`?type=stock|crypto`, `?sort=`, `?page=`)."""
    now, kind = timezone.now(), request.GET.get("type", "")
    kind = kind if kind in AssetType.values else ""
    sort = sort_asked(request.GET.get("sort", ""))
    query = urlencode({name: value for name, value in (("type", kind), ("sort", sort)) if value})
    context = {
        "kind": kind,
        "sort": sort,
        "links": sort_links(sort or "symbol", type=kind),
        "query": f"&{query}#all" if query else "#all",
        "found": _all_page(kind, sort or "symbol", request.GET.get("page", ""), now),
    }
    if not getattr(request, "htmx", False):
        context |= {
            "gainers": _movers("gainers", kind, now),
            "losers": _movers("losers", kind, now),
            "states": selectors.market_clock(now),
        }
    return page(
        request, "marketdata/markets.html", context, partial="marketdata/partials/_all.html"
    )


def _all_page(kind: str, sort: str, number: str, now: datetime) -> Page[dict[str, Any]]:
    """One page of all there is, which may be thousands: only its own quotes are read whole."""
    symbols = list(selectors.instruments_listed(kind).values_list("symbol", flat=True))
    ordered = sort_symbols(symbols, sort, quote_store.figures)
    found: Any = Paginator(ordered, settings.MARKETS_PAGE_SIZE).get_page(number)
    chosen = {row.symbol: row for row in selectors.instruments_get(found.object_list)}
    found.object_list = quote_rows([chosen[symbol] for symbol in found.object_list], now)
    rows_page: Page[dict[str, Any]] = found
    return rows_page


def _movers(direction: selectors.Direction, kind: str, now: datetime) -> list[dict[str, Any]]:
    """Only what really moved in that direction: on a quiet day a list may be short or empty."""
    found = selectors.movers(direction, now, MOVERS_ON_PAGE, asset_type=kind)
    sign = 1 if direction == "gainers" else -1
    moved = [(m.instrument, m.quote) for m in found if sign * m.quote.change_pct > 0]
    return with_sparks(rows_of(moved, now), now)


def _with_recent(
    request: HttpRequest, rows: list[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """`?recent=AAPL,KO`, what this tab showed last, each marked so; then the others of `rows`."""
    known, _ = selectors.instruments_split(request.GET.get("recent", "").split(",")[:RECENT])
    recent = [row | {"recent": True} for row in quote_rows(known, now)]
    return recent + [row for row in rows if row["instrument"] not in known]


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """`?q=`: what matches, or the watchlist; `?as=options`: for the palette, pages included."""
    now, text = timezone.now(), request.GET.get("q", "")[:60]
    if text.strip():
        found = selectors.instrument_search(text, settings.SEARCH_LIMIT)
    else:
        found = selectors.watchlist_instruments(request.user)
    context: dict[str, Any] = {"q": text.strip(), "rows": quote_rows(found, now)}
    if request.GET.get("as") == "options":
        context["places"] = places_for(text)
        if not text.strip():
            context["rows"] = _with_recent(request, context["rows"], now)
        return render(request, "marketdata/partials/_options.html", context)
    return page(
        request, "marketdata/search.html", context, partial="marketdata/partials/_results.html"
    )


@require_POST
def watch(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol`: it stands on the watchlist; again is harmless."""
    watchlist_add(user=request.user, symbol=request.POST.get("symbol", ""), now=timezone.now())
    return _star(request)


@require_POST
def unwatch(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol`: it is off the watchlist; again is harmless."""
    watchlist_remove(user=request.user, symbol=request.POST.get("symbol", ""))
    return _star(request)


@require_POST
def choose(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol` and any number of `list`: it stands on these lists and on no other.

    400 for what is no number of a list: left out, it would take the symbol off all of them.
    """
    symbol, asked = request.POST.get("symbol", ""), request.POST.getlist("list")
    chosen = {whole_number(text, "list") or 0 for text in asked}  # 0 is no list of anybody
    try:
        watchlists_choose(user=request.user, symbol=symbol, chosen=chosen)
    except Conflict as error:
        return _star(request, problem=error.detail)
    if getattr(request, "htmx", False):
        return HttpResponse(status=204)  # the boxes show it already
    return _star(request)


def starred(request: HttpRequest, instrument: Instrument) -> dict[str, Any]:
    """For `components/_star.html`: the user's lists, and whether the first one has it."""
    lists = selectors.watchlists_star(request.user, instrument)
    return {"star_lists": lists, "watched": bool(lists) and getattr(lists[0], "watched", False)}


def _star(request: HttpRequest, problem: str = "") -> HttpResponseBase:
    """The star as it is now, or back to the page where it was pressed."""
    instrument = selectors.instrument_get(request.POST.get("symbol", ""))
    asked = request.POST.get("next", "")
    own = own_address(request, asked)
    if request.headers.get("HX-Request") == "true":
        context = {"instrument": instrument, **starred(request, instrument), "problem": problem}
        return render(request, "components/_star.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    if own:
        return redirect(asked)
    return redirect("marketdata:symbol", symbol_slug(instrument.symbol))
