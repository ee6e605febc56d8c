"""Pages of this app."""

from django.urls import path

from marketdata import views

app_name = "marketdata"
urlpatterns = [
    path("markets", views.markets, name="markets"),
    path("markets/<str:symbol>", views.symbol_page, name="symbol"),
    path("markets/<str:symbol>/bars", views.bars, name="bars"),
    path("markets/<str:symbol>/book", views.book, name="book"),
    path("search", views.search, name="search"),
    path("watchlist/add", views.watch, name="watchlist_add"),
    path("watchlist/remove", views.unwatch, name="watchlist_remove"),
]
