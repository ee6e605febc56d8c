"""Pages of the market: the list, search, one symbol, the watchlist, and bars for charts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from marketdata import presenters, quote_store, selectors, serializers
from marketdata.domain.quotes import Quote
from marketdata.domain.symbols import symbol_slug
from marketdata.hours import market_hours
from marketdata.models import AssetType, Instrument
from marketdata.palette import places_for
from marketdata.panels import symbol_context
from marketdata.services.watchlists import (
    watchlist_add,
    watchlist_ensure_default,
    watchlist_remove,
    watchlists_choose,
)
from marketdata.sorting import sort_asked, sort_links, sort_rows
from speedtrade.lib.errors import Conflict, InvalidInput
from speedtrade.lib.formats import pct_text, price_text
from speedtrade.lib.htmx import page
from speedtrade.lib.money import percent

MOVERS_ON_PAGE = 5
SPARK_BARS, SPARK_LIMIT = "5m", 288  # a market that never closes has a day of so many


def quote_rows(instruments: Iterable[Instrument], now: datetime) -> list[dict[str, Any]]:
    """{instrument, quote or None, stale} for `components/_quote_row.html`, in the order given."""
    chosen = list(instruments)
    quotes = quote_store.quotes_get([instrument.symbol for instrument in chosen])
    return [_row(instrument, quotes.get(instrument.symbol), now) for instrument in chosen]


def _row(instrument: Instrument, quote: Quote | None, now: datetime) -> dict[str, Any]:
    stale = quote is None or selectors.is_stale(quote, now)
    return {"instrument": instrument, "quote": quote, "stale": stale}


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
        today = selectors.bars(instrument, timeframe, now=now, start=start, limit=SPARK_LIMIT)
        row["spark"] = [quote.prev_close, *(bar.c for bar in today), quote.last]
    return rows


@require_safe
def markets(request: HttpRequest) -> HttpResponse:
    """What moved most, and all there is to trade (`?type=stock|crypto`, `?sort=`, `?page=`)."""
    now, kind = timezone.now(), request.GET.get("type", "")
    kind = kind if kind in AssetType.values else ""
    sort = sort_asked(request.GET.get("sort", ""))
    rows = sort_rows(quote_rows(selectors.instruments_listed(kind), now), sort or "symbol")
    query = urlencode({name: value for name, value in (("type", kind), ("sort", sort)) if value})
    context = {
        "kind": kind,
        "sort": sort,
        "links": sort_links(sort or "symbol", type=kind),
        "query": f"&{query}#all" if query else "#all",
        "found": Paginator(rows, settings.MARKETS_PAGE_SIZE).get_page(request.GET.get("page")),
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


def _movers(direction: selectors.Direction, kind: str, now: datetime) -> list[dict[str, Any]]:
    """Only what really moved in that direction: on a quiet day a list may be short or empty."""
    found = selectors.movers(direction, now, MOVERS_ON_PAGE, asset_type=kind)
    sign = 1 if direction == "gainers" else -1
    rows = [_row(m.instrument, m.quote, now) for m in found if sign * m.quote.change_pct > 0]
    return with_sparks(rows, now)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """`?q=`: what matches, or the watchlist; `?as=options`: for the palette, pages included."""
    now, text = timezone.now(), request.GET.get("q", "")[:60]
    if text.strip():
        found = selectors.instrument_search(text, settings.SEARCH_LIMIT)
    else:
        found = selectors.watchlist_instruments(request.user)
    context = {"q": text.strip(), "rows": quote_rows(found, now)}
    if request.GET.get("as") == "options":
        context["places"] = places_for(text)
        return render(request, "marketdata/partials/_options.html", context)
    return page(
        request, "marketdata/search.html", context, partial="marketdata/partials/_results.html"
    )


@require_safe
def symbol_page(request: HttpRequest, symbol: str) -> HttpResponseBase:
    """Price, chart and facts of one symbol, with what other apps add. It has one address."""
    now, instrument = timezone.now(), selectors.instrument_get(symbol)
    if symbol != symbol_slug(instrument.symbol):
        return redirect("marketdata:symbol", symbol_slug(instrument.symbol), permanent=False)
    quote = quote_store.quote_get(instrument.symbol)
    context = {
        **_row(instrument, quote, now),
        **_starred(request, instrument),
        "state": selectors.market_clock(now)[instrument.asset_type],
        "hours": "always" if market_hours().never_closes(instrument.asset_type) else "nyse",
        "summary": _summary(instrument, quote),
        **symbol_context(request, instrument, now),
    }
    return render(request, "marketdata/symbol.html", context)


@require_safe
def book(request: HttpRequest, symbol: str) -> HttpResponse:
    """The order book of a symbol; its page fetches it again and again."""
    instrument = selectors.instrument_get(symbol)
    quote = selectors.quote_of(instrument)
    sizes = [level.size for level in (*quote.bids, *quote.asks)]
    largest = max(sizes, default=None)
    levels = {
        side: [
            {"price": x.price, "size": x.size, "share": percent(x.size, largest or x.size)}
            for x in rows
        ]
        for side, rows in (("bids", quote.bids), ("asks", quote.asks))
    }
    context = {"instrument": instrument, "quote": quote, **levels}
    return page(request, "marketdata/book.html", context, partial="marketdata/partials/_book.html")


def _summary(instrument: Instrument, quote: Quote | None) -> str:
    """The day in one sentence: what the chart shows, in words."""
    if quote is None:
        return f"There is no price of {instrument.symbol} yet."
    tick = instrument.price_tick
    moved = {1: "rose", -1: "fell", 0: "did not move"}[(quote.change > 0) - (quote.change < 0)]
    by = f" {pct_text(abs(quote.change_pct))}" if quote.change else ""
    return (
        f"{instrument.symbol} {moved}{by} today, from {price_text(quote.prev_close, tick)} to "
        f"{price_text(quote.last, tick)}; low {price_text(quote.day_low, tick)}, "
        f"high {price_text(quote.day_high, tick)}."
    )


@require_safe
def bars(request: HttpRequest, symbol: str) -> HttpResponseBase:
    """`?timeframe=&limit=&start=&end=` as JSON for the chart, in the shape of the API."""
    wanted = serializers.BarsQuery(data=request.GET)
    if not wanted.is_valid():
        raise InvalidInput("Choose a timeframe and a limit as the API names them.")
    instrument = selectors.instrument_get(symbol)
    rows = selectors.bars(instrument, **wanted.validated_data, now=timezone.now())
    timeframe = wanted.validated_data["timeframe"]
    return JsonResponse(presenters.bars_json(instrument.symbol, timeframe, rows))


@require_POST
def watch(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol`: it stands on the watchlist; again is harmless."""
    watchlist_add(user=request.user, symbol=request.POST.get("symbol", ""), now=timezone.now())
    return _star(request)


@require_POST
def unwatch(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol`: it is off the watchlist; again is harmless."""
    watchlist_ensure_default(user=request.user, now=timezone.now())
    watchlist_remove(user=request.user, symbol=request.POST.get("symbol", ""))
    return _star(request)


@require_POST
def choose(request: HttpRequest) -> HttpResponseBase:
    """POST `symbol` and any number of `list`: it stands on these lists and on no other."""
    symbol, asked = request.POST.get("symbol", ""), request.POST.getlist("list")
    chosen = {int(text) for text in asked if text.isascii() and text.isdigit()}
    try:
        watchlists_choose(user=request.user, symbol=symbol, chosen=chosen)
    except Conflict as error:
        return _star(request, problem=error.detail)
    if getattr(request, "htmx", False):
        return HttpResponse(status=204)  # the boxes show it already
    return _star(request)


def _starred(request: HttpRequest, instrument: Instrument) -> dict[str, Any]:
    """For `components/_star.html`: the user's lists, and whether the first one has it."""
    lists = selectors.watchlists_star(request.user, instrument)
    return {"star_lists": lists, "watched": bool(lists) and getattr(lists[0], "watched", False)}


def _star(request: HttpRequest, problem: str = "") -> HttpResponseBase:
    """The star as it is now, or back to the page where it was pressed."""
    instrument = selectors.instrument_get(request.POST.get("symbol", ""))
    asked = request.POST.get("next", "")
    own = url_has_allowed_host_and_scheme(asked, {request.get_host()}, request.is_secure())
    if request.headers.get("HX-Request") == "true":
        context = {"instrument": instrument, **_starred(request, instrument), "problem": problem}
        return render(request, "components/_star.html", context, status=422 if problem else 200)
    if problem:
        messages.error(request, problem)
    if own:
        return redirect(asked)
    return redirect("marketdata:symbol", symbol_slug(instrument.symbol))
