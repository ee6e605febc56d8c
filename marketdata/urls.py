"""Pages of this app."""

from django.urls import path

from marketdata import alert_views, symbol_views, views, watchlist_views

app_name = "marketdata"
urlpatterns = [
    path("markets", views.markets, name="markets"),
    path("markets/<str:symbol>", symbol_views.symbol_page, name="symbol"),
    path("markets/<str:symbol>/bars", symbol_views.bars, name="bars"),
    path("markets/<str:symbol>/bars/table", symbol_views.bars_table, name="bars_table"),
    path("markets/<str:symbol>/book", symbol_views.book, name="book"),
    path("markets/<str:symbol>/alerts", alert_views.symbol_alerts, name="symbol_alerts"),
    path("alerts", alert_views.alerts, name="alerts"),
    path("alerts/rows", alert_views.rows, name="alert_rows"),
    path("settings/indicators", symbol_views.indicators, name="indicators"),
    path("search", views.search, name="search"),
    path("watchlist/add", views.watch, name="watchlist_add"),
    path("watchlist/remove", views.unwatch, name="watchlist_remove"),
    path("watchlist/choose", views.choose, name="watchlist_choose"),
    path("watchlists", watchlist_views.index, name="watchlists"),
    path("watchlists/new", watchlist_views.create, name="watchlist_new"),
    path("watchlists/<int:watchlist_id>", watchlist_views.show, name="watchlist"),
    path("watchlists/<int:watchlist_id>/find", watchlist_views.find, name="watchlist_find"),
    path("watchlists/<int:watchlist_id>/put", watchlist_views.add, name="watchlist_put"),
    path("watchlists/<int:watchlist_id>/rows", watchlist_views.rows, name="watchlist_rows"),
    path("watchlists/<int:watchlist_id>/edit", watchlist_views.edit, name="watchlist_edit"),
    path("watchlists/<int:watchlist_id>/move", watchlist_views.move, name="watchlist_move"),
    path("watchlists/<int:watchlist_id>/delete", watchlist_views.delete, name="watchlist_delete"),
    path("watchlists/<int:watchlist_id>/export", watchlist_views.export, name="watchlist_export"),
    path("watchlists/<int:watchlist_id>/import", watchlist_views.bring, name="watchlist_import"),
]
