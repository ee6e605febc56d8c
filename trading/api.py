"""The JSON doors of trading. Each parses, calls one service and answers with `presenters`."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.requests import user_of
from accounts.selectors import account_for_user
from marketdata import quote_store
from marketdata.selectors import instrument_get
from portfolio.presenters import position_payload
from portfolio.selectors import position_for_user, summary_get
from portfolio.serializers import PositionSerializer
from speedtrade.lib.api import NewestFirst, problems
from speedtrade.lib.door_schema import ACCOUNT, IDEMPOTENCY_KEY, PAGES
from speedtrade.lib.errors import InvalidInput, NotFound
from speedtrade.lib.ratelimit import limit_orders
from speedtrade.lib.requests import account_chosen, idempotency_key, whole_number
from trading.intents import changes_parse, intent_parse
from trading.presenters import order_payload
from trading.selectors.orders import order_for_user, orders_of
from trading.serializers import ChangesSerializer, OrderInputSerializer, OrderSerializer
from trading.services.closing import position_close
from trading.services.orders import Placed, order_cancel, order_place
from trading.services.replacements import order_replace

FILTERS = [
    *PAGES,
    ACCOUNT,
    OpenApiParameter("status", str, enum=["open", "closed", "all"]),
    OpenApiParameter("symbol", str),
    OpenApiParameter("side", str, enum=["buy", "sell"]),
    OpenApiParameter("asset_type", str, enum=["stock", "crypto"]),
]


def placed_response(placed: Placed, user: User) -> Response:
    """201 for a new order, 200 with the same body for a key that came before."""
    if placed.created:
        return Response(order_payload(placed.order, fills=()), status=201)
    order = order_for_user(user=user, order_id=placed.order.pk)
    return Response(order_payload(order), headers={"Idempotent-Replayed": "true"})


def _account_id(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return whole_number(value, "account_id")
    raise InvalidInput.field("account_id", "Write a whole number.")


class OrdersView(APIView):
    """Orders of an account."""

    pagination_class = NewestFirst

    @extend_schema(
        operation_id="orders_list",
        parameters=FILTERS,
        responses={200: OrderSerializer(many=True)} | problems(404),
    )
    def get(self, request: Request) -> Response:
        asked = request.query_params
        account = account_for_user(
            user=user_of(request), account_id=whole_number(asked.get("account_id"), "account_id")
        )
        symbol = asked.get("symbol", "")
        orders = orders_of(
            account,
            status=asked.get("status", "all"),
            symbol=instrument_get(symbol).symbol if symbol else "",
            side=asked.get("side"),
            asset_type=asked.get("asset_type"),
        )
        pages = self.pagination_class()
        found = pages.paginate_queryset(orders, request, self)
        return pages.get_paginated_response([order_payload(order) for order in found or []])

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, ACCOUNT],
        request=OrderInputSerializer,
        responses={200: OrderSerializer, 201: OrderSerializer} | problems(404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        """Place an order. The same Idempotency-Key or client_order_id gives the same order."""
        user = user_of(request)
        limit_orders(user.pk)
        key = idempotency_key(request._request)
        body: dict[str, Any] = request.data  # type: ignore[assignment] # the parser lets nothing else in
        intent, instrument = intent_parse(body)
        chosen = account_chosen(_account_id(body.get("account_id")), request.query_params)
        placed = order_place(
            account=account_for_user(user=user, account_id=chosen),
            instrument=instrument,
            intent=intent,
            quote=quote_store.quote_get(instrument.symbol),
            key=key,
            placed_by=user,
            source="api",
            now=timezone.now(),
        )
        return placed_response(placed, user)


class OrderView(APIView):
    """One order."""

    @extend_schema(responses=OrderSerializer)
    def get(self, request: Request, order_id: int) -> Response:
        return Response(order_payload(order_for_user(user=user_of(request), order_id=order_id)))

    @extend_schema(responses={200: OrderSerializer, 202: OrderSerializer} | problems(409))
    def delete(self, request: Request, order_id: int) -> Response:
        """Ask to cancel: 200 when it is canceled already, 202 while the broker decides."""
        order = order_for_user(user=user_of(request), order_id=order_id)
        order_cancel(order=order, actor=user_of(request), source="api", now=timezone.now())
        order = order_for_user(user=user_of(request), order_id=order_id)
        return Response(order_payload(order), status=202 if order.is_open else 200)

    @extend_schema(request=ChangesSerializer, responses={200: OrderSerializer} | problems(409, 422))
    def patch(self, request: Request, order_id: int) -> Response:
        """Replace qty (the new total), limit_price or time_in_force; answers with the successor."""
        user = user_of(request)
        order = order_for_user(user=user, order_id=order_id)
        limit_orders(user.pk)
        body: dict[str, Any] = request.data  # type: ignore[assignment] # StrictJSONParser
        new = order_replace(
            order=order,
            changes=changes_parse(body),
            quote=quote_store.quote_get(order.instrument.symbol),
            actor=user,
            source="api",
            now=timezone.now(),
        )
        return Response(order_payload(order_for_user(user=user, order_id=new.pk)))


class PositionsView(APIView):
    """Open positions."""

    @extend_schema(
        parameters=[ACCOUNT],
        responses={200: PositionSerializer(many=True)} | problems(404),
        operation_id="positions_list",
    )
    def get(self, request: Request) -> Response:
        chosen = whole_number(request.query_params.get("account_id"), "account_id")
        account = account_for_user(user=user_of(request), account_id=chosen)
        summary = summary_get(account=account, now=timezone.now())
        return Response([position_payload(position) for position in summary.positions])


class PositionView(APIView):
    """One position; DELETE closes it with a market order."""

    @extend_schema(responses=PositionSerializer, operation_id="positions_retrieve")
    def get(self, request: Request, position_id: int) -> Response:
        row = position_for_user(user=user_of(request), position_id=position_id)
        summary = summary_get(account=row.brokerage_account, now=timezone.now())
        for position in summary.positions:
            if position.held.position_id == row.pk:
                return Response(position_payload(position))
        raise NotFound("There is no such position.")

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        responses={200: OrderSerializer, 201: OrderSerializer} | problems(409, 422),
    )
    def delete(self, request: Request, position_id: int) -> Response:
        """Sell all of it. The same Idempotency-Key gives the same order."""
        user = user_of(request)
        limit_orders(user.pk)
        placed = position_close(
            user=user,
            position_id=position_id,
            key=idempotency_key(request._request),
            source="api",
            now=timezone.now(),
        )
        return placed_response(placed, user)
