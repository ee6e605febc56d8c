"""The portfolio's JSON doors."""

import uuid
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BrokerageAccount
from accounts.requests import user_of
from accounts.selectors import account_for_user
from marketdata.selectors import instrument_get
from portfolio import selectors
from portfolio.models import Direction
from portfolio.presenters import (
    activity_payload,
    history_payload,
    portfolio_payload,
    position_payload,
    transfer_payload,
)
from portfolio.serializers import (
    ActivitySerializer,
    HistorySerializer,
    PortfolioSerializer,
    PositionSerializer,
    TransferInputSerializer,
    TransferSerializer,
)
from portfolio.services.transfers import transfer_make
from speedtrade.lib.api import NewestFirst, problems
from speedtrade.lib.door_schema import ACCOUNT, IDEMPOTENCY_KEY, PAGES
from speedtrade.lib.errors import NotFound
from speedtrade.lib.requests import account_chosen, idempotency_key, whole_number

PERIOD = OpenApiParameter("period", str, enum=list(selectors.PERIODS))


def account_of(request: Request) -> BrokerageAccount:
    """The account that the query names, or the user's default one; raises NotFound."""
    chosen = whole_number(request.query_params.get("account_id"), "account_id")
    return account_for_user(user=user_of(request), account_id=chosen)


class PortfolioView(APIView):
    """What an account is worth now."""

    @extend_schema(parameters=[ACCOUNT], responses={200: PortfolioSerializer} | problems(404))
    def get(self, request: Request) -> Response:
        summary = selectors.summary_get(account=account_of(request), now=timezone.now())
        return Response(portfolio_payload(summary))


class PositionsView(APIView):
    """Open positions at the newest prices."""

    @extend_schema(
        operation_id="portfolio_positions_list",
        parameters=[ACCOUNT],
        responses={200: PositionSerializer(many=True)} | problems(404),
    )
    def get(self, request: Request) -> Response:
        summary = selectors.summary_get(account=account_of(request), now=timezone.now())
        return Response([position_payload(position) for position in summary.positions])


class PositionView(APIView):
    """The position in one symbol."""

    @extend_schema(
        operation_id="portfolio_positions_retrieve",
        parameters=[ACCOUNT],
        responses={200: PositionSerializer} | problems(404),
    )
    def get(self, request: Request, symbol: str) -> Response:
        instrument = instrument_get(symbol)
        summary = selectors.summary_get(account=account_of(request), now=timezone.now())
        for position in summary.positions:
            if position.held.symbol == instrument.symbol:
                return Response(position_payload(position))
        raise NotFound(f"There is no position in {instrument.symbol}.")


class HistoryView(APIView):
    """The equity curve."""

    @extend_schema(parameters=[ACCOUNT, PERIOD], responses={200: HistorySerializer} | problems(404))
    def get(self, request: Request) -> Response:
        now, account = timezone.now(), account_of(request)
        period = request.query_params.get("period", "1M")
        summary = selectors.summary_get(account=account, now=now)
        points = selectors.equity_curve(account=account, period=period, now=now, equity_now=summary)
        return Response(history_payload(account.pk, period, points))


class ActivityView(APIView):
    """Fills, transfers, fees and dividends, newest first."""

    pagination_class = NewestFirst

    @extend_schema(
        operation_id="portfolio_activity_list",
        parameters=[ACCOUNT, *PAGES],
        responses={200: ActivitySerializer(many=True)} | problems(404),
    )
    def get(self, request: Request) -> Response:
        pages = self.pagination_class()
        entries = pages.paginate_queryset(selectors.activity_of(account_of(request)), request, self)
        return pages.get_paginated_response([activity_payload(entry) for entry in entries or []])


class TransfersView(APIView):
    """Paper money in and out. The same Idempotency-Key gives the same transfer."""

    @extend_schema(
        parameters=[IDEMPOTENCY_KEY, ACCOUNT],
        request=TransferInputSerializer,
        responses={200: TransferSerializer, 201: TransferSerializer} | problems(404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        given = TransferInputSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        fields: dict[str, Any] = given.validated_data
        transfer, created = transfer_make(
            account=account_for_user(
                user=user_of(request),
                account_id=account_chosen(fields.get("account_id"), request.query_params),
            ),
            direction=Direction(fields["direction"]),
            amount=fields["amount"],
            key=idempotency_key(request._request) or uuid.uuid4().hex,
            requested_by=user_of(request),
            now=timezone.now(),
        )
        headers = {} if created else {"Idempotent-Replayed": "true"}
        return Response(transfer_payload(transfer), status=201 if created else 200, headers=headers)
