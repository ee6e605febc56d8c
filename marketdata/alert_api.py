"""The JSON doors of alerts."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata import alert_selectors, presenters, selectors, serializers
from marketdata.domain.alerts import AlertState
from marketdata.services.alerts import alert_create, alert_delete
from speedtrade.lib.api import NewestFirst, problems
from speedtrade.lib.door_schema import PAGES
from speedtrade.lib.errors import InvalidInput

FILTERS = [
    *PAGES,
    OpenApiParameter("symbol", str),
    OpenApiParameter("state", str, enum=[state.value for state in AlertState]),
]


class AlertsView(APIView):
    pagination_class = NewestFirst

    @extend_schema(
        operation_id="alerts_list",
        parameters=FILTERS,
        responses={200: serializers.AlertShape(many=True)} | problems(400, 401, 404),
    )
    def get(self, request: Request) -> Response:
        """Your price alerts, newest first, page by page."""
        rows, asked = alert_selectors.alerts_of(request.user), request.query_params
        if symbol := asked.get("symbol", ""):
            rows = rows.filter(instrument=selectors.instrument_get(symbol))
        if (state := asked.get("state")) is not None:
            if state not in list(AlertState):
                raise InvalidInput.field("state", f"Choose one of {', '.join(AlertState)}.")
            rows = rows.filter(state=state)
        pages = self.pagination_class()
        found = pages.paginate_queryset(rows, request, self)
        return pages.get_paginated_response([presenters.alert_json(row) for row in found or []])

    @extend_schema(
        operation_id="alerts_create",
        request=serializers.AlertInput,
        responses={201: serializers.AlertShape} | problems(400, 401, 404, 409, 503),
    )
    def post(self, request: Request) -> Response:
        """Set an alert: `above` needs a price over the last one, `below` one under it."""
        given = serializers.AlertInput(data=request.data)
        given.is_valid(raise_exception=True)
        fields: dict[str, Any] = given.validated_data
        made = alert_create(user=request.user, now=timezone.now(), **fields)
        return Response(presenters.alert_json(made), status=201)


class AlertView(APIView):
    @extend_schema(
        operation_id="alerts_retrieve",
        responses={200: serializers.AlertShape} | problems(401, 404),
    )
    def get(self, request: Request, alert_id: int) -> Response:
        """One alert."""
        return Response(presenters.alert_json(alert_selectors.alert_get(request.user, alert_id)))

    @extend_schema(operation_id="alerts_destroy", responses={204: None} | problems(401, 404))
    def delete(self, request: Request, alert_id: int) -> Response:
        """Delete an alert; what it has said stays in your log."""
        alert_delete(user=request.user, alert_id=alert_id)
        return Response(status=204)
