"""Pages of this app."""

from django.urls import path

from marketdata import symbol_views, views

app_name = "marketdata"
urlpatterns = [
    path("markets", views.markets, name="markets"),
    path("markets/<str:symbol>", symbol_views.symbol_page, name="symbol"),
    path("markets/<str:symbol>/bars", symbol_views.bars, name="bars"),
    path("markets/<str:symbol>/bars/table", symbol_views.bars_table, name="bars_table"),
    path("markets/<str:symbol>/book", symbol_views.book, name="book"),
    path("settings/indicators", symbol_views.indicators, name="indicators"),
    path("search", views.search, name="search"),
    path("watchlist/add", views.watch, name="watchlist_add"),
    path("watchlist/remove", views.unwatch, name="watchlist_remove"),
]
