"""The JSON doors of the market. A symbol may be written in any spelling, also inside a path."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from marketdata import presenters, quote_store, selectors, serializers
from marketdata.hours import market_hours
from speedtrade.lib.api import problems
from speedtrade.lib.errors import Unavailable


def _query(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    # A plain dict: in a form's own, "direction=" would count as not sent, and so be the default.
    serializer = kind(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    checked: dict[str, Any] = serializer.validated_data
    return checked


class QuotesView(APIView):
    @extend_schema(
        operation_id="market_quotes",
        parameters=[serializers.QuotesQuery],
        responses={200: serializers.QuotesShape} | problems(400, 401, 404, 503),
    )
    def get(self, request: Request) -> Response:
        """The last quotes of up to a hundred symbols, in the order asked for."""
        texts = _query(serializers.QuotesQuery, request)["symbols"]
        symbols = [instrument.symbol for instrument in selectors.instruments_get(texts)]
        quotes, now = quote_store.quotes_get(symbols), timezone.now()
        if not quotes:
            raise Unavailable("There are no prices yet.")
        found = [presenters.quote_json(quotes[s], now) for s in symbols if s in quotes]
        return Response({"quotes": found, "missing": [s for s in symbols if s not in quotes]})


class QuoteView(APIView):
    @extend_schema(
        operation_id="market_quote",
        responses={200: serializers.QuoteShape} | problems(401, 404, 503),
    )
    def get(self, request: Request, symbol: str) -> Response:
        """The last quote of one symbol."""
        quote = selectors.quote_of(selectors.instrument_get(symbol))
        return Response(presenters.quote_json(quote, timezone.now()))


class BarsView(APIView):
    @extend_schema(
        operation_id="market_bars",
        parameters=[serializers.BarsQuery],
        responses={200: serializers.BarsShape} | problems(400, 401, 404, 503),
    )
    def get(self, request: Request, symbol: str) -> HttpResponse:
        """The newest bars of a range, oldest first; today's last bar is still running."""
        wanted = _query(serializers.BarsQuery, request)
        instrument = selectors.instrument_get(symbol)
        lines = selectors.bar_lines(instrument, **wanted, now=timezone.now())
        text = presenters.bars_text(instrument.symbol, wanted["timeframe"], lines)
        return HttpResponse(text, content_type="application/json")


class SearchView(APIView):
    @extend_schema(
        operation_id="market_search",
        parameters=[serializers.SearchQuery],
        responses={200: serializers.SearchShape} | problems(400, 401),
    )
    def get(self, request: Request) -> Response:
        """Instruments by the beginning of their symbol or a part of their name."""
        found = selectors.instrument_search(**_query(serializers.SearchQuery, request))
        return Response({"results": [presenters.instrument_json(row) for row in found]})


class MoversView(APIView):
    @extend_schema(
        operation_id="market_movers",
        parameters=[serializers.MoversQuery],
        responses={200: serializers.MoversShape} | problems(400, 401),
    )
    def get(self, request: Request) -> Response:
        """What moved most since its previous close, the most extreme first."""
        wanted, now = _query(serializers.MoversQuery, request), timezone.now()
        rows = selectors.movers(**wanted, now=now)
        results = [presenters.mover_json(row, now) for row in rows]
        return Response({"direction": wanted["direction"], "results": results})


class OrderBookView(APIView):
    @extend_schema(
        operation_id="market_orderbook",
        responses={200: serializers.BookShape} | problems(401, 404, 503),
    )
    def get(self, request: Request, symbol: str) -> Response:
        """Ten levels each side, best prices first."""
        quote = selectors.quote_of(selectors.instrument_get(symbol))
        return Response(presenters.book_json(quote, timezone.now()))


class ClockView(APIView):
    @extend_schema(
        operation_id="market_clock",
        responses={200: serializers.ClockShape} | problems(401),
    )
    def get(self, request: Request) -> Response:
        """When the markets of stocks and of coins trade."""
        now = timezone.now()
        states = selectors.market_clock(now)
        return Response(presenters.clock_json(states, market_hours().mode, now))
