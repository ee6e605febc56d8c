"""The JSON doors of this app, below /api/v1/ (no trailing slashes: the floor strips them)."""

from django.urls import path

from trading import api

urlpatterns = [
    path("orders", api.OrdersView.as_view(), name="orders"),
    path("orders/<int:order_id>", api.OrderView.as_view(), name="order"),
    path("positions", api.PositionsView.as_view(), name="positions"),
    path("positions/<int:position_id>", api.PositionView.as_view(), name="position"),
]
