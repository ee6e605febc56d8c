"""The JSON doors of this app, below /api/v1/ (no trailing slashes: the floor strips them)."""

from django.urls import path

from portfolio import api

urlpatterns = [
    path("portfolio", api.PortfolioView.as_view(), name="portfolio"),
    path("portfolio/positions", api.PositionsView.as_view(), name="portfolio-positions"),
    path(
        "portfolio/positions/<path:symbol>", api.PositionView.as_view(), name="portfolio-position"
    ),
    path("portfolio/history", api.HistoryView.as_view(), name="portfolio-history"),
    path("portfolio/activity", api.ActivityView.as_view(), name="portfolio-activity"),
    path("portfolio/transfers", api.TransfersView.as_view(), name="portfolio-transfers"),
]
