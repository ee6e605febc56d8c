"""The JSON doors of this app, below /api/v1/ (no trailing slashes: the floor strips them).

`path:` takes BTC/USD as it stands, and BTC%2FUSD, which the server decodes before it gets here.
"""

from django.urls import path

from marketdata import alert_api, api

urlpatterns = [
    path("market/quotes", api.QuotesView.as_view(), name="quotes"),
    path("market/quotes/<path:symbol>", api.QuoteView.as_view(), name="quote"),
    path("market/bars/<path:symbol>", api.BarsView.as_view(), name="bars"),
    path("market/search", api.SearchView.as_view(), name="search"),
    path("market/movers", api.MoversView.as_view(), name="movers"),
    path("market/orderbook/<path:symbol>", api.OrderBookView.as_view(), name="orderbook"),
    path("alerts", alert_api.AlertsView.as_view(), name="alerts"),
    path("alerts/<int:alert_id>", alert_api.AlertView.as_view(), name="alert"),
    path("market/clock", api.ClockView.as_view(), name="clock"),
]
