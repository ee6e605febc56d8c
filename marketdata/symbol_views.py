"""The page of one symbol, and what its chart, its book and its table fetch."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from marketdata import charts, presenters, selectors, serializers
from marketdata.alert_views import panel_context
from marketdata.domain.indicators import BELOW, INDICATORS
from marketdata.domain.ranges import RANGES, TODAY, day_words
from marketdata.domain.symbols import symbol_slug
from marketdata.feeds.registry import source_label
from marketdata.panels import symbol_context
from marketdata.services.indicators import indicators_choose
from marketdata.views import quote_rows, starred
from speedtrade.lib.errors import InvalidInput
from speedtrade.lib.htmx import page, see_other
from speedtrade.lib.requests import own_address


@require_safe
def symbol_page(request: HttpRequest, symbol: str) -> HttpResponseBase:
    """Price, chart, book and facts of one symbol, with what other apps add. It has one address."""
    now, instrument = timezone.now(), selectors.instrument_get(symbol)
    if symbol != symbol_slug(instrument.symbol):
        return redirect("marketdata:symbol", symbol_slug(instrument.symbol), permanent=False)
    row = quote_rows([instrument], now)[0]
    quote, state = row["quote"], selectors.market_clock(now)[instrument.asset_type]
    context = {
        **row,
        **charts.figures_of(instrument, quote, now=now),
        **charts.book_of(quote),
        **_chart_context(request, row, state, now),
        **starred(request, instrument),
        **panel_context(request, instrument, quote),
        "source": source_label(instrument.feed),
        "state": state,
        **symbol_context(request, instrument, now),
    }
    return render(request, "marketdata/symbol.html", context)


def _chart_context(
    request: HttpRequest, row: dict[str, Any], state: selectors.MarketState, now: datetime
) -> dict[str, Any]:
    chosen = getattr(request.user, "indicators", [])
    # The session's day, also where the price moved after it.
    words = day_words(now, None if state.is_open else state.session_close)
    return {
        "day_words": words.removeprefix("on ").capitalize(),
        "ranges": (RANGES | {TODAY: replace(RANGES[TODAY], words=words)}).items(),
        "range": TODAY,
        "indicators": [(name, label, name in chosen) for name, label in INDICATORS.items()],
        "tall": not BELOW.isdisjoint(chosen),
        "summary": charts.summary_of(row["instrument"], row["quote"], words),
    }


@require_safe
def book(request: HttpRequest, symbol: str) -> HttpResponse:
    """The order book of a symbol; its page fetches it again and again."""
    now, instrument = timezone.now(), selectors.instrument_get(symbol)
    row = quote_rows([instrument], now)[0]
    quote = row["quote"]
    context = {
        **row,
        **charts.figures_of(instrument, quote, now=now),
        **charts.book_of(quote),
    }
    return page(request, "marketdata/book.html", context, partial="marketdata/partials/_book.html")


@require_safe
def bars(request: HttpRequest, symbol: str) -> HttpResponseBase:
    """JSON for the chart: `?range=1M`, or `?timeframe=&limit=&start=&end=` in the shape of the API.

    `&indicators=sma20,rsi14` adds their lines, aligned with the bars.
    """
    now, instrument = timezone.now(), selectors.instrument_get(symbol)
    if name := request.GET.get("range", ""):
        asked = charts.range_asked(instrument, name, now=now)
    else:
        wanted = serializers.BarsQuery(data=request.GET)
        if not wanted.is_valid():
            raise InvalidInput("Choose a timeframe and a limit as the API names them.")
        asked = wanted.validated_data
    timeframe, more = asked["timeframe"], {}
    if names := charts.chosen_indicators(request.GET.get("indicators", "")):
        rows = selectors.bars(instrument, **asked, now=now)
        more["indicators"] = charts.indicator_lines(instrument, timeframe, rows, names, now)
        lines = rows.lines()
    else:
        lines = selectors.bar_lines(instrument, **asked, now=now)
    text = presenters.bars_text(instrument.symbol, timeframe, lines, **more)
    return HttpResponse(text, content_type="application/json")


@require_safe
def bars_table(request: HttpRequest, symbol: str) -> HttpResponse:
    """`?range=1M`: the newest bars of the range as a table, the newest first."""
    instrument, name = selectors.instrument_get(symbol), request.GET.get("range", TODAY)
    rows = charts.range_bars(instrument, name, now=timezone.now())
    context = {
        "instrument": instrument,
        "range": name,
        "ranges": RANGES.items(),
        "daily": RANGES[name].timeframe == "1D",
        "bars": rows[: -settings.BARS_TABLE_ROWS - 1 : -1],
        "total": len(rows),
    }
    partial = "marketdata/partials/_bars.html"
    return page(request, "marketdata/bars.html", context, partial=partial)


@require_POST
def indicators(request: HttpRequest) -> HttpResponseBase:
    """POST `indicators` (any number) and `next`: the lines that this person's charts show."""
    indicators_choose(user=request.user, names=request.POST.getlist("indicators"))
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204)
    asked = request.POST.get("next", "")
    own = own_address(request, asked)
    return see_other(request, asked if own else "marketdata:markets")
